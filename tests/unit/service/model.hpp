// model — what a cycle has to do, restated with maps and without any of its economies: everything
// is worked out anew from what the sources last said. Tests compare it with the store after each
// step.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "service/orders.hpp"
#include "world.hpp"

namespace rcptsync::service::test {

inline const std::string deferred = "450 4.2.1 This recipient is being removed; try again later";

struct Model {
  struct Row {
    std::string reject;
    std::string source;  ///< empty: the configuration
    recipient::ObjectClass kind = recipient::ObjectClass::other;
    bool operator==(const Row&) const = default;
    [[nodiscard]] bool accepts() const { return reject.empty(); }
  };
  struct Want {
    bool listed = false, supplied = false;
    Row row;
    [[nodiscard]] bool accepts() const { return listed && row.accepts(); }
  };
  struct Source {
    FakeSource said;  ///< in its last complete read
    unsigned id = 0;
    bool complete = false, unconfirmed = false, configured = true;
    std::string server;
  };
  enum class Kind { approved, expired, ordinary };
  using Texts = std::map<std::string, std::string>;

  std::map<std::string, Source> sources;
  std::map<std::string, Row> table;
  std::map<std::string, WallTime> grace;
  std::map<std::string, Digest> refused;
  Texts held, pending;
  std::map<std::uint64_t, Texts> ledger;
  std::uint64_t generation = 0, pinned = 0;

  // Of the last step, for what must hold whatever the model says.
  bool well = true;
  bool rolled_back = false;
  std::set<std::string> approved;

  const World* world = nullptr;

  // ---- what sources and configuration say

  [[nodiscard]] bool in_domains(const std::string& address) const {
    const auto& domains = world->config.recipients.domains;
    return domains.empty() ||
           std::count(domains.begin(), domains.end(), address.substr(address.find('@') + 1)) > 0;
  }
  /// address → text, of one object
  [[nodiscard]] Texts owned(const FakeSource& source, const std::string& key) const {
    Texts texts;
    for (const auto& address : source.objects.at(key))
      if (in_domains(address))
        texts[address] = source.rejects.contains(address) ? source.rejects.at(address) : "";
    return texts;
  }
  [[nodiscard]] std::set<std::pair<std::string, std::string>> accepts(const FakeSource& s) const {
    std::set<std::pair<std::string, std::string>> pairs;
    for (const auto& [key, values] : s.objects)
      for (const auto& [address, text] : owned(s, key))
        if (text.empty()) pairs.emplace(key, address);
    return pairs;
  }

  void hear() {
    well = true;
    unsigned last = 0;
    for (auto& [name, source] : sources) {
      last = std::max(last, source.id);
      source.configured = world->sources.contains(name);
    }
    for (const auto& [name, now] : world->sources) {
      auto& source = sources[name];
      if (source.id == 0) source.id = ++last;
      if (now.up && now.read) {
        const auto after = accepts(now);
        bool lost = false;
        for (const auto& pair : accepts(source.said)) lost = lost || !after.contains(pair);
        const bool moved = !source.server.empty() && source.server != now.server;
        if (!now.behind.empty() || (moved && lost))
          source.unconfirmed = true;
        else if (now.full)
          source.unconfirmed = false;
        source.said = now;
        source.server = now.server;
        source.complete = true;
      }
      well = well && source.complete && now.up && !source.unconfirmed;
    }
    for (auto& [name, source] : sources)
      if (!source.configured) {
        const auto id = source.id;
        source = {};
        source.id = id;
        source.configured = false;
      }
  }

  [[nodiscard]] std::map<std::string, Want> wants() const {
    std::map<std::string, Want> wants;
    std::vector<std::pair<unsigned, std::string>> order;
    for (const auto& [name, source] : sources) order.emplace_back(source.id, name);
    std::sort(order.begin(), order.end());
    for (const auto& [id, name] : order)
      for (const auto& [key, values] : sources.at(name).said.objects) {
        const auto& said = sources.at(name).said;
        const auto kind =
            said.classes.contains(key) ? said.classes.at(key) : recipient::ObjectClass::user;
        for (const auto& [address, text] : owned(said, key)) {
          auto& want = wants[address];
          if (text.empty() ? !want.supplied : !want.listed)
            want = {true, text.empty(), {text, name, kind}};
        }
      }
    for (const auto& entry : world->config.recipients.entries) {
      auto& want = wants[entry.address];
      if (!entry.reject.empty() || !want.supplied)
        want = {true, false, {entry.reject, "", recipient::ObjectClass::other}};
    }
    return wants;
  }

  // ---- one cycle

