// Orders of an operator as files: what comes back, what is refused, what a crash leaves.
#include "service/orders.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.hpp"
#include "catch.hpp"
#include "folder.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using rcptsync::service::test::Folder;

namespace {

Order approval() {
  Order order;
  order.kind = Order::Kind::approve;
  order.id = next_order_id();
  order.by = "ada";
  order.given = WallTime{std::chrono::seconds(1772366400)};
  order.removals = {{"a@example.com", {}}, {"m\xc3\xbcller@example.com", "550 5.1.1 has left"}};
  order.digest = digest_of(order.removals);
  return order;
}

std::filesystem::path file_of(const Folder& folder, const Order& order) {
  return folder.path() / "orders" / (order.id + ".json");
}

std::vector<Order> load(const Folder& folder) {
  auto orders = load_orders(folder.path());
  REQUIRE(orders);
  return *orders;
}

}  // namespace

TEST_CASE("an order comes back as it was given, until it is removed") {
  const Folder folder;
  CHECK(load(folder).empty());
  const auto order = approval();
  REQUIRE(save_order(folder.path(), order));
  CHECK(load(folder) == std::vector<Order>{order});
  struct stat status {};
  REQUIRE(::stat(file_of(folder, order).c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  REQUIRE(::stat((folder.path() / "orders").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0700);
  CHECK(remove_order(folder.path(), order.id));
  CHECK(remove_order(folder.path(), order.id));
  CHECK(load(folder).empty());
}

TEST_CASE("every kind of order and every field of it comes back") {
  const Folder folder;
  std::vector<Order> given;
  for (const auto kind :
       {Order::Kind::approve, Order::Kind::reject, Order::Kind::rollback, Order::Kind::resync,
        Order::Kind::poll, Order::Kind::push, Order::Kind::verify}) {
    Order order;
    order.kind = kind;
    order.id = next_order_id();
    order.digest = sha256("a hold");
    order.target = "mx1";
    order.generation = 7;
    order.targets = {"mx1", "mx2"};
    REQUIRE(save_order(folder.path(), order));
    given.push_back(order);
  }
  CHECK(load(folder) == given);
}

TEST_CASE("orders come in the order in which they were given") {
  const Folder folder;
  auto first = approval(), second = approval(), third = approval();
  REQUIRE(save_order(folder.path(), second));
  REQUIRE(save_order(folder.path(), third));
  REQUIRE(save_order(folder.path(), first));
  CHECK(load(folder) == std::vector<Order>{first, second, third});
}

TEST_CASE("an order whose removals are not those of its digest is not taken") {
  const Folder folder;
  auto order = approval();
  order.removals.pop_back();
  const auto saved = save_order(folder.path(), order);
  REQUIRE_FALSE(saved);
  CHECK(saved.error().code == Errc::invalid);
  order = approval();
  order.id = "../escape";
  CHECK_FALSE(save_order(folder.path(), order));
  order = approval();
  order.removals = {{"a\xff@example.com", {}}};
  order.digest = digest_of(order.removals);
  CHECK_FALSE(save_order(folder.path(), order));
  CHECK(load(folder).empty());
}

TEST_CASE("an order of which one byte differs is moved aside and named, the others count") {
  const Folder folder;
  const auto good = approval(), bad = approval();
  REQUIRE(save_order(folder.path(), good));
  REQUIRE(save_order(folder.path(), bad));
  auto bytes = read_file(file_of(folder, bad), 1 << 20).value();
  const auto cut = GENERATE(false, true);
  if (cut)
    bytes.resize(bytes.size() / 2);
  else
    bytes.replace(bytes.find("\"ada\""), 5, "\"eve\"");
  std::ofstream(file_of(folder, bad)) << bytes;
  std::vector<std::string> damaged;
  const auto orders = load_orders(folder.path(), &damaged);
  REQUIRE(orders);
  CHECK(*orders == std::vector<Order>{good});
  REQUIRE(damaged.size() == 1);
  CHECK(damaged[0].ends_with(bad.id + ".bad"));
  CHECK(std::filesystem::exists(damaged[0]));
  CHECK(load(folder) == std::vector<Order>{good});
}

TEST_CASE("one who only reads leaves a damaged order where it is, for the one who tells of it") {
  const Folder folder;
  const auto order = approval();
  REQUIRE(save_order(folder.path(), order));
  std::ofstream(file_of(folder, order)) << "{}";
  CHECK(load(folder).empty());
  CHECK(std::filesystem::exists(file_of(folder, order)));
  std::vector<std::string> damaged;
  REQUIRE(load_orders(folder.path(), &damaged));
  CHECK(damaged.size() == 1);
}

TEST_CASE("files that are named like no order of ours, and links, are not touched") {
  const Folder folder, elsewhere;
  REQUIRE(save_order(folder.path(), approval()));
  REQUIRE(save_order(elsewhere.path(), approval()));
  const auto foreign = folder.path() / "orders" / "Package.json";
  std::ofstream(foreign) << "{}";
  std::vector<std::string> damaged;
  REQUIRE(load_orders(folder.path(), &damaged)->size() == 1);
  CHECK(damaged.empty());
  CHECK(std::filesystem::exists(foreign));
  std::filesystem::remove_all(folder.path() / "orders");
  std::filesystem::create_symlink(elsewhere.path() / "orders", folder.path() / "orders");
  CHECK_FALSE(load_orders(folder.path(), &damaged));
  CHECK(damaged.empty());
}

TEST_CASE("an order that is half written is no order") {
  const Folder folder;
  const auto order = approval();
  REQUIRE(save_order(folder.path(), order));
  std::filesystem::rename(file_of(folder, order), folder.path() / "orders" / (order.id + ".tmp"));
  CHECK(load(folder).empty());
}
