#include "config/cron.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

#include "base/escape.hpp"
#include "base/plural.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_text = 256;
constexpr unsigned sunday_as_seven = 7;

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed",
                                                        "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  unsigned least;
  unsigned most;
  std::span<const std::string_view> names;  ///< the first stands for `least`
};

const std::array<Field, 5> fields{{{"minute", 0, 59, {}},
                                   {"hour", 0, 23, {}},
                                   {"day of month", 1, 31, {}},
                                   {"month", 1, 12, month_names},
                                   {"day of week", 0, sunday_as_seven, weekday_names}}};

struct Range {
  unsigned first = 0;
  unsigned last = 0;
  unsigned step = 1;
};

Error invalid(const Field& field, std::string_view text, std::string_view why) {
  return {Errc::invalid, fmt::format("cron field {} `{}`: {}", field.name, escape(text, 60), why)};
}

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (text.empty() || read.ptr != end || read.ec != std::errc{}) return {};
  return value;
}

Result<unsigned> parse_value(const Field& field, std::string_view text) {
  const auto name = std::find(field.names.begin(), field.names.end(), ascii_lower(text));
  if (name != field.names.end())
    return field.least + static_cast<unsigned>(name - field.names.begin());
  const auto value = number(text);
  if (!value)
    return invalid(field, text,
                   field.names.empty() ? "is no number" : "is neither a number nor a name");
  if (*value < field.least || *value > field.most)
    return invalid(field, text, fmt::format("is outside {} to {}", field.least, field.most));
  return *value;
}

// `*`, `n` or `n-m`, each with `/step` but for `n`.
Result<Range> parse_range(const Field& field, std::string_view text) {
  const auto slash = text.find('/');
  const auto body = text.substr(0, slash);
  const auto dash = body.find('-');
  Range range{field.least, field.most, 1};
  if (body != "*") {
    const auto first = parse_value(field, body.substr(0, dash));
    if (!first) return first.error();
    range.first = range.last = *first;
    if (dash != std::string_view::npos) {
      const auto last = parse_value(field, body.substr(dash + 1));
      if (!last) return last.error();
      range.last = *last;
      // fri-sun: at the end of a range Sunday is the seventh day.
      if (&field == &fields[4] && range.last == 0 && range.first > 0) range.last = sunday_as_seven;
    } else if (slash != std::string_view::npos) {
      return invalid(
          field, text,
          fmt::format("a step needs a range; write {}-{}{}", body, field.most, text.substr(slash)));
    }
    if (range.last < range.first)
      return invalid(field, text, "ends before it begins; write two ranges with a comma");
  }
  if (slash == std::string_view::npos) return range;
  const auto step = number(text.substr(slash + 1));
  if (!step || *step == 0 || *step > field.most)
    return invalid(field, text, fmt::format("the step is not 1 to {}", field.most));
  range.step = *step;
  return range;
}

// Every value that the field names; Sunday only as 0.
template <std::size_t N>
Result<> parse_field(const Field& field, std::string_view text, std::bitset<N>& into) {
  for (auto rest = text;;) {
    const auto comma = rest.find(',');
    const auto range = parse_range(field, rest.substr(0, comma));
    if (!range) return range.error();
    for (unsigned value = range->first; value <= range->last; value += range->step)
      into.set(N == 7 ? value % 7 : value);
    if (comma == std::string_view::npos) return {};
    rest.remove_prefix(comma + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view blanks = " \t";
  std::vector<std::string_view> words;
  for (auto begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const auto end = std::min(text.find_first_of(blanks, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(blanks, end);
  }
  return words;
}

// False for 31 2: no month that is asked for has a day that is asked for.
bool can_match(const Cron& cron) {
  constexpr std::array<unsigned, 13> longest{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  // Either day field is enough then, and every month has all weekdays.
  if (cron.days_restricted && cron.weekdays_restricted) return true;
  for (unsigned month = 1; month <= 12; ++month)
    for (unsigned day = 1; cron.months[month] && day <= longest[month]; ++day)
      if (cron.days[day]) return true;
  return false;
}

}  // namespace

Result<Cron> parse_cron(std::string_view text) {
  if (text.size() > max_text)
    return Error{Errc::invalid,
                 fmt::format("the cron expression is longer than {} characters", max_text)};
  const auto words = words_of(text);
  if (words.size() != fields.size())
    return Error{Errc::invalid,
                 fmt::format("`{}` has {}; a cron expression has five: minute, hour, day of "
                             "month, month, day of week, such as */10 7-19 * * mon-fri",
                             escape(text, 80), counted(words.size(), "field"))};
  Cron cron;
  cron.text = std::string(text);
  const auto parse = [&](std::size_t i, auto& into) {
    return parse_field(fields[i], words[i], into);
  };
  if (auto ok = parse(0, cron.minutes); !ok) return ok.error();
  if (auto ok = parse(1, cron.hours); !ok) return ok.error();
  if (auto ok = parse(2, cron.days); !ok) return ok.error();
  if (auto ok = parse(3, cron.months); !ok) return ok.error();
  if (auto ok = parse(4, cron.weekdays); !ok) return ok.error();
  cron.days_restricted = !words[2].starts_with('*');
  cron.weekdays_restricted = !words[4].starts_with('*');
  if (!can_match(cron))
    return Error{Errc::invalid, fmt::format("cron fields day of month `{}` and month `{}`: no date "
                                            "has both",
                                            escape(words[2], 60), escape(words[3], 60))};
  return cron;
}

}  // namespace rcptsync::config
