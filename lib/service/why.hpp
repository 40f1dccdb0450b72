// why — the reason for which an address is listed or not: who owns it, which rule dropped it, since
// when, and what each target holds of it.
//
// Gathered from one view of the state, so it says what is in force, not what a directory says now.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct WhyReport {
  enum class Verdict {
    listed,      ///< the targets accept it
    rejected,    ///< listed with a reject text
    not_listed,  ///< the targets answer 550
    no_address   ///< not an address at all
  };

  /// One value of one object, or one line of the configuration.
  struct Witness {
    std::string source;  ///< name; empty: the configuration
    std::string origin;  ///< DN, file:line, `always`, `static`
    std::string attribute;
    std::string text;    ///< as it stands there
    std::string reject;  ///< what this one says; empty: accepted
    recipient::Drop drop = recipient::Drop::kept;
    std::uint32_t line = 0;  ///< of the configuration, if that is where the word stands
  };

  struct Moment {
    std::uint64_t generation = 0;
    std::optional<WallTime> time;  ///< nothing if that generation is no longer kept
  };

  struct Target {
    std::string name;
    enum class Holds { yes, no, unknown, not_for_it } holds = Holds::unknown;
    std::uint64_t generation = 0;  ///< that it was last seen to hold; 0: none of ours
  };

  std::string asked;
  std::string address;  ///< canonical; empty with no_address
  recipient::Drop syntax = recipient::Drop::kept;
  Verdict verdict = Verdict::not_listed;
  std::string entry;  ///< the row that decides: the address, without its extension, or `@domain`
  std::string reject;
  bool held = false;               ///< it stays only because the guard holds its removal
  std::optional<Moment> since;     ///< when the row came or last changed
  std::optional<Moment> vanished;  ///< not listed: the generation that took it out
  recipient::Drop rule = recipient::Drop::kept;  ///< what the rules say of any such address
  std::uint32_t rule_line = 0;
  std::vector<Witness> owners;   ///< of the row
  std::vector<Witness> dropped;  ///< not listed: who has the address all the same
  std::vector<Target> targets;
};

/// `address` as a person types it, with or without `smtp:`.
Result<WhyReport> gather_why(store::View& view, const config::Config& config,
                             std::string_view address);

void print_why_text(std::ostream& out, const WhyReport& report);
void print_why_json(std::ostream& out, const WhyReport& report);

}  // namespace rcptsync::service
