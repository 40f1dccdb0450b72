#include "service/why.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "recipient/rules.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;
using Verdict = WhyReport::Verdict;
using Holds = WhyReport::Target::Holds;

// Enough for a person; a value that stands in more objects is a mistake that the first ones show.
constexpr std::size_t most_witnesses = 100;

class Inquiry {
 public:
  Inquiry(store::View& view, const config::Config& config, WhyReport& report)
      : view_(view), config_(config), report_(report) {}

  Result<> run() {
    auto sources = view_.sources();
    if (!sources) return sources.error();
    sources_ = std::move(*sources);
    if (auto done = find_row(); !done) return done;
    if (row_) {
      if (auto done = describe_row(); !done) return done;
    } else {
      if (auto done = explain_absence(); !done) return done;
    }
    return report_.verdict == Verdict::no_address ? Result<>{} : ask_targets();
  }

 private:
  // As Postfix looks: the address, without its extension, then the domain (relay_recipient_maps).
  Result<> find_row() {
    auto parsed = recipient::parse_address(recipient::without_prefix(report_.asked));
    report_.syntax = parsed.drop;
    if (parsed.canonical.empty()) {
      report_.verdict = Verdict::no_address;
      return {};
    }
    report_.address = std::move(parsed.canonical);
    const auto local = recipient::local_of(report_.address);
    const auto domain = recipient::domain_of(report_.address);
    std::vector<std::string> keys{report_.address};
    if (const auto plus = local.find('+'); plus != std::string_view::npos && plus > 0)
      keys.push_back(fmt::format("{}@{}", local.substr(0, plus), domain));
    keys.push_back(fmt::format("@{}", domain));
    for (auto& key : keys) {
      auto found = view_.recipient(key);
      if (!found) return found.error();
      if (!*found) continue;
      row_ = std::move(*found);
      report_.entry = std::move(key);
      return {};
    }
    return {};
  }

  Result<> describe_row() {
    report_.verdict = row_->reject.empty() ? Verdict::listed : Verdict::rejected;
    report_.reject = row_->reject;
    auto since = moment(row_->since);
    if (!since) return since.error();
    report_.since = std::move(*since);
    const auto held = view_.each_held([&](std::string_view address, const store::HeldRecord&) {
      report_.held = report_.held || address == report_.entry;
      return !report_.held;
    });
    if (!held) return held;
    auto owners = view_.owners(report_.entry);
    if (!owners) return owners.error();
    for (const auto& owner : *owners) {
      if (report_.owners.size() >= most_witnesses) break;
      auto object = view_.object(owner.source, owner.key);
      if (!object) return object.error();
      if (!*object) continue;
      for (const auto& value : (*object)->values)
        if (value.canonical == report_.entry && value.drop == recipient::Drop::kept)
          report_.owners.push_back(witness(owner.source, **object, value));
    }
    return {};
  }

  Result<> explain_absence() {
    if (report_.verdict != Verdict::no_address) {
      auto rules = recipient::Rules::compile(config_.recipients);
      if (!rules) return rules.error();
      report_.rule = rules->judge(report_.address, &report_.rule_line);
      if (auto done = find_vanishing(); !done) return done;
    }
    const auto asked = recipient::without_prefix(report_.asked);
    for (const auto& source : sources_) {
      const auto visited =
          view_.each_object(source.id, [&](std::string_view, const store::ObjectRecord& object) {
            for (const auto& value : object.values) {
              const bool same = value.canonical.empty()
                                    ? recipient::without_prefix(value.text) == asked
                                    : value.canonical == report_.address;
              if (same) report_.dropped.push_back(witness(source.id, object, value));
            }
            return report_.dropped.size() < most_witnesses;
          });
      if (!visited) return visited;
    }
    return {};
  }

  // The newest generation that removed the address, among those that are kept.
  Result<> find_vanishing() {
    const auto generations = view_.generations(std::numeric_limits<std::size_t>::max());
    if (!generations) return generations.error();
    for (const auto& generation : *generations) {
      if (generation.removed == 0) continue;
      bool found = false;
      const auto visited = view_.each_change(generation.number, [&](const store::Change& change) {
        found = change.operation == store::Operation::removed && change.address == report_.address;
        return !found && change.address <= report_.address;  // sorted by address
      });
      if (!visited) return visited;
      if (!found) continue;
      report_.vanished = {generation.number, generation.time};
      return {};
    }
    return {};
  }

