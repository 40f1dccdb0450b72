#include "source/ldap_read.hpp"

#include <fmt/format.h>

#include <deque>
#include <functional>
#include <limits>
#include <optional>

#include "base/escape.hpp"
#include "source/ldap_entry.hpp"

namespace rcptsync::source {
namespace {

// Bounds on what a server can make us read; each is far beyond any directory.
constexpr std::uint64_t max_messages = 50'000'000;
constexpr std::uint64_t max_empty_pages = 1000;
constexpr std::uint64_t max_ranges = 10'000;  // of 1500 values in Active Directory

constexpr const char* every_entry = "(objectClass=*)";

using OwnedControl = Handle<LDAPControl, ldap_control_free>;

void free_cursor(BerElement* cursor) {
  ::ber_free(cursor, 0);
}
void free_name(char* name) {
  ::ldap_memfree(name);
}
void free_bytes(berval* bytes) {
  ::ber_bvfree(bytes);
}

class DirectoryReader {
 public:
  DirectoryReader(LdapConnection& connection, config::SourceType type,
                  const config::LdapSource& settings, recipient::ObjectSink& sink)
      : connection_(connection), settings_(settings), sink_(sink), decoder_(type, settings) {}

  Result<ReadTotals> read();

 private:
  using OnEntry = std::function<Result<>(LDAPMessage*)>;
  struct Search {
    const std::string& base;
    int scope;
    const char* filter;
    char** attributes;
    LDAPControl* control = nullptr;
  };

  Result<LdapResult> search(const Search& search, const std::string& during,
                            const OnEntry& on_entry);
  Result<std::vector<std::string>> bases();
  Result<> read_base(const std::string& base);
  Result<> take(LDAPMessage* message);
  Result<bool> next_page(const std::string& base, const LdapResult& end);
  Result<> check_progress(const std::string& base);
  Result<> complete_missing();
  Result<> complete(OwnedEntry& owned, MissingRange missing);
  Result<std::optional<std::uint64_t>> next_range(OwnedEntry& owned, MissingRange missing);

  LdapConnection& connection_;
  const config::LdapSource& settings_;
  recipient::ObjectSink& sink_;
  EntryDecoder decoder_;
  ReadTotals totals_;
  std::uint64_t messages_ = 0;

