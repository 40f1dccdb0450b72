#include "config/scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/escape.hpp"
#include "config/nearest.hpp"

namespace rcptsync::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

Error invalid(std::string message) {
  return {Errc::invalid, std::move(message)};
}

}  // namespace

std::string write_duration(Seconds duration) {
  for (const auto& [unit, letter] : {std::pair{day, 'd'}, {hour, 'h'}, {minute, 'm'}})
    if (duration >= unit && duration % unit == Seconds{0})
      return fmt::format("{}{}", duration / unit, letter);
  return fmt::format("{}s", duration.count());
}

Result<Seconds> parse_duration(std::string_view text, Seconds least, Seconds most) {
  const auto unit = [&]() -> Seconds {
    switch (text.empty() ? '\0' : text.back()) {
      case 's':
        return Seconds{1};
      case 'm':
        return minute;
      case 'h':
        return hour;
      case 'd':
        return day;
      default:
        return Seconds{0};
    }
  }();
  if (all_digits(text))
    return invalid(
        fmt::format("{} has no unit; write {}s, or m, h or d", escape(text, 40), escape(text, 40)));
  if (unit == Seconds{0} || !all_digits(text.substr(0, text.size() - 1)))
    return invalid(
        fmt::format("{} is no duration; write a whole number and s, m, h or d, such as "
                    "30s or 5m",
                    escape(text, 40)));
  std::int64_t number = 0;
  const auto digits = text.substr(0, text.size() - 1);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  // Divided, not multiplied, so that no number of digits can overflow.
  const bool fits = code == std::errc{} && number <= most / unit;
  const Seconds duration = fits ? number * unit : Seconds::max();
  if (duration < least || duration > most)
    return invalid(fmt::format("{} is out of range; write {} to {}", escape(text, 40),
                               write_duration(least), write_duration(most)));
  return duration;
}

Result<double> parse_percent(std::string_view text) {
  auto digits = text;
  if (digits.ends_with('%')) digits.remove_suffix(1);
  double value = -1;
  const auto* end = digits.data() + digits.size();
  const bool begins_well = !digits.empty() && is_digit(digits.front());
  if (!begins_well ||
      std::from_chars(digits.data(), end, value, std::chars_format::fixed).ptr != end)
    return invalid(fmt::format("{} is no percentage; write a number from 0 to 100, such as 10%",
                               escape(text, 40)));
  if (!(value >= 0 && value <= 100))
    return invalid(fmt::format("{} is out of range; write 0% to 100%", escape(text, 40)));
  return value;
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  if (!all_digits(text))
    return invalid(
        fmt::format("{} is no whole number; write {} to {}", escape(text, 40), least, most));
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || value < least || value > most)
    return invalid(
        fmt::format("{} is out of range; write {} to {}", escape(text, 40), least, most));
  return value;
}

Result<bool> parse_boolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return invalid(fmt::format("{} is no truth value; write true or false", escape(text, 40)));
}

Result<std::string> parse_name(std::string_view text) {
  const bool allowed = std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
  });
  if (!allowed || text.empty() || text.size() > 64 ||
      !(is_letter(text.front()) || is_digit(text.front())))
    return invalid(
        fmt::format("{} is no name; write 1 to 64 letters, digits, '.', '_' or '-', "
                    "first a letter or a digit",
                    escape(text, 80)));
  return std::string(text);
}

Result<std::size_t> parse_choice(std::string_view text, std::span<const std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const auto meant = nearest(ascii_lower(text), words);
  if (!meant.empty())
    return invalid(fmt::format("{} is not known; did you mean {}?", escape(text, 40), meant));
  return invalid(fmt::format("{} is not known; write {}", escape(text, 40), either(words)));
}

}  // namespace rcptsync::config