  Result<> ask_targets() {
    const auto domain = recipient::domain_of(report_.address);
    for (const auto& configured : config_.targets) {
      auto record = view_.target(configured.name);
      if (!record) return record.error();
      WhyReport::Target target{configured.name, Holds::unknown,
                               *record ? (*record)->generation : 0};
      const bool wanted = configured.domains.empty() ||
                          std::ranges::any_of(configured.domains, [&](const std::string& name) {
                            return recipient::canonical_domain(name) == domain;
                          });
      if (!wanted)
        target.holds = Holds::not_for_it;
      else if (target.generation > 0)
        target.holds = holds(target.generation);
      report_.targets.push_back(std::move(target));
    }
    return {};
  }

  // Whether the table of that generation accepted it.
  [[nodiscard]] Holds holds(std::uint64_t generation) const {
    if (report_.since && generation >= report_.since->generation)
      return report_.verdict == Verdict::listed ? Holds::yes : Holds::no;
    if (report_.since) return Holds::unknown;  // an older row may have stood there
    if (report_.vanished)
      return generation >= report_.vanished->generation ? Holds::no : Holds::yes;
    return Holds::no;
  }

  Result<WhyReport::Moment> moment(std::uint64_t number) {
    const auto generation = view_.generation(number);
    if (!generation) return generation.error();
    WhyReport::Moment moment{number, std::nullopt};
    if (*generation) moment.time = (*generation)->time;
    return moment;
  }

  WhyReport::Witness witness(store::SourceId source, const store::ObjectRecord& object,
                             const store::StoredValue& value) const {
    WhyReport::Witness witness{{},
                               object.origin,
                               value.attribute,
                               value.text,
                               value.reject,
                               object.drop == recipient::Drop::kept ? value.drop : object.drop,
                               value.rule_line};
    for (const auto& record : sources_)
      if (record.id == source) witness.source = record.name;
    return witness;
  }

  store::View& view_;
  const config::Config& config_;
  WhyReport& report_;
  std::vector<store::SourceRecord> sources_;
  std::optional<store::RecipientRecord> row_;
};

std::string when(const WhyReport::Moment& moment) {
  return moment.time ? fmt::format("generation {} of {}", moment.generation, rfc3339(*moment.time))
                     : fmt::format("generation {}, which is no longer kept", moment.generation);
}

std::string place(const WhyReport::Witness& witness) {
  if (witness.source.empty()) return fmt::format("configuration, line {}", witness.line);
  return fmt::format("{}: {}", witness.source, escape(witness.origin));
}

void print_witness(std::ostream& out, const WhyReport::Witness& witness) {
  fmt::print(out, "  {}\n    {}: {}\n", place(witness), escape(witness.attribute),
             escape(witness.text));
  if (witness.drop != recipient::Drop::kept)
    fmt::print(out, "    left out: {}{}\n", recipient::to_string(witness.drop),
               witness.line > 0 ? fmt::format(" (line {})", witness.line) : "");
  else if (!witness.reject.empty())
    fmt::print(out, "    rejected: {}\n", escape(witness.reject));
}

std::string_view words(Holds holds) {
  switch (holds) {
    case Holds::yes:
      return "accepts it";
    case Holds::no:
      return "does not accept it";
    case Holds::unknown:
      return "not known";
    case Holds::not_for_it:
      return "gets other domains only";
  }
  return "not known";
}

std::string_view key(Holds holds) {
  switch (holds) {
    case Holds::yes:
      return "yes";
    case Holds::no:
      return "no";
    case Holds::unknown:
      return "unknown";
    case Holds::not_for_it:
      return "other-domains";
  }
  return "unknown";
}

std::string_view key(Verdict verdict) {
  switch (verdict) {
    case Verdict::listed:
      return "listed";
    case Verdict::rejected:
      return "rejected";
    case Verdict::not_listed:
      return "not-listed";
    case Verdict::no_address:
      return "no-address";
  }
  return "not-listed";
}

