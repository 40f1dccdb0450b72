// alerts — what an administrator is told without asking. Pure: how things are and what happened go
// in, alerts come out; the clock is in the report. docs/ALERTS.md has the conditions and the JSON.
//
//   judge()  one alert when a condition begins, one when it ends, and single ones for what happened
//   limit()  at most 20 an hour; what is too much is summed up
//
// What was told stands in AlertMemory, which service/alert_file keeps over restarts.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/event.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "service/status_report.hpp"

namespace rcptsync::service {

using AlertDetails = nlohmann::ordered_json;  ///< an object; its keys depend on the event

struct Alert {
  enum class State { raised, cleared };
  std::string event;      ///< which kind: `change-held`
  std::string condition;  ///< names this one for good: `change-held:DIGEST`
  State state = State::raised;
  WallTime time{};
  WallTime since{};     ///< when the condition began
  std::string summary;  ///< one short line without control characters, for a subject
  std::string text;     ///< what it means and what to do, one line
  AlertDetails details = AlertDetails::object();
  bool operator==(const Alert&) const = default;
};

/// The alert as the program gets it: one line of JSON, ended by a newline.
std::string document(const Alert& alert, std::string_view host);

/// What has to be remembered between two looks and over restarts.
struct AlertMemory {
  struct Raised {
    std::string event;
    WallTime since{};
    std::string over;  ///< the summary for its end
    AlertDetails details = AlertDetails::object();
    bool operator==(const Raised&) const = default;
  };
  struct Failing {
    std::uint32_t polls = 0;  ///< in a row
    WallTime since{};
    bool operator==(const Failing&) const = default;
  };
  struct Behind {
    std::uint64_t generation = 0;  ///< that the target had then
    WallTime since{};
    bool operator==(const Behind&) const = default;
  };
  std::map<std::string, Raised> raised;    ///< by condition
  std::map<std::string, Failing> failing;  ///< by source; the empty name: the state itself
  std::map<std::string, Behind> behind;    ///< by target
  std::vector<WallTime> sent;              ///< in the last hour
  std::vector<Alert> waiting;              ///< more than may be sent
  std::uint64_t not_listed = 0;            ///< further ones that wait, only counted
  std::vector<Alert> queue;                ///< may be sent, and was not delivered yet
  bool operator==(const AlertMemory&) const = default;
};

/// What happened since the last look.
struct AlertNews {
  std::vector<Event> events;
  std::map<std::string, std::uint32_t> failed_polls;  ///< by source, as AlertMemory::failing
};

/// Keeps AlertMemory::failing: adds the polls that failed, forgets what went well or is configured
/// no more.
void count_failures(const StatusReport& report, const AlertNews& news, AlertMemory& memory);

/// The alerts of this look, ends before beginnings. `started`: since when this daemon runs. `due`:
/// when to look again even if nothing happens; it is only ever moved forward, never set later.
/// count_failures() comes first.
std::vector<Alert> judge(const config::Notify& settings, const StatusReport& report,
                         const AlertNews& news, WallTime started, AlertMemory& memory,
                         std::optional<WallTime>& due);

/// Moves to AlertMemory::queue what may be sent now: of the fresh alerts and of those that wait. At
/// most 20 in any hour; the last place is for the sum of what waited for a minute or longer. `due`
/// as above.
void limit(std::vector<Alert> fresh, WallTime now, AlertMemory& memory,
           std::optional<WallTime>& due);

}  // namespace rcptsync::service
