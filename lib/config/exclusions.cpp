// `recipients.exclude`: addresses, @domains, /regular expressions/ and files of those.
#include <fmt/format.h>
#include <re2/re2.h>

#include <string>

#include "base/escape.hpp"
#include "base/file.hpp"
#include "config/mailbox.hpp"
#include "config/sections.hpp"
#include "config/values.hpp"

namespace rcptsync::config {
namespace {

constexpr std::size_t max_file = 16 * 1024 * 1024;
constexpr std::size_t max_line = 1024;
constexpr std::size_t max_exclusions = 1'000'000;
// Every address meets every expression, and each costs memory for good.
constexpr std::size_t max_regexes = 1000;
constexpr std::int64_t regex_memory = std::int64_t{1} << 20;

Error invalid(std::string message) {
  return {Errc::invalid, std::move(message)};
}

Result<Exclusion> parse_regex(std::string_view text) {
  const auto end = text.rfind('/');
  if (end == 0)
    return invalid(fmt::format("{} has no closing /; write /expression/", escape(text, 80)));
  if (end + 1 != text.size())
    return invalid(
        fmt::format("{} has something after the closing /; write /expression/ alone, "
                    "upper and lower case are the same anyway",
                    escape(text, 80)));
  const auto expression = text.substr(1, end - 1);
  if (expression.empty()) return invalid("// would exclude everything");
  RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(false);
  options.set_max_mem(regex_memory);
  const RE2 compiled(re2::StringPiece(expression.data(), expression.size()), options);
  if (!compiled.ok())
    return invalid(fmt::format("{} is no regular expression (RE2 syntax): {}", escape(text, 80),
                               escape(compiled.error())));
  return Exclusion{Exclusion::Kind::regex, std::string(expression), "", 0};
}

// One exclusion of any kind but file:.
Result<Exclusion> parse_exclusion(std::string_view text) {
  if (text.starts_with('/')) return parse_regex(text);
  if (text.starts_with('@')) {
    const auto domain = check_domain(text.substr(1));
    if (!domain) return domain.error();
    return Exclusion{Exclusion::Kind::domain, std::string(text.substr(1)), "", 0};
  }
  if (text.starts_with("*@"))
    return invalid(
        fmt::format("{} is no wildcard; write {}", escape(text, 80), escape(text.substr(1), 80)));
  const auto address = check_address(text);
  if (!address)
    return address.error().within("write an address, @domain, /expression/ or file:NAME");
  return Exclusion{Exclusion::Kind::address, std::string(text), "", 0};
}

std::string_view without_blanks(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Reads the list within the limits on all of it.
class ExclusionReader {
 public:
  ExclusionReader(const std::filesystem::path& folder, std::vector<Exclusion>& into)
      : folder_(folder), into_(into) {}

  void read(const Value& item) {
    constexpr std::string_view scheme = "file:";
    const auto text = item.text(max_line);
    if (!text) return;
    if (text->starts_with(scheme)) {
      read_lines(item, (folder_ / text->substr(scheme.size())).lexically_normal());
    } else if (const auto added = add(*text, item.faults().file(), item.line()); !added) {
      item.error(added.error().message);
    }
  }

 private:
  Result<> add(std::string_view text, const std::string& file, int line) {
    auto exclusion = parse_exclusion(text);
    if (!exclusion) return exclusion.error();
    if (into_.size() >= max_exclusions)
      return Error{Errc::limit, fmt::format("more than {} exclusions", max_exclusions)};
    if (exclusion->kind == Exclusion::Kind::regex && ++regexes_ > max_regexes)
      return Error{Errc::limit, fmt::format("more than {} regular expressions; several can be "
                                            "written as one: /a|b|c/",
                                            max_regexes)};
    exclusion->file = file;
    exclusion->line = line;
    into_.push_back(*std::move(exclusion));
    return {};
  }

  void read_lines(const Value& item, const std::filesystem::path& path) {
    const auto bytes = read_file(path, max_file);
    if (!bytes) return item.error(bytes.error().message);
    const auto file = path.native();
    auto rest = std::string_view(*bytes);
    if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
    for (int line = 1; !rest.empty() && item.faults().room(); ++line) {
      const auto end = std::min(rest.find('\n'), rest.size());
      const auto text = without_blanks(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (text.empty() || text.starts_with('#')) continue;
      if (const auto added = add_line(text, file, line); !added)
        item.faults().error_in(escape(file, 4000), line, item.line(), item.path(),
                               added.error().message);
    }
  }

  Result<> add_line(std::string_view text, const std::string& file, int line) {
    if (text.size() > max_line)
      return invalid(fmt::format("{} bytes long; at most {} are accepted", text.size(), max_line));
    if (!is_utf8(text)) return invalid(fmt::format("{} is not UTF-8", escape(text, 80)));
    if (text.starts_with("file:"))
      return invalid("a file of exclusions cannot name another file; list it in the configuration");
    return add(text, file, line);
  }

  const std::filesystem::path& folder_;
  std::vector<Exclusion>& into_;
  std::size_t regexes_ = 0;
};

}  // namespace

void read_exclusions(const Value& value, const std::filesystem::path& folder,
                     std::vector<Exclusion>& exclusions) {
  const auto items = value.list(max_exclusions);
  if (!items) return;
  ExclusionReader reader(folder, exclusions);
  for (const auto& item : *items) reader.read(item);
}

}  // namespace rcptsync::config
