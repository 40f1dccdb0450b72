// why_text — a WhyReport in words.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <ostream>

#include "base/escape.hpp"
#include "base/plural.hpp"
#include "recipient/address.hpp"
#include "service/why.hpp"

namespace rcptsync::service {
namespace {

using Verdict = WhyReport::Verdict;
using Match = WhyReport::Match;
using Stay = WhyReport::Stay;
using Holds = WhyReport::Target::Holds;
using How = WhyReport::NearMiss::How;
using source::Missed;

std::string since(const std::optional<WallTime>& time) {
  return time ? " since " + rfc3339(*time) : std::string();
}

std::string when(const WhyReport::Moment& moment) {
  return moment.time ? fmt::format("generation {} of {}", moment.generation, rfc3339(*moment.time))
                     : fmt::format("generation {}, which is no longer kept", moment.generation);
}

/// `rcptsync.yaml, line 12`
std::string place(const WhyReport::Rule& rule) {
  if (rule.line == 0) return {};
  const std::filesystem::path file(rule.file);
  return fmt::format("{}, line {}", escape(file.filename().native()), rule.line);
}

std::string in_brackets(const std::string& text) {
  return text.empty() ? text : " (" + text + ")";
}

class Writer {
 public:
  Writer(std::ostream& out, const WhyReport& report, const Terminal& terminal,
         const config::Config& config)
      : out_(out), report_(report), terminal_(terminal), config_(config) {}

  void write() {
    verdict();
    for (const auto& stay : report_.stays) line(words(stay), 0);
    if (report_.since) line("since " + when(*report_.since), 0);
    if (report_.vanished) line("removed by " + when(*report_.vanished), 0);
    rule();
    witnesses("owned by", report_.owners);
    witnesses("left out", report_.dropped);
    if (report_.verdict == Verdict::not_listed && report_.owners.empty() &&
        report_.dropped.empty() && report_.rule == recipient::Drop::kept)
      line("no source named it at its last good read; --live asks them now", 0);
    near_misses();
    live();
    targets();
  }

 private:
  void line(std::string_view text, std::size_t indent) { out_ << terminal_.wrapped(text, indent); }
  void heading(std::string_view text) { fmt::print(out_, "\n{}\n", terminal_.bold(text)); }

  void verdict() {
    const auto shown = escape(report_.address.empty() ? report_.asked : report_.address);
    switch (report_.verdict) {
      case Verdict::listed:
        line(fmt::format("{} is {}{}", shown, terminal_.green("listed"), by()), 0);
        break;
      case Verdict::rejected:
        line(fmt::format("{} is {}{}: {}", shown, terminal_.red("rejected"), by(),
                         escape(report_.reject, 400)),
             0);
        break;
      case Verdict::not_listed:
        line(fmt::format("{} is {}", shown, terminal_.red("not listed")), 0);
        break;
      case Verdict::no_address:
        line(fmt::format("{} is {}: {}", shown, terminal_.red("no address"),
                         recipient::to_string(report_.syntax)),
             0);
        break;
    }
    const auto typed = recipient::without_prefix(report_.asked);
    if (!report_.address.empty() && typed != report_.address)
      line(fmt::format("asked for as {}", escape(typed)), 0);
  }

  /// By which row, if it is not its own.
  [[nodiscard]] std::string by() const {
    switch (report_.match) {
      case Match::exact:
        return {};
      case Match::extension:
        return fmt::format(" as {}, where recipient_delimiter is +", escape(report_.entry));
      case Match::wildcard:
        return fmt::format(" as {}, like every address of that domain", escape(report_.entry));
    }
    return {};
  }

  [[nodiscard]] std::string words(const Stay& stay) const {
    switch (stay.why) {
      case Stay::Why::held:
        return fmt::format(
            "it stays only because its removal is held{}{}: {}; rcptsyncctl approve {} lets it go",
            since(stay.since), stay.by_configuration ? " (by a change of the configuration)" : "",
            stay.reason, stay.digest.brief());
      case Stay::Why::refused:
        return fmt::format(
            "it stays only because {} rejected its removal{}; rcptsyncctl approve {} lets it go",
            stay.by.empty() ? "somebody" : escape(stay.by), since(stay.since), stay.digest.brief());
      case Stay::Why::grace:
        return fmt::format("it vanished{} and is {} until {} (removal.grace)",
                           stay.since ? " at " + rfc3339(*stay.since) : "",
                           report_.reject.empty() ? "still accepted" : "answered 450",
                           stay.until ? rfc3339(*stay.until) : "its grace is over");
      case Stay::Why::pinned:
        return fmt::format(
            "the directory says otherwise, but a rollback pins generation {}; rcptsyncctl resync "
            "ends that",
            stay.generation);
      case Stay::Why::first_table:
        return fmt::format("no table is in force yet, the first one is held{}: {}",
                           since(stay.since), stay.reason);
      case Stay::Why::waiting:
        return "a source supplies it, but the table in force does not have it yet";
    }
    return {};
  }

  void rule() {
    if (report_.rule == recipient::Drop::kept) return;
    out_ << '\n';
    const auto& rule = report_.rule_place;
    line(fmt::format("no such address can be listed: {}{}{}", recipient::to_string(report_.rule),
                     rule.text.empty() ? "" : ": " + escape(rule.text), in_brackets(place(rule))),
         0);
  }

