// tree — YAML text as a tree of nodes that keep their lines, duplicate keys and order.
//
// The parser's own node type merges duplicate keys silently and expands aliases, so this is built
// from its events instead. What a configuration never needs is refused: aliases, anchors, tags,
// several documents, depth, binary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/faults.hpp"

namespace rcptsync::config {

struct Node {
  enum class Kind : std::uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  int line = 0;             ///< from 1
  std::string text;         ///< scalar: its value, well-formed UTF-8
  std::vector<Node> items;  ///< list: the items; map: key, value, key, value, …
};

/// The one document in `yaml` (a UTF-8 byte order mark is ignored). Nothing if it could not be read
/// to its end, with the reason in `faults`; otherwise `faults` may still have grown.
std::optional<Node> parse_tree(const std::string& yaml, FaultList& faults);

}  // namespace rcptsync::config
