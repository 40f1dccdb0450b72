// why — the reason for which an address is listed or not: who owns it, which rule dropped it, what
// keeps it although nobody supplies it, since when, what each target holds of it, and what is
// nearly the same.
//
// Gathered from one view of the state, so it says what is in force. What a directory says right now
// is asked for afterwards, if at all.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"
#include "service/terminal.hpp"
#include "source/ask.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

struct WhyQuery {
  std::string address;  ///< as a person types it, with or without `smtp:`
  bool live = false;    ///< ask the sources, too
};

struct WhyReport {
  enum class Verdict {
    listed,      ///< the targets accept it
    rejected,    ///< listed with a reject text
    not_listed,  ///< the targets answer 550
    no_address   ///< not an address at all
  };
  /// By which row (relay_recipient_maps looks them up in this order).
  enum class Match { exact, extension, wildcard };

  /// A line of the configuration or of a file that it names.
  struct Rule {
    std::string text;  ///< the exclusion as it is written; empty: it has none
    std::string file;
    std::uint32_t line = 0;  ///< 0: not known
  };

  /// One value of one object, or one line of the configuration.
  struct Witness {
    std::string source;  ///< name; empty: the configuration
    std::string origin;  ///< DN, file:line, `always`, `static`
    recipient::ObjectClass kind = recipient::ObjectClass::other;
    std::string attribute;
    std::string text;    ///< as it stands there
    std::string reject;  ///< what this one says; empty: accepted
    recipient::Drop drop = recipient::Drop::kept;
    Rule rule;  ///< that dropped it, or the line where the word stands
  };

  struct Moment {
    std::uint64_t generation = 0;
    std::optional<WallTime> time;  ///< nothing if that generation is no longer kept
  };

  struct Target {
    std::string name;
    enum class Holds {
      yes,
      no,
      unknown,
      not_for_it,  ///< it gets other domains only
      not_carried  ///< listed, but the format of its table cannot say it
    } holds = Holds::unknown;
    std::uint64_t generation = 0;  ///< that it was last seen to hold; 0: none of ours
    std::optional<WallTime> seen;  ///< when that was
    bool failing = false;          ///< its last push failed since
  };

  /// Why it is listed although nobody supplies it, or not although somebody does.
  struct Stay {
    enum class Why {
      held,         ///< the guard holds its removal
      refused,      ///< an operator rejected its removal
      grace,        ///< it vanished; removal.grace is not over
      pinned,       ///< a rollback pins the table
      first_table,  ///< no table is in force yet, the first one is held
      waiting       ///< the next cycle decides
    };
    Why why = Why::held;
    Digest digest;                  ///< held, refused: which removals
    std::string by;                 ///< refused: who
    std::optional<WallTime> since;  ///< held, refused, grace
    std::optional<WallTime> until;  ///< grace
    bool by_configuration = false;  ///< held
    std::uint64_t generation = 0;   ///< pinned
    std::string reason;             ///< held, first_table: the guard's words
  };

  struct NearMiss {
    std::string address;
    enum class How { domain_typo, local_typo, other_domain } how = How::local_typo;
  };

  /// What a source answered when it was asked.
  struct Live {
    std::string source;
    std::uint32_t line = 0;  ///< of the source in the configuration
    Result<source::Answer> answer = Error{};
  };

  std::string asked;
  std::string address;  ///< canonical; empty with no_address
  recipient::Drop syntax = recipient::Drop::kept;
  Verdict verdict = Verdict::not_listed;
  std::string entry;  ///< the row that decides: the address, without its extension, or `@domain`
  Match match = Match::exact;
  std::string reject;
  std::vector<Stay> stays;
  std::optional<Moment> since;                   ///< when the row came or last changed
  std::optional<Moment> vanished;                ///< not listed: the generation that took it out
  recipient::Drop rule = recipient::Drop::kept;  ///< what the rules say of any such address
  Rule rule_place;
  std::vector<Witness> owners;   ///< of the row, or of the address if it has none
  std::vector<Witness> dropped;  ///< not listed: who has the address all the same
  std::vector<Target> targets;
  std::vector<NearMiss> near_misses;  ///< not listed: accepted addresses, at most five
  std::vector<Live> live;

  [[nodiscard]] bool held() const;
};

Result<WhyReport> gather_why(store::View& view, const config::Config& config,
                             std::string_view address);

/// Asks every source for the address, past its filter. Blocks within the sources' timeouts,
/// and until `stop`.
void ask_sources(WhyReport& report, const config::Config& config, const std::stop_token& stop);

void print_why_text(std::ostream& out, const WhyReport& report, const Terminal& terminal,
                    const config::Config& config);
void print_why_json(std::ostream& out, const WhyReport& report);

}  // namespace rcptsync::service
