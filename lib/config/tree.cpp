#include "config/tree.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "base/escape.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_bytes = 4 * 1024 * 1024;
constexpr std::size_t max_depth = 16;
constexpr std::size_t max_nodes = 1'200'000;

// Ends the parser from inside its events; the fault has been recorded.
struct Stop {};

class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(FaultList& faults) : faults_(faults) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    stop(line_of(mark), "a second YAML document begins here; no line may begin with ---, ... or %");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, "", anchor, Node::Kind::null);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    faults_.error(line_of(mark), "",
                  "YAML aliases (*name) are not accepted here; write the value itself");
    add(mark, "", 0, Node::Kind::null);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto& node = add(mark, tag, anchor, Node::Kind::scalar);
    if (is_utf8(value)) {
      node.text = value;
    } else {
      faults_.error(node.line, "", "an escape sequence here does not make well-formed Unicode");
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::list);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::map);
  }
  void OnMapEnd() override { open_.pop_back(); }

  Node take() { return std::move(root_); }

 private:
  static int line_of(const YAML::Mark& mark) { return std::max(mark.line, 0) + 1; }

  [[noreturn]] void stop(int line, std::string what) {
    faults_.error(line, "", std::move(what));
    throw Stop{};
  }

  Node& add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    const int line = line_of(mark);
    if (++nodes_ > max_nodes)
      stop(line,
           fmt::format("more than {} values; keep long lists in files (file:NAME)", max_nodes));
    if (anchor != 0)
      faults_.error(line, "",
                    "YAML anchors (&name) are not accepted here; write the value where it is used");
    if (!tag.empty() && tag != "?" && tag != "!")
      faults_.error(line, "", fmt::format("YAML tags ({}) are not accepted here", escape(tag, 60)));
    // Nodes that are open lie in the last element of their parent, so growing a list moves only
    // nodes that are closed and `open_` stays valid.
    auto& node = open_.empty() ? root_ : open_.back()->items.emplace_back();
    node.kind = kind;
    node.line = line;
    return node;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    auto& node = add(mark, tag, anchor, kind);
    if (open_.size() >= max_depth)
      stop(node.line, fmt::format("nested deeper than the {} levels accepted here", max_depth));
    open_.push_back(&node);
  }

  FaultList& faults_;
  Node root_;
  std::vector<Node*> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

int line_at(std::string_view text, std::size_t offset) {
  return 1 +
         static_cast<int>(std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n'));
}

std::string_view line_text(std::string_view text, int line) {
  for (; line > 1; --line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// What no text file holds. The parser would stop at some of it silently and take the rest for the
// whole.
bool is_text(std::string_view yaml, FaultList& faults) {
  if (yaml.size() > max_bytes) {
    faults.error(0, "",
                 fmt::format("larger than the {} MiB accepted here; keep long lists in "
                             "files (file:NAME)",
                             max_bytes >> 20));
    return false;
  }
  if (yaml.starts_with("\xff\xfe") || yaml.starts_with("\xfe\xff")) {
    faults.error(1, "", "the file is UTF-16; save it as UTF-8");
    return false;
  }
  const auto control = std::find_if(yaml.begin(), yaml.end(), [](char c) {
    return (c >= 0 && c < ' ' && c != '\n' && c != '\r' && c != '\t') || c == '\x7f';
  });
  if (control != yaml.end()) {
    faults.error(line_at(yaml, static_cast<std::size_t>(control - yaml.begin())), "",
                 fmt::format("control character {}; this is not a text file, or it is damaged",
                             escape(std::string_view(&*control, 1))));
    return false;
  }
  if (is_utf8(yaml)) return true;
  int line = 1;
  while (is_utf8(line_text(yaml, line))) ++line;
  faults.error(
      line, "",
      fmt::format("not UTF-8: {}; save the file as UTF-8", escape(line_text(yaml, line), 80)));
  return false;
}

// The parser's words, and the cause that people meet most.
std::string syntax_fault(std::string_view yaml, int line, const std::string& message) {
  const auto text = line_text(yaml, line);
  const auto indent = text.substr(0, text.find_first_not_of(" \t"));
  if (indent.find('\t') != std::string_view::npos) return "YAML: a tab cannot indent; use spaces";
  if (message == YAML::ErrorMsg::EOF_IN_SCALAR)
    return "YAML: the file ends inside quotes; close the quote that was opened last";
  return fmt::format(
      "YAML: {}; look at the indentation, brackets, quotes and colons here and in "
      "the lines above",
      escape(message));
}

}  // namespace

std::optional<Node> parse_tree(const std::string& yaml, FaultList& faults) {
  constexpr std::string_view mark = "\xef\xbb\xbf";
  if (!is_text(yaml, faults)) return {};
  // The parser takes a quote that is never closed for closed if the text ends with a newline, and
  // with it swallows every key that follows. A last line without a newline makes it see the end.
  std::istringstream in((yaml.starts_with(mark) ? yaml.substr(mark.size()) : yaml) + "\n#");
  Builder builder(faults);
  try {
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take();
  } catch (const Stop&) {
    return {};
  } catch (const YAML::Exception& error) {
    const int line = error.mark.is_null() ? 0 : error.mark.line + 1;
    faults.error(line, "", syntax_fault(yaml, line, error.msg));
    return {};
  }
}

}  // namespace rcptsync::config
