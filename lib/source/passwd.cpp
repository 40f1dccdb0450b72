// passwd — passwd(5): who has an account here.
#include <array>
#include <charconv>

#include "base/escape.hpp"
#include "source/accounts.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t fields = 7;

// nobody, nfsnobody, and the two numbers that stand for "no such user".
constexpr bool is_nobody(std::uint32_t uid) {
  return uid == 65534 || uid == 65535 || uid == 4294967294 || uid == 4294967295;
}

bool is_login_shell(std::string_view shell) {
  const auto program = shell.substr(shell.rfind('/') + 1);
  return program != "nologin" && program != "false";
}

/// The fields of one line; false if there are more or fewer.
bool split(std::string_view line, std::array<std::string_view, fields>& into) {
  for (std::size_t i = 0; i < fields; ++i) {
    const auto colon = line.find(':');
    if ((colon == std::string_view::npos) != (i + 1 == fields)) return false;
    into[i] = line.substr(0, colon);
    if (colon != std::string_view::npos) line.remove_prefix(colon + 1);
  }
  return true;
}

}  // namespace

Result<> parse_passwd(std::string_view text, const config::AccountsSource& settings,
                      Findings& findings) {
  TextLines lines(text);
  bool any = false;
  while (lines.next()) {
    const auto line = lines.line();
    if (!lines.ended()) return broken(lines.number(), "the last line has no end: the file is cut");
    if (trimmed(line).empty() || line.front() == '#') continue;
    if (line.front() == '+' || line.front() == '-') {
      findings.warn(lines.number(),
                    "a line of NIS is not followed: only what stands in the file "
                    "itself is read");
      continue;
    }
    std::array<std::string_view, fields> field;
    if (!split(line, field))
      return broken(lines.number(), "not the seven fields of passwd(5): {}; check with pwck -r",
                    escape(line, 60));
    std::uint32_t uid = 0;
    const auto [end, error] =
        std::from_chars(field[2].data(), field[2].data() + field[2].size(), uid);
    if (error != std::errc{} || end != field[2].data() + field[2].size() || field[0].empty())
      return broken(lines.number(), "no name, or no number as the user id: {}; check with pwck -r",
                    escape(line, 60));
    any = true;
    if (uid < settings.min_uid || uid > settings.max_uid || is_nobody(uid)) continue;
    if (!settings.any_shell && !is_login_shell(trimmed(field[6]))) continue;
    const auto key = folded_key("user:", field[0]);
    const auto local = quoted_local_part(field[0]);
    for (const auto& domain : settings.domains)
      findings.add(
          {key, recipient::ObjectClass::user, "passwd", local + '@' + domain, {}, lines.number()});
  }
  if (!any) return Error{Errc::damaged, "there is no account in it, not even root's"};
  return {};
}

}  // namespace rcptsync::source
