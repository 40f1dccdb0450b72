// Every generation that is kept can be made again from the table in force.
#include "store/ledger.hpp"

#include <fmt/format.h>

#include <map>

#include "catch.hpp"
#include "support.hpp"

using namespace rcptsync;
using namespace rcptsync::store;
using namespace store_test;

namespace {

constexpr auto user = recipient::ObjectClass::user;
constexpr auto group = recipient::ObjectClass::group;

/// Address and reject text.
using Rows = std::map<std::string, std::string>;

struct Row {
  std::string_view address, reject;
};

/// Makes the next generation: the table is to become `rows`.
void publish(Store& store, const Rows& rows) {
  REQUIRE(store
              .write([&](Transaction& transaction) -> Result<bool> {
                auto meta = transaction.meta().value();
                Generation generation;
                generation.number = ++meta.generation;
                Rows before;
                REQUIRE(transaction.each_recipient(
                    [&](std::string_view address, const RecipientRecord& record) {
                      return before.emplace(address, record.reject), true;
                    }));
                std::map<std::string, Change> changes;
                for (const auto& [address, reject] : rows) {
                  const auto was = before.find(address);
                  if (was == before.end())
                    changes[address] = {Operation::added, address, reject, "", 1, user};
                  else if (was->second != reject)
                    changes[address] = {Operation::changed, address, reject, was->second, 2, group};
                }
                for (const auto& [address, reject] : before)
                  if (!rows.contains(address))
                    changes[address] = {Operation::removed, address, "", reject, 3, user};
                std::vector<Change> sorted;
                for (const auto& [address, change] : changes) {
                  sorted.push_back(change);
                  const auto done =
                      change.operation == Operation::removed
                          ? transaction.erase_recipient(address)
                          : transaction.put_recipient(
                                address, {change.reject, generation.number, true, 1, user});
                  REQUIRE(done);
                }
                REQUIRE(transaction.put_generation(generation, sorted));
                REQUIRE(transaction.put_meta(meta));
                return true;
              })
              .value());
}

Result<Rows> rows_of(View& view, std::uint64_t generation) {
  Rows rows;
  std::string last;
  auto visited =
      each_row_of(view, generation, [&](std::string_view address, std::string_view reject) {
        REQUIRE(last < address);  // in order, and each once
        last = address;
        rows.emplace(address, reject);
        return true;
      });
  if (!visited) return visited.error();
  return rows;
}

void forget_before(Store& store, std::uint64_t first) {
  REQUIRE(store
              .write([&](Transaction& transaction) -> Result<bool> {
                REQUIRE(transaction.erase_generations_before(first));
                return true;
              })
              .value());
}

/// Applies changes to rows, and each has to fit.
Rows applied(Rows rows, const std::vector<Change>& changes) {
  std::string last;
  for (const auto& change : changes) {
    INFO(change.address);
    REQUIRE(last < change.address);
    last = change.address;
    const auto row = rows.find(change.address);
    REQUIRE((row == rows.end()) == (change.operation == Operation::added));
    if (row != rows.end()) {
      REQUIRE(row->second == change.before);
      REQUIRE((change.operation == Operation::removed || row->second != change.reject));
    }
    if (change.operation == Operation::removed) {
      REQUIRE(change.reject.empty());
      rows.erase(row);
    } else {
      rows[change.address] = change.reject;
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("rows that came, went, changed and came again are found as they were") {
  Folder folder;
  auto store = open_owner(folder.path).value();
  const std::vector<Rows> past{{},
                               {{"a@x", ""}, {"b@x", ""}, {"c@x", "550 no"}},
                               {{"a@x", "450 later"}, {"b@x", ""}},
                               {{"b@x", ""}, {"c@x", ""}, {"d@x", ""}},
                               {{"a@x", ""}, {"b@x", ""}, {"c@x", "550 no"}}};
  for (std::size_t i = 1; i < past.size(); ++i) publish(*store, past[i]);
  REQUIRE(store->read([&](View& view) -> Result<> {
    for (std::size_t i = 1; i < past.size(); ++i) CHECK(rows_of(view, i).value() == past[i]);
    CHECK(rows_of(view, 0).error().code == Errc::not_found);
    CHECK(rows_of(view, past.size()).error().code == Errc::not_found);

    // The first and the last table are the same.
    CHECK(net_changes(view, 1, 4).value().empty());
    CHECK(net_changes(view, 3, 3).value().empty());
    CHECK(net_changes(view, 2, 4).value() ==
          std::vector<Change>{{Operation::changed, "a@x", "", "450 later", 1, user},
                              {Operation::added, "c@x", "550 no", "", 2, group}});
    CHECK(net_changes(view, 3, 2).value() ==
          std::vector<Change>{{Operation::added, "a@x", "450 later", "", 3, user},
                              {Operation::removed, "c@x", "", "", 1, user},
                              {Operation::removed, "d@x", "", "", 1, user}});
    CHECK(net_changes(view, 4, 5).error().code == Errc::not_found);
    CHECK(net_changes(view, 0, 4).error().code == Errc::not_found);

    int visited = 0;
    for (const int most : {1, 2, 3}) {
      visited = 0;
      CHECK(each_row_of(view, 1,
                        [&](std::string_view, std::string_view) { return ++visited < most; }));
      CHECK(visited == most);
    }
    return {};
  }));
}

TEST_CASE("every kept generation is what it was, whatever happened since") {
  const std::uint64_t seed = system_random().next();
  INFO("seed " << seed);
  SeededRandom random(seed);
  const auto choose = [&](std::uint64_t below) { return random.next() % below; };
  const std::vector<std::string> texts{"", "", "", "550 5.1.1 gone", "450 4.2.1 later"};
  for (int life = 0; life < 8; ++life) {
    Folder folder;
    auto store = open_owner(folder.path).value();
    const auto names = 1 + choose(300);
    std::map<std::uint64_t, Rows> remembered;
    Rows rows;
    std::uint64_t current = 0;
    for (int round = 0; round < 25; ++round) {
      for (auto left = choose(names) + 1; left > 0; --left) {
        const auto address = fmt::format("u{}@{}.example.com", choose(names), choose(2));
        if (choose(3) == 0)
          rows.erase(address);
        else
          rows[address] = texts[choose(texts.size())];
      }
      if (choose(10) == 0) rows.clear();
      publish(*store, rows);
      remembered[++current] = rows;
      if (choose(6) == 0) {
        const auto first = remembered.begin()->first + choose(remembered.size());
        forget_before(*store, first);
        remembered.erase(remembered.begin(), remembered.find(first));
      }
      REQUIRE(store->read([&](View& view) -> Result<> {
        const auto oldest = remembered.begin()->first;
        CHECK(rows_of(view, oldest - 1).error().code == Errc::not_found);
        for (const auto& [generation, expected] : remembered)
          REQUIRE(rows_of(view, generation).value() == expected);
        const auto from = oldest + choose(remembered.size());
        const auto to = oldest + choose(remembered.size());
        const auto net = net_changes(view, from, to).value();
        REQUIRE(applied(remembered[from], net) == remembered[to]);
        return {};
      }));
    }
  }
}
