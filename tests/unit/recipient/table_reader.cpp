// What a target already holds may come from any hand or program, or be no table at all.
#include <chrono>
#include <string>

#include "base/random.hpp"
#include "catch.hpp"
#include "recipient/table.hpp"

using namespace rcptsync;
using namespace rcptsync::recipient;
using namespace std::string_literals;
using Addresses = std::vector<std::string>;

namespace {
Addresses read(std::string_view bytes) {
  return addresses_in(bytes, config::Format::postfix);
}
}  // namespace

TEST_CASE("a hand-made Postfix table") {
  CHECK(read("# relay recipients\n"
             "\n"
             "John.Doe@Example.org   OK\n"
             "jane@example.org\tx\n"
             "  continued\n"
             "\"a b\"@example.org OK\r\n"
             "@Partner.example OK\n"
             "jane@example.org OK\n"
             "bare\n"
             "last@example.org REJECT") == Addresses{"\"a b\"@example.org", "@partner.example",
                                                     "bare", "jane@example.org",
                                                     "john.doe@example.org", "last@example.org"});
}

TEST_CASE("both forms of a domain are one address") {
  CHECK(read("a@müller.example\tOK\na@xn--mller-kva.example\tOK\n") ==
        Addresses{"a@xn--mller-kva.example"});
}

TEST_CASE("a key outside the grammar still counts, folded") {
  CHECK(read("A..B@Example.org OK\n") == Addresses{"a..b@example.org"});
  CHECK(read(std::string(5000, 'X') + " OK\n") == Addresses{std::string(320, 'x')});
}

TEST_CASE("in a list a number sign is an address") {
  CHECK(addresses_in("#x@example.org\n", config::Format::list) == Addresses{"#x@example.org"});
  CHECK(read("#x@example.org\n").empty());
}

TEST_CASE("nothing, and what is no table") {
  CHECK(read("").empty());
  CHECK(read("\n\n\r\n \n\t\n").empty());
  CHECK(read("a\0b@example.org OK\n"s).size() == 1);
  SeededRandom random(3);
  std::string bytes(1 << 16, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  for (const auto& address : read(bytes)) {
    CHECK(address.size() <= 320);
    CHECK(address.find('\n') == std::string::npos);
  }
}

TEST_CASE("time grows with size, not faster") {
  // A quadratic reader would take hours for each of these.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  CHECK(read(std::string(50 << 20, 'x')).size() == 1);
  CHECK(read(std::string(20 << 20, '"')).size() == 1);
  CHECK(read(std::string(20 << 20, '\n')).empty());
  CHECK(read(std::string(20 << 20, '@')).size() == 1);
  CHECK(std::chrono::steady_clock::now() < limit);
}
