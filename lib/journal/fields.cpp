#include "journal/fields.hpp"

#include <algorithm>
#include <cerrno>  // program_invocation_short_name
#include <cstddef>

#include "base/escape.hpp"
#include "journal/journal.hpp"

namespace rcptsync::journal {
namespace {

// Longer than any name and any error of this program; what is cut off stands in the journal whole.
constexpr std::size_t longest_value = 1000;

std::string_view word(Priority priority) {
  switch (priority) {
    case Priority::error:
      return "error";
    case Priority::warning:
      return "warning";
    case Priority::notice:
      return "notice";
    case Priority::info:
      return "info";
    case Priority::debug:
      return "debug";
  }
  return "error";
}

// Calls visit(name, value) for each detail that the event has, in the order of docs/JOURNAL.md.
// The name is that of stderr; the journal's is RCPTSYNC_ and the name in capitals.
template <class Visit>
void for_each_detail(const Event& event, Visit visit) {
  const auto text = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) visit(name, value);
  };
  const auto number = [&](std::string_view name, const auto& value) {
    if (value) visit(name, std::to_string(*value));
  };
  if (event.kind != EventKind::diagnostic) visit("event", std::string(to_string(event.kind)));
  text("source", event.source);
  text("target", event.target);
  number("generation", event.generation);
  number("added", event.added);
  number("removed", event.removed);
  number("total", event.total);
  text("digest", event.digest);
  if (event.duration) visit("duration_usec", std::to_string(event.duration->count()));
  text("error", event.error);
}

std::string upper(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

// Bare if a person and a shell both read it as one word, else in double quotes.
std::string quoted(std::string_view value) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:/@+").find(c) != std::string_view::npos;
  };
  if (value.size() <= longest_value && std::all_of(value.begin(), value.end(), plain))
    return std::string(value);
  std::string out = "\"";
  for (const char c : escape(value, longest_value)) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::vector<std::string> journal_fields(const Event& event) {
  std::vector<std::string> fields{
      "MESSAGE=" + one_line(event.message),
      "PRIORITY=" + std::to_string(static_cast<int>(event.priority)),
      std::string("SYSLOG_IDENTIFIER=") + program_invocation_short_name,
  };
  if (event.kind != EventKind::diagnostic)
    fields.push_back("MESSAGE_ID=" + std::string(message_id(event.kind)));
  for_each_detail(event, [&](std::string_view name, const std::string& value) {
    fields.push_back("RCPTSYNC_" + upper(name) + "=" + value);
  });
  return fields;
}

std::string fields_text(const Event& event) {
  std::string out;
  for_each_detail(event, [&](std::string_view name, const std::string& value) {
    if (name == "error" && event.message.find(value) != std::string::npos) return;
    out += ' ';
    out += name;
    out += '=';
    out += quoted(value);
  });
  return out;
}

std::string stderr_line(const Event& event) {
  std::string line(word(event.priority));
  line += ": ";
  line += one_line(event.message);
  line += fields_text(event);
  line += '\n';
  return line;
}

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  return out;
}

}  // namespace rcptsync::journal
