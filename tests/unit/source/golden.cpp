// golden — every file in tests/golden as its parser reads it, beside what has to come out.
//
// NAME.in is the input. The first line of NAME.expected says how it is read (`table auto`,
// `exchange55 windows-1252`, `passwd login`, `aliases`, with `allow_empty` at the end if so), the
// rest what is found. RCPTSYNC_GOLDEN=write in the environment writes the rest anew: read the
// difference before you believe it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/escape.hpp"
#include "catch.hpp"
#include "recipient/address.hpp"
#include "source/accounts.hpp"
#include "source/exchange55.hpp"
#include "source/table_source.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

class Printer final : public recipient::ObjectSink {
 public:
  void upsert(const recipient::Object& object) override {
    text += fmt::format("{} {} [{}]\n", escape(object.origin), recipient::to_string(object.kind),
                        escape(object.key));
    for (const auto& value : object.values) {
      const auto parsed = recipient::parse_address(recipient::without_prefix(value.text));
      text += fmt::format("  {}: {}{}{}\n", value.attribute, escape(value.text),
                          value.reject.empty() ? "" : fmt::format(" => {}", value.reject),
                          parsed.drop == recipient::Drop::kept
                              ? ""
                              : fmt::format(" (dropped: {})", recipient::to_string(parsed.drop)));
    }
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override {}
  void restart() override {}

  std::string text;
};

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <class T>
T word_for(const std::string& word, std::initializer_list<T> values) {
  for (const auto value : values)
    if (config::to_string(value) == word) return value;
  FAIL("unknown word " << word);
  return {};
}

FileSourcePlan plan(const std::string& how) {
  using config::Encoding;
  using config::TableFormat;
  std::istringstream words(how);
  std::string type, detail, more;
  words >> type >> detail >> more;
  if (type == "passwd" || type == "aliases") {
    config::AccountsSource settings;
    settings.domains = {"example.com", "example.net"};
    settings.any_shell = detail != "login";
    settings.aliases = "aliases";
    auto both = plan_accounts(settings);
    return {{both.files[type == "passwd" ? 0 : 1]}, {}};
  }
  config::FileSource settings;
  settings.allow_empty = more == "allow_empty";
  if (type == "exchange55") {
    settings.encoding = word_for(
        detail, {Encoding::automatic, Encoding::utf_8, Encoding::utf_16, Encoding::windows_1252});
    return plan_exchange55(settings);
  }
  REQUIRE(type == "table");
  settings.format =
      word_for(detail, {TableFormat::automatic, TableFormat::list, TableFormat::postfix,
                        TableFormat::vbscript, TableFormat::csv, TableFormat::ldif});
  return plan_table(settings);
}

std::string read_as(const std::string& how, std::string bytes) {
  Findings findings;
  const auto parsed = plan(how).files.at(0).parse(std::move(bytes), findings);
  if (!parsed)
    return fmt::format("failed ({}): {}\n", to_string(parsed.error().code), parsed.error().message);
  Printer printer;
  findings.tell("in", printer);
  for (const auto& warning : findings.warnings("in")) printer.text += "warning: " + warning + "\n";
  return printer.text.empty() ? "nothing\n" : printer.text;
}

}  // namespace

TEST_CASE("every golden file is read as it always was") {
  const char* mode = std::getenv("RCPTSYNC_GOLDEN");
  const bool writing = mode != nullptr && std::string(mode) == "write";
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RCPTSYNC_GOLDEN_FILES)) {
    if (entry.path().extension() != ".in") continue;
    ++files;
    auto expected_path = entry.path();
    expected_path.replace_extension(".expected");
    const auto expected = bytes_of(expected_path);
    INFO(entry.path().filename().native());
    const auto how = expected.substr(0, expected.find('\n'));
    const auto found = how + "\n" + read_as(how, bytes_of(entry.path()));
    if (writing)
      std::ofstream(expected_path, std::ios::binary) << found;
    else
      CHECK(found == expected);
  }
  CHECK(files > 40);
}
