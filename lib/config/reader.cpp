#include "config/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/escape.hpp"
#include "config/nearest.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_command = 8192;

std::string_view kind_in_words(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "no value";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::map:
      return "a map of keys";
  }
  return "";
}

// C0, DEL and C1 controls, in text that is well-formed UTF-8.
bool has_control(std::string_view text, std::string_view allowed) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 || c == 0x7f) && allowed.find(text[i]) == std::string_view::npos) return true;
    if (c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace

const std::string* Value::scalar(std::size_t limit) const {
  if (node_->kind != Node::Kind::scalar) {
    error(fmt::format("must be a single value, not {}", kind_in_words(node_->kind)));
    return nullptr;
  }
  if (node_->text.size() > limit) {
    error(fmt::format("{} bytes long; at most {} are accepted", node_->text.size(), limit));
    return nullptr;
  }
  return &node_->text;
}

std::optional<std::string> Value::text(std::size_t limit) const {
  const auto* written = scalar(limit);
  if (written == nullptr) return {};
  if (written->empty()) {
    error("is empty; write a value or remove the key");
    return {};
  }
  if (has_control(*written, "")) {
    error(fmt::format("has a control character: {}", escape(*written)));
    return {};
  }
  return *written;
}

std::optional<std::string> Value::command() const {
  const auto* written = scalar(max_command);
  if (written == nullptr) return {};
  if (has_control(*written, "\n\t")) {
    error(fmt::format("has a control character: {}", escape(*written)));
    return {};
  }
  return *written;
}

std::optional<std::vector<Value>> Value::list(std::size_t limit) const {
  if (!is_list()) {
    const bool single = node_->kind == Node::Kind::scalar;
    error(fmt::format("must be a list, not {}{}", kind_in_words(node_->kind),
                      single ? fmt::format("; write [{}]", escape(node_->text, 80)) : ""));
    return {};
  }
  if (node_->items.size() > limit) {
    error(fmt::format("has {} items; at most {} are accepted", node_->items.size(), limit));
    return {};
  }
  std::vector<Value> items;
  items.reserve(node_->items.size());
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    const auto& item = node_->items[i];
    // The parser places a missing value at the next token, which may be lines below.
    const int line = item.kind == Node::Kind::null ? line_ : item.line;
    items.emplace_back(item, fmt::format("{}[{}]", path_, i), line, *faults_);
  }
  return items;
}

Map::Map(Value value) : value_(std::move(value)) {
  if (value_.node().kind == Node::Kind::map) {
    refuse_duplicates();
  } else {
    error(fmt::format("must be a map of keys, not {}", kind_in_words(value_.node().kind)));
  }
}

void Map::refuse_duplicates() const {
  std::map<std::string_view, int> seen;
  const auto& items = value_.node().items;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const auto& key = items[i];
    if (key.kind != Node::Kind::scalar) {
      value_.faults().error(
          key.line, value_.path(),
          fmt::format("a key must be a single word, not {}", kind_in_words(key.kind)));
      continue;
    }
    const auto [first, fresh] = seen.emplace(key.text, key.line);
    if (!fresh)
      value_.faults().error(
          key.line, path_of(key.text),
          fmt::format("stands twice, first in line {}; remove one of them", first->second));
  }
}

const Node* Map::node(std::string_view key) const {
  if (value_.node().kind != Node::Kind::map) return nullptr;
  const auto& items = value_.node().items;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i].kind == Node::Kind::scalar && items[i].text == key) return &items[i];
  return nullptr;
}

std::string Map::path_of(std::string_view key) const {
  const auto shown = escape(key, 60);
  return value_.path().empty() ? shown : fmt::format("{}.{}", value_.path(), shown);
}

int Map::line_of(std::string_view key) const {
  const auto* found = node(key);
  return found != nullptr ? found->line : value_.line();
}

bool Map::know(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) != known_.end()) return false;
  known_.push_back(key);
  return true;
}

std::optional<Value> Map::find(std::string_view key) {
  const bool first_time = know(key);
  const auto* found = node(key);
  if (found == nullptr) return {};
  const auto* value = found + 1;
  if (value->kind == Node::Kind::null) {
    if (first_time) error(key, "has no value; write one or remove the key");
    return {};
  }
  return Value(*value, path_of(key), found->line, value_.faults());
}

std::optional<Value> Map::require(std::string_view key, std::string_view example) {
  if (!has(key) && value_.node().kind == Node::Kind::map)
    error(key, fmt::format("is missing; write for example {}: {}", key, example));
  return find(key);
}

void Map::misplaced(std::string_view key, std::string_view why) {
  // Known only where it is written, so that it is never proposed for a typo.
  if (!has(key)) return;
  error(key, std::string(why));
  know(key);
}

void Map::refuse_empty(std::string_view key, std::string_view why) {
  const auto* found = node(key);
  if (found != nullptr && found[1].kind == Node::Kind::list && found[1].items.empty())
    error(key, std::string(why));
}

void Map::finish() {
  if (value_.node().kind != Node::Kind::map) return;
  const auto& items = value_.node().items;
  for (std::size_t i = 0; i < items.size() && value_.faults().room(); i += 2) {
    const auto& key = items[i];
    if (key.kind != Node::Kind::scalar ||
        std::find(known_.begin(), known_.end(), key.text) != known_.end())
      continue;
    std::string what;
    if (key.text == "<<") {
      what = "YAML merge keys are not accepted here; write the keys themselves";
    } else if (const auto meant = nearest(key.text, known_); !meant.empty()) {
      what = fmt::format("unknown key; did you mean {}?", meant);
    } else {
      auto sorted = known_;
      std::sort(sorted.begin(), sorted.end());
      what = fmt::format("unknown key; known here are {}", fmt::join(sorted, ", "));
    }
    value_.faults().error(key.line, path_of(key.text), std::move(what));
  }
}

void Map::error(std::string_view key, std::string what) const {
  value_.faults().error(line_of(key), path_of(key), std::move(what));
}

void Map::warning(std::string_view key, std::string what) const {
  value_.faults().warning(line_of(key), path_of(key), std::move(what));
}

}  // namespace rcptsync::config
