// examine — looks at a target without changing anything there: could a push be carried out, and
// what is served now.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"
#include "push/recipe.hpp"

namespace rcptsync::push {

/// One thing that a push needs.
struct ProbeStep {
  enum class Verdict { passed, warning, failed };
  Verdict verdict = Verdict::passed;
  std::string name;   ///< `host key`
  std::string found;  ///< what is there, or what is wrong and what to do
};

/// Everything that a push to the target needs, in order, up to the first that fails. `bytes`: size
/// of its tables; `has_access`: an access table belongs to it. `target` must live until the end,
/// which comes at the latest after its timeout.
boost::asio::awaitable<std::vector<ProbeStep>> probe(const config::Target& target,
                                                     std::uint64_t bytes, bool has_access);

/// One table as it is served.
struct ServedTable {
  TableState state;
  std::uint64_t entries = 0;  ///< lines of the text
};

struct Served {
  ServedTable recipients;
  std::optional<ServedTable> access;  ///< nothing: not asked for, and none is there
  std::string map_type;
  std::vector<std::string> faults;    ///< an index that does not say what its text says
  std::vector<std::string> warnings;  ///< for example: main.cf does not name this table
};

/// What the target serves. Errc::busy if a push replaces it at this moment. Other errors as those
/// of push().
boost::asio::awaitable<Result<Served>> look(const config::Target& target, bool has_access);

}  // namespace rcptsync::push