std::string headline(const WhyReport& report) {
  const auto shown = escape(report.address.empty() ? report.asked : report.address);
  const auto by = report.entry.empty() || report.entry == report.address
                      ? std::string{}
                      : fmt::format(" as {}", report.entry);
  switch (report.verdict) {
    case Verdict::listed:
      return fmt::format("{} is listed{}{}", shown, by,
                         report.held ? ", only because its removal is held" : "");
    case Verdict::rejected:
      return fmt::format("{} is rejected{}: {}", shown, by, escape(report.reject));
    case Verdict::not_listed:
      return fmt::format("{} is not listed", shown);
    case Verdict::no_address:
      return fmt::format("{} is no address: {}", shown, recipient::to_string(report.syntax));
  }
  return shown;
}

json to_json(const WhyReport::Witness& witness) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
  };
  return {
      {"source", or_null(witness.source)},
      {"origin", witness.origin},
      {"attribute", witness.attribute},
      {"value", witness.text},
      {"reject", or_null(witness.reject)},
      {"dropped", witness.drop == recipient::Drop::kept ? json(nullptr)
                                                        : json(recipient::to_string(witness.drop))},
      {"line", witness.line == 0 ? json(nullptr) : json(witness.line)}};
}

json to_json(const std::optional<WhyReport::Moment>& moment) {
  if (!moment) return nullptr;
  return {{"generation", moment->generation},
          {"time", moment->time ? json(rfc3339(*moment->time)) : json(nullptr)}};
}

}  // namespace

Result<WhyReport> gather_why(store::View& view, const config::Config& config,
                             std::string_view address) {
  WhyReport report;
  report.asked = address;
  if (auto done = Inquiry(view, config, report).run(); !done) return done.error();
  return report;
}

void print_why_text(std::ostream& out, const WhyReport& report) {
  fmt::print(out, "{}\n", headline(report));
  if (report.since) fmt::print(out, "since {}\n", when(*report.since));
  if (report.vanished) fmt::print(out, "removed by {}\n", when(*report.vanished));
  if (!report.owners.empty()) fmt::print(out, "\nowned by\n");
  for (const auto& owner : report.owners) print_witness(out, owner);
  if (report.rule != recipient::Drop::kept)
    fmt::print(out, "\nno such address can be listed: {}{}\n", recipient::to_string(report.rule),
               report.rule_line > 0 ? fmt::format(" (line {})", report.rule_line) : "");
  if (!report.dropped.empty()) fmt::print(out, "\nleft out of\n");
  for (const auto& value : report.dropped) print_witness(out, value);
  if (report.verdict == Verdict::not_listed && report.dropped.empty() &&
      report.rule == recipient::Drop::kept)
    fmt::print(out, "\nno source named it at its last good read\n");
  if (!report.targets.empty()) fmt::print(out, "\ntargets\n");
  for (const auto& target : report.targets)
    fmt::print(out, "  {}: {}{}\n", target.name, words(target.holds),
               target.generation > 0 ? fmt::format(" (generation {})", target.generation)
                                     : " (holds no table of ours yet)");
}

void print_why_json(std::ostream& out, const WhyReport& report) {
  const auto drop = [](recipient::Drop value) {
    return value == recipient::Drop::kept ? json(nullptr) : json(recipient::to_string(value));
  };
  const auto or_null = [](const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
  };
  json document = {{"asked", report.asked},
                   {"address", or_null(report.address)},
                   {"verdict", key(report.verdict)},
                   {"entry", or_null(report.entry)},
                   {"reject", or_null(report.reject)},
                   {"held", report.held},
                   {"since", to_json(report.since)},
                   {"vanished", to_json(report.vanished)},
                   {"syntax", drop(report.syntax)},
                   {"rule", drop(report.rule)},
                   {"rule_line", report.rule_line == 0 ? json(nullptr) : json(report.rule_line)},
                   {"owners", json::array()},
                   {"dropped", json::array()},
                   {"targets", json::array()}};
  for (const auto& owner : report.owners) document["owners"].push_back(to_json(owner));
  for (const auto& value : report.dropped) document["dropped"].push_back(to_json(value));
  for (const auto& target : report.targets)
    document["targets"].push_back(
        {{"name", target.name},
         {"holds", key(target.holds)},
         {"generation", target.generation == 0 ? json(nullptr) : json(target.generation)}});
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

}  // namespace rcptsync::service
