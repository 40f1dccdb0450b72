// why_json — a WhyReport for programs. The keys are documented in rcptsyncctl(1).
#include <nlohmann/json.hpp>
#include <ostream>

#include "service/why.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;
using Verdict = WhyReport::Verdict;
using Match = WhyReport::Match;
using Stay = WhyReport::Stay;
using Holds = WhyReport::Target::Holds;
using How = WhyReport::NearMiss::How;

json or_null(std::string_view text) {
  return text.empty() ? json(nullptr) : json(text);
}
json or_null(std::uint64_t number) {
  return number == 0 ? json(nullptr) : json(number);
}
json or_null(const Digest& digest) {
  return digest == Digest{} ? json(nullptr) : json(digest.hex());
}
json or_null(const std::optional<WallTime>& time) {
  return time ? json(rfc3339(*time)) : json(nullptr);
}
json or_null(recipient::Drop drop) {
  return drop == recipient::Drop::kept ? json(nullptr) : json(recipient::to_string(drop));
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

std::string_view key(Match match) {
  switch (match) {
    case Match::exact:
      return "exact";
    case Match::extension:
      return "extension";
    case Match::wildcard:
      return "wildcard";
  }
  return "exact";
}

std::string_view key(Stay::Why why) {
  switch (why) {
    case Stay::Why::held:
      return "held";
    case Stay::Why::refused:
      return "refused";
    case Stay::Why::grace:
      return "grace";
    case Stay::Why::pinned:
      return "pinned";
    case Stay::Why::first_table:
      return "first-table";
    case Stay::Why::waiting:
      return "waiting";
  }
  return "waiting";
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
    case Holds::not_carried:
      return "not-carried";
  }
  return "unknown";
}

std::string_view key(How how) {
  switch (how) {
    case How::local_typo:
      return "local-part";
    case How::domain_typo:
      return "domain";
    case How::other_domain:
      return "other-domain";
  }
  return "local-part";
}

json to_json(const WhyReport::Witness& witness) {
  return {{"source", or_null(witness.source)},
          {"origin", witness.origin},
          {"class", recipient::to_string(witness.kind)},
          {"attribute", witness.attribute},
          {"value", witness.text},
          {"reject", or_null(witness.reject)},
          {"dropped", or_null(witness.drop)},
          {"rule", or_null(witness.rule.text)},
          {"file", or_null(witness.rule.file)},
          {"line", or_null(witness.rule.line)}};
}

json to_json(const std::optional<WhyReport::Moment>& moment) {
  if (!moment) return nullptr;
  return {{"generation", moment->generation}, {"time", or_null(moment->time)}};
}

json to_json(const Stay& stay) {
  return {{"why", key(stay.why)},
          {"digest", or_null(stay.digest)},
          {"by", or_null(stay.by)},
          {"since", or_null(stay.since)},
          {"until", or_null(stay.until)},
          {"by_configuration", stay.by_configuration},
          {"generation", or_null(stay.generation)},
          {"reason", or_null(stay.reason)}};
}

json to_json(const WhyReport::Target& target) {
  return {{"name", target.name},
          {"holds", key(target.holds)},
          {"generation", or_null(target.generation)},
          {"last_success", or_null(target.seen)},
          {"failing", target.failing}};
}

json to_json(const WhyReport::NearMiss& miss) {
  return {{"address", miss.address}, {"differs", key(miss.how)}};
}

json to_json(const source::Sighting& sighting) {
  json object = {{"origin", sighting.origin},
                 {"class", recipient::to_string(sighting.kind)},
                 {"values", json::array()},
                 {"missed", json::array()}};
  for (const auto& value : sighting.values)
    object["values"].push_back({{"attribute", value.attribute}, {"value", value.text}});
  for (const auto missed : sighting.missed) object["missed"].push_back(source::setting_of(missed));
  return object;
}

json to_json(const WhyReport::Live& live) {
  json object = {{"source", live.source},
                 {"error", nullptr},
                 {"server", nullptr},
                 {"more", false},
                 {"objects", json::array()}};
  if (!live.answer) {
    object["error"] = live.answer.error().message;
    return object;
  }
  object["server"] = or_null(live.answer->server);
  object["more"] = live.answer->more;
  for (const auto& sighting : live.answer->sightings)
    object["objects"].push_back(to_json(sighting));
  return object;
}

template <class T>
json list(const std::vector<T>& items) {
  auto array = json::array();
  for (const auto& item : items) array.push_back(to_json(item));
  return array;
}

}  // namespace

void print_why_json(std::ostream& out, const WhyReport& report) {
  const json document = {{"asked", report.asked},
                         {"address", or_null(report.address)},
                         {"verdict", key(report.verdict)},
                         {"entry", or_null(report.entry)},
                         {"match", report.entry.empty() ? json(nullptr) : json(key(report.match))},
                         {"reject", or_null(report.reject)},
                         {"held", report.held()},
                         {"stays", list(report.stays)},
                         {"since", to_json(report.since)},
                         {"vanished", to_json(report.vanished)},
                         {"syntax", or_null(report.syntax)},
                         {"rule", or_null(report.rule)},
                         {"rule_text", or_null(report.rule_place.text)},
                         {"rule_file", or_null(report.rule_place.file)},
                         {"rule_line", or_null(report.rule_place.line)},
                         {"owners", list(report.owners)},
                         {"dropped", list(report.dropped)},
                         {"near_misses", list(report.near_misses)},
                         {"live", list(report.live)},
                         {"targets", list(report.targets)}};
  out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

}  // namespace rcptsync::service