  /// `orders`: those that it carried out. The world is as it was during the cycle.
  void step(const World& the_world, const std::vector<Order>& orders) {
    world = &the_world;
    rolled_back = false;
    approved.clear();
    hear();
    const auto want = wants();
    std::set<std::string> all;
    for (const auto& [address, one] : want) all.insert(address);
    for (const auto& [address, row] : table) all.insert(address);

    struct Word {
      bool approve;
      std::string text;
      Digest digest;
    };
    std::map<std::string, Word> words;
    std::set<Digest> let_go;
    const auto is_refusal = [&](const Digest& digest) {
      for (const auto& [address, by] : refused)
        if (by == digest) return true;
      return false;
    };
    std::optional<std::uint64_t> back_to;
    for (const auto& order : orders) {
      const bool approve = order.kind == Order::Kind::approve;
      if (order.kind == Order::Kind::resync) {
        back_to.reset();
        pinned = 0;
      } else if (order.kind == Order::Kind::rollback) {
        if (!ledger.contains(order.generation)) continue;
        back_to = pinned = order.generation;
        words.clear();
        let_go.clear();
      } else if (pinned == 0 && generation > 0) {
        if (is_refusal(order.digest)) {
          if (approve)
            let_go.insert(order.digest);
          else
            let_go.erase(order.digest);
          if (!approve) continue;
        }
        for (const auto& [address, text] : order.removals)
          if ((held.contains(address) && held[address] == text) ||
              (approve && refused.contains(address)))
            words[address] = {approve, text, order.digest};
      }
    }

    const auto before = table;
    if (pinned != 0) {
      follow_pinned(want, all, back_to);
    } else {
      std::map<std::string, std::pair<std::string, Kind>> candidates;
      std::set<std::string> waiting;  // answered 450 since a rollback, nobody's any more
      for (const auto& address : all) {
        const auto found = want.find(address);
        const Want one = found == want.end() ? Want{} : found->second;
        const auto row = before.find(address);
        const bool is_refused = refused.contains(address);
        const bool over =
            grace.contains(address) && world->now >= grace[address] + world->config.removal.grace;
        if (one.accepts()) {
          refused.erase(address);
          grace.erase(address);
          table[address] = one.row;
        } else if (row != before.end() && row->second.accepts()) {
          const auto word = words.find(address);
          const bool same = word != words.end() && word->second.text == one.row.reject;
          const bool go =
              (same && word->second.approve) || (is_refused && let_go.contains(refused[address]));
          if (is_refused && !go) continue;
          if (!go && same) {
            refused[address] = word->second.digest;
            grace.erase(address);
            continue;
          }
          refused.erase(address);
          if (one.listed) grace.erase(address);
          auto kind = go ? Kind::approved : Kind::ordinary;
          if (!go && grace.contains(address)) {
            const bool was_held = held.contains(address) && held[address] == one.row.reject;
            if (!over || (world->ring && !was_held)) {
              if (!over && defers() && well && !world->ring) table[address].reject = deferred;
              continue;
            }
            kind = Kind::expired;
          }
          candidates[address] = {one.row.reject, kind};
        } else if (one.listed) {
          grace.erase(address);
          if (row == before.end())
            table[address] = one.row;
          else
            table[address].reject = one.row.reject;
        } else if (grace.contains(address) && !over) {
          if (!defers()) table[address].reject.clear();
        } else if ((well && !world->ring) ||
                   (row != before.end() && !row->second.reject.starts_with('4'))) {
          table.erase(address);
          grace.erase(address);
        } else if (row != before.end() && !grace.contains(address)) {
          waiting.insert(address);
        }
      }
      judge(before, want, candidates);
      for (const auto& address : waiting) pending[address] = "";
    }

    if (texts(table) != texts(before) || (generation == 0 && published)) {
      ledger[++generation] = texts(table);
    }
    // A source that is no longer configured is known as long as it has rows.
    std::erase_if(sources, [&](const auto& item) {
      for (const auto& [address, row] : table)
        if (row.accepts() && row.source == item.first) return false;
      return !item.second.configured && grace.empty();
    });
  }

  static Texts texts(const std::map<std::string, Row>& table) {
    Texts texts;
    for (const auto& [address, row] : table) texts[address] = row.reject;
    return texts;
  }

 private:
  bool published = false;

  [[nodiscard]] bool defers() const {
    return world->config.removal.answer == config::Removal::Answer::defer;
  }

