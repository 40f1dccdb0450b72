#include "source/accounts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "recipient/local_part.hpp"
#include "source/encoding.hpp"

namespace rcptsync::source {

std::string quoted_local_part(std::string_view name) {
  bool dot_string = !name.empty() && name.front() != '.' && name.back() != '.' &&
                    name.find("..") == std::string_view::npos;
  for (const char c : name)
    dot_string =
        dot_string && (recipient::is_atext(c) || c == '.' || static_cast<unsigned char>(c) >= 0x80);
  if (dot_string) return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

FileSourcePlan plan_accounts(const config::AccountsSource& settings) {
  const auto decoded = [](std::string bytes) {
    return decode_text(std::move(bytes), config::Encoding::automatic);
  };
  FileSourcePlan plan;
  plan.settings = fmt::format("accounts {} {} {} {}", settings.min_uid, settings.max_uid,
                              settings.any_shell, fmt::join(settings.domains, " "));
  plan.files.push_back({"passwd", settings.passwd,
                        [settings, decoded](std::string bytes, Findings& findings) -> Result<> {
                          const auto text = decoded(std::move(bytes));
                          if (!text) return text.error();
                          return parse_passwd(*text, settings, findings);
                        }});
  if (settings.aliases.empty()) return plan;
  plan.files.push_back(
      {"aliases", settings.aliases,
       [domains = settings.domains, decoded](std::string bytes, Findings& findings) -> Result<> {
         const auto text = decoded(std::move(bytes));
         if (!text) return text.error();
         if (auto parsed = parse_aliases(*text, domains, findings); !parsed) return parsed;
         if (findings.values() == 0)
           return Error{Errc::damaged,
                        "there is no alias in it; if that is meant, leave the key aliases out"};
         return {};
       }});
  return plan;
}

}  // namespace rcptsync::source