  void witnesses(std::string_view title, const std::vector<WhyReport::Witness>& list) {
    if (list.empty()) return;
    heading(title);
    for (const auto& witness : list) {
      if (witness.source.empty())
        line(fmt::format("configuration: {}{}", escape(witness.origin),
                         in_brackets(place(witness.rule))),
             2);
      else
        line(fmt::format("{}: {} ({})", witness.source, escape(witness.origin, 1100),
                         recipient::to_string(witness.kind)),
             2);
      line(fmt::format("{}: {}", escape(witness.attribute), escape(witness.text, 400)), 4);
      if (witness.drop != recipient::Drop::kept)
        line(fmt::format("left out: {}{}{}", recipient::to_string(witness.drop),
                         witness.rule.text.empty() ? "" : ": " + escape(witness.rule.text),
                         in_brackets(place(witness.rule))),
             4);
      else if (!witness.reject.empty())
        line("rejected: " + escape(witness.reject, 400), 4);
    }
  }

  void near_misses() {
    if (report_.near_misses.empty()) return;
    heading("listed, and nearly the same");
    for (const auto& miss : report_.near_misses) {
      const auto* const how = miss.how == How::local_typo    ? "one character differs"
                              : miss.how == How::domain_typo ? "one character of the domain differs"
                                                             : "another domain";
      line(fmt::format("{} ({})", escape(miss.address), how), 2);
    }
  }

  void live() {
    if (report_.live.empty()) return;
    heading("asked now");
    for (const auto& live : report_.live) {
      if (!live.answer) {
        line(fmt::format("{}: {} {}", live.source, terminal_.red("no answer:"),
                         live.answer.error().message),
             2);
        continue;
      }
      const auto& answer = *live.answer;
      const auto at = answer.server.empty() ? "" : in_brackets(escape(answer.server));
      if (answer.sightings.empty()) {
        line(fmt::format(
                 "{}{}: nothing there has it{}", live.source, at,
                 answer.places.empty()
                     ? ""
                     : fmt::format(" below {}, as far as this account can see",
                                   escape(fmt::format("{}", fmt::join(answer.places, "; ")), 400))),
             2);
        continue;
      }
      line(fmt::format("{}{}: {}{}", live.source, at,
                       counted(answer.sightings.size(), "object has it", "objects have it"),
                       answer.more ? ", and more" : ""),
           2);
      for (const auto& sighting : answer.sightings) sighted(live, sighting);
    }
  }

  void sighted(const WhyReport::Live& live, const source::Sighting& sighting) {
    line(fmt::format("{} ({})", escape(sighting.origin, 1100), recipient::to_string(sighting.kind)),
         4);
    for (const auto& value : sighting.values)
      line(fmt::format("{}: {}", escape(value.attribute), escape(value.text, 400)), 6);
    for (const auto missed : sighting.missed)
      line(terminal_.red("not read: ") + words(live, sighting, missed), 6);
    if (!sighting.missed.empty()) return;
    if (report_.verdict == Verdict::listed || report_.verdict == Verdict::rejected)
      line("a read brings it", 6);
    else if (report_.rule != recipient::Drop::kept || report_.verdict == Verdict::no_address)
      line("a read brings it, and the rules leave it out", 6);
    else
      line("a read brings it: the next poll adds it", 6);
  }

  [[nodiscard]] std::string words(const WhyReport::Live& live, const source::Sighting& sighting,
                                  Missed missed) const {
    const auto setting = fmt::format(" ({} of source {}, line {})", source::setting_of(missed),
                                     live.source, live.line);
    const auto* const ldap = settings_of(live.source);
    const auto attribute = sighting.values.empty() ? "" : escape(sighting.values.front().attribute);
    switch (missed) {
      case Missed::base:
        return fmt::format("it stands below none of the bases{}{}",
                           ldap != nullptr && !ldap->bases.empty()
                               ? " " + escape(fmt::format("{}", fmt::join(ldap->bases, "; ")), 400)
                               : "",
                           setting);
      case Missed::filter:
        return fmt::format("the filter {} does not fit it{}",
                           ldap != nullptr ? escape(ldap->filter, 400) : "", setting);
      case Missed::sender_authentication:
        return "it takes mail from authenticated senders only; keep would list it" + setting;
      case Missed::system_object:
        return "it is a mailbox of Exchange itself; keep would list it" + setting;
      case Missed::attribute:
        return fmt::format("{} is neither in addresses nor in fallback{}", attribute, setting);
      case Missed::fallback:
        return fmt::format("{} counts only for objects that have none of addresses{}", attribute,
                           setting);
    }
    return setting;
  }

  [[nodiscard]] const config::LdapSource* settings_of(const std::string& name) const {
    for (const auto& source : config_.sources)
      if (source.name == name) return std::get_if<config::LdapSource>(&source.details);
    return nullptr;
  }

  void targets() {
    if (report_.targets.empty()) return;
    heading("targets");
    for (const auto& target : report_.targets) {
      const auto* const holds = target.holds == Holds::yes          ? "accepts it"
                                : target.holds == Holds::no         ? "does not accept it"
                                : target.holds == Holds::not_for_it ? "gets other domains only"
                                : target.holds == Holds::not_carried
                                    ? "does not accept it, its table's format cannot carry it"
                                    : "not known";
      line(fmt::format("{}: {}{}{}", target.name, holds,
                       target.generation > 0 ? fmt::format(" (generation {})", target.generation)
                                             : " (holds no table of ours yet)",
                       target.failing ? ", failing since" : ""),
           2);
    }
  }

  std::ostream& out_;
  const WhyReport& report_;
  const Terminal& terminal_;
  const config::Config& config_;
};

}  // namespace

void print_why_text(std::ostream& out, const WhyReport& report, const Terminal& terminal,
                    const config::Config& config) {
  Writer(out, report, terminal, config).write();
}

}  // namespace rcptsync::service
