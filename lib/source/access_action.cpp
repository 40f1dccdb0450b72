#include "source/access_action.hpp"

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t max_reply = 400;  // config::check_reject()

struct Word {
  std::string_view word;
  std::string_view code;      ///< Postfix's default reply
  std::string_view enhanced;  ///< the code that goes with it, if the text has none
};

constexpr std::array words{
    Word{"reject", "554", "5.7.1"},
    Word{"defer", "450", "4.7.1"},
    Word{"defer_if_reject", "450", "4.7.1"},
    Word{"defer_if_permit", "450", "4.7.1"},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t count = 0;
  while (at + count < text.size() && is_digit(text[at + count])) ++count;
  return count;
}

// RFC 3463: class "." subject "." detail, each of the last two one to three digits.
bool is_enhanced_code(std::string_view word) {
  if (word.size() < 5 || !is_digit(word[0]) || word[1] != '.') return false;
  const auto subject = digits_at(word, 2);
  if (subject < 1 || subject > 3 || 2 + subject >= word.size() || word[2 + subject] != '.')
    return false;
  const auto detail = digits_at(word, 3 + subject);
  return detail >= 1 && detail <= 3 && 3 + subject + detail == word.size();
}

std::string reply(std::string_view code, std::string_view enhanced, std::string_view text) {
  text = trimmed(text);
  std::string own(text.substr(0, text.find_first_of(" \t")));
  if (is_enhanced_code(own)) {
    text = trimmed(text.substr(own.size()));
    own[0] = code[0];
  } else {
    own = enhanced;
  }
  std::string line(code);
  if (!own.empty()) line += ' ' + own;
  line += ' ';
  line += text.empty() ? "Access denied" : text;
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\t'; }, ' ');
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  line.resize(std::min(line.size(), max_reply));
  return std::string(trimmed(line));
}

// 4NN or 5NN with a second digit that RFC 5321 knows.
bool is_refusal(std::string_view word) {
  return word.size() == 3 && (word[0] == '4' || word[0] == '5') && is_digit(word[1]) &&
         is_digit(word[2]);
}

// A second digit over 5 is no reply code, and two codes end the whole session.
std::string_view publishable(std::string_view code) {
  const bool permanent = code[0] == '5';
  if (code == "421" || code == "521" || code[1] > '5') return permanent ? "550" : "450";
  return code;
}

}  // namespace

std::string reject_text(std::string_view action) {
  action = trimmed(action);
  const auto word = action.substr(0, action.find_first_of(" \t"));
  const auto text = trimmed(action.substr(word.size()));
  if (is_refusal(word) && !text.empty()) return reply(publishable(word), {}, text);
  for (const auto& known : words)
    if (ascii_equal(word, known.word)) return reply(known.code, known.enhanced, text);
  return {};
}

}  // namespace rcptsync::source
