// What this version does not do yet. Such a setting is read and checked like every other and then
// refused here, so that nothing is ever ignored in silence. A part that is built loses its line.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "config/sections.hpp"

namespace rcptsync::config {
namespace {

constexpr std::string_view anything = "*";  ///< whatever the value, unless it is empty

struct NotYet {
  std::string_view key;    ///< path; [] stands for every item of a list
  std::string_view value;  ///< the value that is refused, or the one above
  std::string_view instead;
};

constexpr std::array not_yet{
    NotYet{"target_defaults.mode", "receive", "write mode: scp"},
    NotYet{"target_defaults.format", "postfix-access", "write format: postfix or list"},
    NotYet{"target_defaults.format", "exim", "write format: postfix or list"},
    NotYet{"target_defaults.format", "sendmail", "write format: postfix or list"},
    NotYet{"target_defaults.format", "opensmtpd", "write format: postfix or list"},
    NotYet{"target_defaults.verify.smtp", anything, "remove the key"},
    NotYet{"targets[].mode", "receive", "write mode: scp"},
    NotYet{"targets[].format", "postfix-access", "write format: postfix or list"},
    NotYet{"targets[].format", "exim", "write format: postfix or list"},
    NotYet{"targets[].format", "sendmail", "write format: postfix or list"},
    NotYet{"targets[].format", "opensmtpd", "write format: postfix or list"},
    NotYet{"targets[].verify.smtp", anything, "remove the key"},
    NotYet{"rollout.canary", anything, "write canary: []"},
};

bool refused(const Node& node, std::string_view value) {
  switch (node.kind) {
    case Node::Kind::scalar:
      return value == anything ? !node.text.empty() : node.text == value;
    case Node::Kind::list:
      return value == anything && !node.items.empty();
    default:
      return false;
  }
}

// Follows `rest` of the path from `node`, which stands at `path`, and judges what it leads to.
void follow(const Node& node, int line, std::string_view rest, const std::string& path,
            const NotYet& rule, FaultList& faults) {
  if (rest.empty()) {
    if (!refused(node, rule.value)) return;
    const auto shown = node.kind == Node::Kind::scalar ? fmt::format(": {}", rule.value) : "";
    const auto key = rule.key.substr(rule.key.rfind('.') + 1);
    faults.error(line, path,
                 fmt::format("{}{} is not in this version yet; {}", key,
                             rule.value == anything ? "" : shown, rule.instead));
  } else if (rest.starts_with("[]")) {
    if (node.kind != Node::Kind::list) return;
    for (std::size_t i = 0; i < node.items.size(); ++i)
      follow(node.items[i], node.items[i].line, rest.substr(2), fmt::format("{}[{}]", path, i),
             rule, faults);
  } else if (node.kind == Node::Kind::map) {
    if (rest.starts_with('.')) rest.remove_prefix(1);
    const auto key = rest.substr(0, rest.find_first_of(".["));
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2)
      if (node.items[i].text == key)
        return follow(node.items[i + 1], node.items[i].line, rest.substr(key.size()),
                      path.empty() ? std::string(key) : fmt::format("{}.{}", path, key), rule,
                      faults);
  }
}

}  // namespace

void refuse_not_yet(const Node& root, FaultList& faults) {
  for (const auto& rule : not_yet) follow(root, root.line, rule.key, "", rule, faults);
}

}  // namespace rcptsync::config
