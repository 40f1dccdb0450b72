#include "source/ldap_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/escape.hpp"
#include "source/active_directory.hpp"
#include "source/ldap_search.hpp"

namespace rcptsync::source {
namespace {

constexpr std::string_view during = "reading the schema";
// Which every schema has: one that does not show it cannot be read.
constexpr std::string_view witness = "objectclass";
// Of all directories in one.
constexpr std::size_t max_names = 200'000;

std::string_view without_options(std::string_view name) {
  return name.substr(0, name.find(';'));
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// RFC 4512 §1.4: keystring or numericoid; some servers have underscores in names. What is none may
// not stand in a filter of ours.
bool is_attribute(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  });
}

// Takes the next word off a description: a parenthesis, what stands in quotes, or what blanks end.
std::string_view next_word(std::string_view& text) {
  constexpr std::string_view blanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  if (text.empty()) return {};
  std::size_t length = 1;
  if (text.front() == '\'') {
    const auto close = text.find('\'', 1);
    length = close == std::string_view::npos ? text.size() : close + 1;
  } else if (text.front() != '(' && text.front() != ')') {
    length = std::min(text.find_first_of(" \t\r\n()'"), text.size());
  }
  const auto word = text.substr(0, length);
  text.remove_prefix(length);
  return word;
}

std::string_view unquoted(std::string_view word) {
  const bool quoted = word.size() > 2 && word.front() == '\'' && word.back() == '\'';
  return quoted ? word.substr(1, word.size() - 2) : std::string_view{};
}

void add(AttributeNames& names, const AttributeType& type) {
  if (names.size() > max_names) return;
  const auto& answered = type.names.empty() ? type.oid : type.names.front();
  names.try_emplace(ascii_lower(type.oid), answered);
  for (const auto& name : type.names) names.try_emplace(ascii_lower(name), answered);
}

// What the source names, each once, without options.
std::vector<std::string> named_in(const config::LdapSource& settings) {
  auto names = filter_needs(settings.filter).attributes;
  for (const auto* list : {&settings.addresses, &settings.fallback})
    for (const auto& name : *list) names.push_back(ascii_lower(without_options(name)));
  std::erase_if(names, [](const auto& name) { return !is_attribute(name); });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

class SchemaReader {
 public:
  SchemaReader(LdapConnection& connection, const config::LdapSource& settings)
      : connection_(connection), settings_(settings), searcher_(connection, settings) {}

  /// Empty: the server does not show it.
  Result<AttributeNames> read();
  /// True if an entry below the bases has the attribute.
  Result<bool> in_use(const std::string& attribute);

 private:
  using Visit = std::function<void(std::string_view name, std::string_view value)>;
  Result<> search(const std::string& base, int scope, const std::string& filter,
                  AttributeList& attributes, const Visit& visit,
                  const std::function<void()>& entry_ends);
  Result<AttributeNames> of_active_directory();
  Result<AttributeNames> of_subschema();

  LdapConnection& connection_;
  const config::LdapSource& settings_;
  LdapSearcher searcher_;
  RootDse root_;
};

// A refusal is no error: then there is nothing to be read.
Result<> SchemaReader::search(const std::string& base, int scope, const std::string& filter,
                              AttributeList& attributes, const Visit& visit,
                              const std::function<void()>& entry_ends) {
  const auto end = searcher_.run(
      {.base = base, .scope = scope, .filter = filter.c_str(), .attributes = attributes.get()},
      std::string(during), [&](LDAPMessage* message) -> Result<> {
        const auto visited = visit_values(connection_.handle(), message, visit);
        if (!visited) return visited.error();
        entry_ends();
        return {};
      });
  if (!end) return end.error();
  return {};
}

Result<AttributeNames> SchemaReader::read() {
  auto root = read_root_dse(searcher_, connection_, settings_);
  if (!root) return root.error();
  root_ = *std::move(root);
  AttributeNames none;
  if (root_.schema_context.empty() && root_.subschema.empty()) return none;
  auto names = root_.schema_context.empty() ? of_subschema() : of_active_directory();
  if (names && !names->contains(witness)) return none;
  return names;
}

// Each attribute is an object of its own there; only those that are asked for are read.
Result<AttributeNames> SchemaReader::of_active_directory() {
  auto filter = fmt::format("(|(lDAPDisplayName={})", witness);
  for (const auto& name : named_in(settings_))
    filter +=
        fmt::format("({}={})", is_digit(name.front()) ? "attributeID" : "lDAPDisplayName", name);
  filter += ')';
  AttributeList attributes({"lDAPDisplayName", "attributeID"});
  AttributeNames names;
  AttributeType type;
  const auto read = search(
      root_.schema_context, LDAP_SCOPE_ONELEVEL, filter, attributes,
      [&](std::string_view name, std::string_view value) {
        if (ascii_equal(name, "lDAPDisplayName")) type.names = {std::string(value)};
        if (ascii_equal(name, "attributeID")) type.oid = value;
      },
      [&] {
        if (!type.names.empty()) add(names, type);
        type = {};
      });
  if (!read) return read.error();
  return names;
}

Result<AttributeNames> SchemaReader::of_subschema() {
  AttributeList attributes({"attributeTypes"});
  AttributeNames names;
  const auto read = search(
      root_.subschema, LDAP_SCOPE_BASE, "(objectClass=subschema)", attributes,
      [&](std::string_view name, std::string_view value) {
        if (!ascii_equal(name, "attributeTypes")) return;
        if (const auto type = parse_attribute_type(value)) add(names, *type);
      },
      [] {});
  if (!read) return read.error();
  return names;
}

Result<bool> SchemaReader::in_use(const std::string& attribute) {
  const auto bases = search_bases(root_, settings_);
  if (!bases) return false;
  const auto filter = fmt::format("({}=*)", attribute);
  // No attributes (RFC 4511 §4.5.1.8).
  AttributeList attributes({LDAP_NO_ATTRS});
  for (const auto& base : *bases) {
    bool found = false;
    const auto end = searcher_.run(
        {.base = base, .filter = filter.c_str(), .attributes = attributes.get(), .size_limit = 1},
        fmt::format("looking for an entry with {}", escape(attribute)),
        [&](LDAPMessage*) -> Result<> {
          found = true;
          return {};
        });
    if (!end) return end.error();
    if (found) return true;
  }
  return false;
}

}  // namespace

std::optional<AttributeType> parse_attribute_type(std::string_view description) {
  if (next_word(description) != "(") return {};
  AttributeType type;
  type.oid = next_word(description);
  if (!is_attribute(type.oid)) return {};
  for (;;) {
    auto word = next_word(description);
    if (word.empty()) return {};
    if (word == ")") return type;
    if (word != "NAME") {
      // What else may stand there is a word, a text or a list, none of which is this word.
      if (word == "(")
        while (!word.empty() && word != ")") word = next_word(description);
      continue;
    }
    word = next_word(description);
    if (word == "(")
      for (word = next_word(description); !word.empty() && word != ")";
           word = next_word(description))
        type.names.emplace_back(unquoted(word));
    else
      type.names.emplace_back(unquoted(word));
    if (!std::all_of(type.names.begin(), type.names.end(), is_attribute)) return {};
  }
}

Result<config::LdapSource> named_by(
    const AttributeNames& names, const config::LdapSource& settings,
    const std::function<Result<bool>(const std::string& attribute)>& elsewhere) {
  const config::LdapSource defaults;
  auto named = settings;
  std::set<std::string, std::less<>> tolerated;
  bool any = false;
  std::string missing;
  const auto lacks = [](std::string_view name, std::string_view where, std::string_view effect) {
    return Error{Errc::not_found,
                 fmt::format("the server's schema does not know the attribute {}, and no entry has "
                             "it, so {}; correct its name in {}, or take it out",
                             escape(name), effect, where)};
  };
  const auto known = [&](const std::string& name) -> Result<bool> {
    if (names.contains(name)) return true;
    return is_attribute(name) ? elsewhere(name) : Result<bool>(false);
  };

  const auto rename = [&](std::vector<std::string>& list, const std::vector<std::string>& unwritten,
                          std::string_view where) -> Result<> {
    const bool written = list != unwritten;
    std::vector<std::string> renamed;
    for (const auto& name : list) {
      const auto plain = without_options(name);
      const auto key = ascii_lower(plain);
      const auto there = known(key);
      if (!there) return there.error();
      if (!*there && written) return lacks(plain, where, "no address would come by it");
      if (!*there) tolerated.insert(key);
      if (!*there && missing.empty()) missing = plain;
      any = any || *there;
      const auto found = names.find(key);
      // Written as it is, if it differs in case only: what an object is should not depend on
      // whether the schema could be read.
      const bool same = found == names.end() || ascii_equal(found->second, plain);
      auto now = same ? name : found->second + name.substr(plain.size());
      if (std::none_of(renamed.begin(), renamed.end(),
                       [&](const auto& other) { return ascii_equal(other, now); }))
        renamed.push_back(std::move(now));
    }
    list = std::move(renamed);
    return {};
  };
  if (auto done = rename(named.addresses, defaults.addresses, "addresses"); !done)
    return done.error();
  if (auto done = rename(named.fallback, defaults.fallback, "fallback"); !done) return done.error();
  if (!any) return lacks(missing, "addresses", "no address would come by it");
  for (const auto& name : filter_needs(settings.filter).attributes) {
    if (tolerated.contains(name)) continue;
    const auto there = known(name);
    if (!there) return there.error();
    if (!*there) return lacks(name, "filter", "the filter finds nothing by it");
  }
  return named;
}

Result<config::LdapSource> as_the_server_names(LdapConnection& connection,
                                               const config::LdapSource& settings) {
  SchemaReader reader(connection, settings);
  const auto names = reader.read();
  if (!names) return names.error();
  if (names->empty()) return settings;
  return named_by(*names, settings,
                  [&](const std::string& attribute) { return reader.in_use(attribute); });
}

}  // namespace rcptsync::source