  void judge(const std::map<std::string, Row>& before, const std::map<std::string, Want>& want,
             const std::map<std::string, std::pair<std::string, Kind>>& candidates) {
    const auto& guard = world->config.guard;
    std::uint64_t supplied = 0, ordinary = 0, going = 0;
    for (const auto& [address, one] : want) supplied += one.supplied ? 1U : 0U;

    // By domain, source and class: accepted, going anyway, ordinary removals, others that no source
    // supplies.
    using Counts = std::array<std::uint64_t, 4>;
    std::map<std::pair<char, std::string>, Counts> parts;
    const auto count = [&](const std::string& address, const Row& row, std::size_t which) {
      ++parts[{'d', address.substr(address.find('@') + 1)}][which];
      if (!row.source.empty()) ++parts[{'s', row.source}][which];
      if (row.kind >= recipient::ObjectClass::user &&
          row.kind <= recipient::ObjectClass::public_folder)
        ++parts[{'c', std::string(recipient::to_string(row.kind))}][which];
      ++parts[{'a', ""}][which];
    };
    for (const auto& [address, row] : before) {
      if (!row.accepts()) continue;
      count(address, row, 0);
      const auto one = want.find(address);
      const bool is_supplied = one != want.end() && one->second.supplied && one->second.accepts();
      if (!is_supplied && !candidates.contains(address)) count(address, row, 3);
    }
    for (const auto& [address, what] : candidates) {
      count(address, before.at(address), what.second == Kind::ordinary ? 2 : 1);
      ++(what.second == Kind::ordinary ? ordinary : going);
    }
    bool numeric = supplied < guard.min_recipients || ordinary > guard.max_removals;
    for (const auto& [what, counts] : parts) {
      const auto whole = counts[0] - counts[1];
      const auto gone = counts[2];
      const auto share =
          static_cast<double>(gone) * 100 > static_cast<double>(whole) * guard.max_removal_percent;
      if (gone < 10) continue;
      if (what.first != 'a' && gone + counts[3] >= whole) numeric = true;
      if (what.first != 'c' && share && (whole >= 20 || what.first == 'a')) numeric = true;
    }
    bool absent = false;
    for (const auto& canary : guard.canaries) {
      const auto one = want.find(canary);
      if (one != want.end() && one->second.supplied) continue;
      absent = true;
      const bool out =
          candidates.contains(canary) && candidates.at(canary).second == Kind::approved;
      if (before.contains(canary) && before.at(canary).accepts() && !refused.contains(canary) &&
          !grace.contains(canary) && !out)
        numeric = true;
    }

    if (generation == 0) {
      bool read = true;
      for (const auto& [name, source] : sources)
        read = read && (!source.configured || (source.complete && !source.unconfirmed));
      published = read && !absent && supplied >= guard.min_recipients;
      if (!published) table = before;
      return;
    }

    const auto held_before = held;
    held.clear();
    pending.clear();
    for (const auto& [address, what] : candidates) {
      const auto& [text, kind] = what;
      const bool let = well && (kind == Kind::expired || !numeric);  // by the guard
      const bool quiet = well && (ordinary == 0 || !numeric);        // it holds nothing
      if (kind != Kind::approved && (!let || world->ring)) {
        const auto was = held_before.find(address);
        const bool same = was != held_before.end() && was->second == text;
        if (!let || (quiet && same))
          held[address] = text;
        else if (quiet)
          pending[address] = text;
      } else if (text.empty() && !grace.contains(address) &&
                 world->config.removal.grace.count() > 0) {
        grace[address] = world->now;
        if (defers()) table[address].reject = deferred;
      } else {
        grace.erase(address);
        if (text.empty())
          table.erase(address);
        else
          table[address].reject = text;
      }
      if (kind == Kind::approved) approved.insert(address);
    }
  }

  void follow_pinned(const std::map<std::string, Want>& want, std::set<std::string> all,
                     std::optional<std::uint64_t> back_to) {
    held.clear();
    if (back_to) {
      rolled_back = true;
      grace.clear();
      const auto& then = ledger.at(*back_to);
      for (const auto& [address, text] : then) {
        table[address].reject = text;
        all.insert(address);
      }
      std::erase_if(table, [&](const auto& item) { return !then.contains(item.first); });
    }
    pending.clear();
    for (const auto& address : all) {
      const auto found = want.find(address);
      const Want one = found == want.end() ? Want{} : found->second;
      const auto row = table.find(address);
      if (one.accepts()) refused.erase(address);
      if (row == table.end()) {
        if (one.listed) pending[address] = one.row.reject;
        continue;
      }
      if (one.accepts() && row->second.accepts()) row->second = one.row;
      const bool kept = row->second.accepts() && !one.accepts() && refused.contains(address);
      if ((!one.listed || one.row.reject != row->second.reject) && !kept)
        pending[address] = one.row.reject;
    }
  }
};

}  // namespace rcptsync::service::test
