// reader — walks the tree of the configuration: each value knows its path and line, each map says
// which of its keys nobody asked for.
//
//   Map map(value);
//   map.read("port", target.port, port_number);
//   map.finish();
//
// A reading function takes a Value and gives std::optional<T>; if nothing, it has recorded the
// fault.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/faults.hpp"
#include "config/tree.hpp"

namespace rcptsync::config {

class Value {
 public:
  Value(const Node& node, std::string path, int line, FaultList& faults)
      : node_(&node), faults_(&faults), path_(std::move(path)), line_(line) {}

  [[nodiscard]] const Node& node() const { return *node_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int line() const { return line_; }
  [[nodiscard]] FaultList& faults() const { return *faults_; }
  [[nodiscard]] bool is_list() const { return node_->kind == Node::Kind::list; }

  void error(std::string what) const { faults_->error(line_, path_, std::move(what)); }
  void warning(std::string what) const { faults_->warning(line_, path_, std::move(what)); }

  /// A scalar's text: not empty, at most `limit` bytes, no control characters.
  [[nodiscard]] std::optional<std::string> text(std::size_t limit = 1024) const;
  /// The same, but it may be empty and have several lines: a command.
  [[nodiscard]] std::optional<std::string> command() const;
  /// The items of a list of at most `limit`.
  [[nodiscard]] std::optional<std::vector<Value>> list(std::size_t limit) const;

 private:
  [[nodiscard]] const std::string* scalar(std::size_t limit) const;

  const Node* node_;
  FaultList* faults_;
  std::string path_;
  int line_;
};

class Map {
 public:
  /// Records a fault and acts as an empty map if `value` is none. Duplicate keys are recorded here.
  explicit Map(Value value);

  [[nodiscard]] const Value& value() const { return value_; }
  [[nodiscard]] bool has(std::string_view key) const { return node(key) != nullptr; }

  /// The value of `key`, which becomes a known key. A key without a value is a fault.
  std::optional<Value> find(std::string_view key);
  /// As find(), but its absence is a fault; `example` says what to write.
  std::optional<Value> require(std::string_view key, std::string_view example);
  /// An empty list as the value of `key` is a fault that says `why`.
  void refuse_empty(std::string_view key, std::string_view why);
  /// `key` is known but has no meaning here: a fault that says `why`, if it is there.
  void misplaced(std::string_view key, std::string_view why);

  /// Reads the value of `key`, if it is there and right, into `into`; true if it is there.
  template <class T, class Read>
  bool read(std::string_view key, T& into, Read&& reading) {
    const auto value = find(key);
    if (!value) return false;
    if (auto result = reading(*value)) into = *std::move(result);
    return true;
  }

  template <class T, class Read>
  void read_required(std::string_view key, std::string_view example, T& into, Read&& reading) {
    if (require(key, example)) read(key, into, reading);
  }

  /// Reads a list, each item with `reading`; the items that are wrong are left out.
  template <class T, class Read>
  bool read_list(std::string_view key, std::vector<T>& into, std::size_t limit, Read&& reading) {
    const auto value = find(key);
    if (!value) return false;
    const auto items = value->list(limit);
    if (!items) return true;
    into.clear();
    for (const auto& item : *items)
      if (auto result = reading(item)) into.push_back(*std::move(result));
    return true;
  }

  /// A scalar, or a list with at least one item.
  template <class T, class Read>
  bool read_one_or_list(std::string_view key, std::vector<T>& into, std::size_t limit,
                        Read&& reading) {
    const auto value = find(key);
    if (!value) return false;
    if (value->is_list()) {
      read_list(key, into, limit, reading);
      refuse_empty(key, "the list is empty; remove the key instead");
    } else if (auto result = reading(*value)) {
      into = {*std::move(result)};
    }
    return true;
  }

  /// Records every key that nobody asked for, with the known key that comes nearest.
  void finish();

  /// Records a fault about this map itself, or about one of its keys.
  void error(std::string what) const { value_.error(std::move(what)); }
  void error(std::string_view key, std::string what) const;
  void warning(std::string_view key, std::string what) const;

 private:
  [[nodiscard]] const Node* node(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] int line_of(std::string_view key) const;
  bool know(std::string_view key);  ///< true the first time
  void refuse_duplicates() const;

  Value value_;
  std::vector<std::string_view> known_;
};

}  // namespace rcptsync::config