  // Of the page that is being read.
  std::uint64_t page_ = 0;
  std::uint64_t on_page_ = 0;
  std::uint64_t empty_pages_ = 0;
  std::string page_key_;   // of its first entry
  std::string last_key_;   // of the first entry of the page before
  std::string first_key_;  // of the first entry of all
  Handle<berval, free_bytes> cookie_;
  std::deque<OwnedEntry> unfinished_;  // entries with missing values
};

Result<LdapResult> DirectoryReader::search(const Search& search, const std::string& during,
                                           const OnEntry& on_entry) {
  LDAPControl* controls[] = {search.control, nullptr};
  int operation = 0;
  const int code = ::ldap_search_ext(
      connection_.handle(), search.base.c_str(), search.scope, search.filter, search.attributes, 0,
      search.control == nullptr ? nullptr : controls, nullptr, nullptr, LDAP_NO_LIMIT, &operation);
  if (code == LDAP_FILTER_ERROR) return explain_search({code, {}, {}}, search.base, settings_);
  if (code != LDAP_SUCCESS) return connection_.failure(code, during);
  for (;;) {
    auto message = connection_.next(operation, during);
    if (!message) return message.error();
    if (++messages_ > max_messages)
      return Error{Errc::limit, fmt::format("{}: more than {} entries, which no directory has; "
                                            "the server does not come to an end",
                                            during, max_messages)};
    switch (::ldap_msgtype(message->get())) {
      case LDAP_RES_SEARCH_ENTRY:
        if (auto done = on_entry(message->get()); !done) return done.error();
        break;
      case LDAP_RES_SEARCH_REFERENCE:
        ++totals_.references;
        break;
      case LDAP_RES_INTERMEDIATE:
        break;
      case LDAP_RES_SEARCH_RESULT:
        return connection_.result(message->get());
      default:
        return Error{Errc::protocol,
                     fmt::format("{}: the server answers with something else", during)};
    }
  }
}

// The bases of the configuration, else what the server names as its own.
Result<std::vector<std::string>> DirectoryReader::bases() {
  if (!settings_.bases.empty()) return settings_.bases;
  std::string default_name = "defaultNamingContext";
  std::string all_name = "namingContexts";
  char* attributes[] = {default_name.data(), all_name.data(), nullptr};
  std::vector<std::string> preferred;
  std::vector<std::string> all;
  const std::string root;
  const auto end =
      search({root, LDAP_SCOPE_BASE, every_entry, attributes}, "reading the root DSE",
             [&](LDAPMessage* message) -> Result<> {
               const auto collect = [&](const char* name, auto& into) {
                 auto** values = ::ldap_get_values_len(connection_.handle(), message, name);
                 for (auto** value = values; value != nullptr && *value != nullptr; ++value)
                   if ((*value)->bv_len > 0) into.emplace_back((*value)->bv_val, (*value)->bv_len);
                 ::ldap_value_free_len(values);
               };
               collect(default_name.c_str(), preferred);
               collect(all_name.c_str(), all);
               return {};
             });
  if (!end) return end.error();
  if (end->status.code != LDAP_SUCCESS) return explain_search(end->status, root, settings_);
  if (!preferred.empty()) return preferred;
  if (!all.empty()) return all;
  return Error{Errc::not_found,
               "the server does not say which naming context is its own; name it in bases"};
}

Result<ReadTotals> DirectoryReader::read() {
  const auto from = bases();
  if (!from) return from.error();
  for (const auto& base : *from)
    if (auto done = read_base(base); !done) return done.error();
  return totals_;
}

Result<> DirectoryReader::read_base(const std::string& base) {
  page_ = 0;
  empty_pages_ = 0;
  page_key_.clear();
  last_key_.clear();
  first_key_.clear();
  cookie_.reset();
  for (bool more = true; more;) {
    ++page_;
    on_page_ = 0;
    LDAPControl* paging = nullptr;
    constexpr int critical = 1;
    const auto size =
        std::min<std::uint32_t>(settings_.page_size, std::numeric_limits<ber_int_t>::max());
    const int code = ::ldap_create_page_control(connection_.handle(), static_cast<ber_int_t>(size),
                                                cookie_.get(), critical, &paging);
    const OwnedControl owned(paging);
    const auto during = fmt::format("reading page {} below {}", page_, escape(base));
    if (code != LDAP_SUCCESS) return connection_.failure(code, during);
    const auto end =
        search({base, LDAP_SCOPE_SUBTREE, settings_.filter.c_str(), decoder_.request(), paging},
               during, [this](LDAPMessage* message) { return take(message); });
    if (!end) return end.error();
    if (end->status.code != LDAP_SUCCESS)
      return explain_search(end->status, base, settings_).within(fmt::format("page {}", page_));
    if (auto done = complete_missing(); !done) return done;
    const auto next = next_page(base, *end);
    if (!next) return next.error();
    more = *next;
  }
  return {};
}

Result<> DirectoryReader::take(LDAPMessage* message) {
  const auto entry = decoder_.decode(connection_.handle(), message);
  if (!entry) return entry.error();
  ++totals_.objects;
  if (++on_page_ == 1) page_key_.assign((*entry)->key);
  if ((*entry)->missing.empty())
    sink_.upsert((*entry)->object());
  else
    unfinished_.emplace_back(**entry);
  return {};
}

// True if another page follows; cookie_ then says which.
Result<bool> DirectoryReader::next_page(const std::string& base, const LdapResult& end) {
  auto* control = ::ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, end.controls.get(), nullptr);
  if (control == nullptr)
    return Error{
        Errc::incomplete,
        fmt::format("page {} below {} ended without a word about the next (RFC 2696), so "
                    "nobody knows whether it was all; the server has to know paged results",
                    page_, escape(base))};
  ber_int_t estimate = 0;
  berval next{};
  if (::ldap_parse_pageresponse_control(connection_.handle(), control, &estimate, &next) !=
      LDAP_SUCCESS)
    return Error{Errc::protocol, fmt::format("page {} below {} ended with a paging control that "
                                             "is none",
                                             page_, escape(base))};
  cookie_.reset(::ber_bvdup(&next));
  const bool more = next.bv_len > 0;
  ::ber_memfree(next.bv_val);
  if (more)
    if (auto progress = check_progress(base); !progress) return progress.error();
  return more;
}

// A server that forgot where it was and begins again would keep us reading for ever.
Result<> DirectoryReader::check_progress(const std::string& base) {
  empty_pages_ = on_page_ == 0 ? empty_pages_ + 1 : 0;
  if (empty_pages_ > max_empty_pages)
    return Error{Errc::limit, fmt::format("{} empty pages in a row below {}; the server does not "
                                          "come to an end",
                                          empty_pages_, escape(base))};
  if (on_page_ == 0) return {};
  if (page_key_ == first_key_ || page_key_ == last_key_)
    return Error{Errc::protocol,
                 fmt::format("page {} below {} begins like an earlier one: the server has lost its "
                             "place; the next poll begins anew",
                             page_, escape(base))};
  if (first_key_.empty()) first_key_ = page_key_;
  last_key_ = page_key_;
  return {};
}

Result<> DirectoryReader::complete_missing() {
  for (auto& owned : unfinished_) {
    const auto missing = owned.entry().missing;
    for (const auto& range : missing)
      if (auto done = complete(owned, range); !done) return done;
    sink_.upsert(owned.entry().object());
  }
  unfinished_.clear();
  return {};
}

// Reads the rest of an attribute, range by range ([MS-ADTS] 3.1.1.3.1.3.3).
Result<> DirectoryReader::complete(OwnedEntry& owned, MissingRange missing) {
  for (std::uint64_t ranges = 0; ranges < max_ranges; ++ranges) {
    const auto next = next_range(owned, missing);
    if (!next) return next.error();
    if (!*next) return {};
    missing.from = **next;
  }
  return Error{Errc::limit, fmt::format("{}: more than {} ranges of values; the server does not "
                                        "come to an end",
                                        escape(owned.entry().dn), max_ranges)};
}

// Adds the values from missing.from on; returns where the next range begins, nothing at the end.
Result<std::optional<std::uint64_t>> DirectoryReader::next_range(OwnedEntry& owned,
                                                                 MissingRange missing) {
  const auto& wanted = decoder_.wanted()[missing.attribute].name;
  const std::string dn(owned.entry().dn);
  auto request = fmt::format("{};range={}-*", wanted, missing.from);
  char* attributes[] = {request.data(), nullptr};
  const auto during = fmt::format("reading {} of {}", request, escape(dn));
  std::optional<AttributeName> got;
  const auto take_values = [&](LDAPMessage* message) -> Result<> {
    BerElement* position = nullptr;
    char* next = ::ldap_first_attribute(connection_.handle(), message, &position);
    const Handle<BerElement, free_cursor> cursor(position);
    for (; next != nullptr;
         next = ::ldap_next_attribute(connection_.handle(), message, cursor.get())) {
      const Handle<char, free_name> name(next);
      const auto parsed = parse_attribute_name(name.get());
      if (!parsed) return parsed.error();
      if (!parsed->ranged || !ascii_equal(parsed->base, wanted)) continue;
      if (parsed->first != missing.from) continue;
      auto** values = ::ldap_get_values_len(connection_.handle(), message, name.get());
      for (auto** value = values; value != nullptr && *value != nullptr; ++value) {
        got = *parsed;
        decoder_.add(owned.entry(), missing.attribute,
                     owned.own({(*value)->bv_val, (*value)->bv_len}));
      }
      ::ldap_value_free_len(values);
    }
    return {};
  };
  const auto end = search({dn, LDAP_SCOPE_BASE, every_entry, attributes}, during, take_values);
  if (!end) return end.error();
  if (end->status.code != LDAP_SUCCESS) return explain_search(end->status, dn, settings_);
  // Renamed, deleted or shortened since its first values were read.
  if (!got)
    return Error{
        Errc::incomplete,
        fmt::format("{}: it changed while it was read; the next poll reads it again", during)};
  if (got->complete) return std::optional<std::uint64_t>{};
  return std::optional<std::uint64_t>{got->last + 1};
}

}  // namespace

Result<ReadTotals> read_directory(LdapConnection& connection, config::SourceType type,
                                  const config::LdapSource& settings, recipient::ObjectSink& sink) {
  return DirectoryReader(connection, type, settings, sink).read();
}

}  // namespace rcptsync::source
