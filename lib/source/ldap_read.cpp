#include "source/ldap_read.hpp"

#include <fmt/format.h>

#include <deque>
#include <limits>
#include <optional>
#include <unordered_set>

#include "base/escape.hpp"
#include "source/active_directory.hpp"
#include "source/ldap_entry.hpp"
#include "source/ldap_search.hpp"

namespace rcptsync::source {
namespace {

// Bounds on what a server can make us read; each is far beyond any directory.
constexpr std::uint64_t max_empty_pages = 1000;
constexpr std::uint64_t max_ranges = 10'000;  // of 1500 values in Active Directory
// Of the values of one object that are read in ranges: their bytes, and what keeping one costs.
constexpr std::size_t max_kept = std::size_t{512} << 20U;
constexpr std::size_t cost_of_a_value = 160;
// An object that changes while its ranges are read is read again so many times.
constexpr int max_attempts = 3;
// Of one search for objects by their keys: every server answers that many at once, and its filter
// stays short enough for every parser.
constexpr std::size_t keys_at_once = 100;

void free_cursor(BerElement* cursor) {
  ::ber_free(cursor, 0);
}
void free_name(char* name) {
  ::ldap_memfree(name);
}
void free_bytes(berval* bytes) {
  ::ber_bvfree(bytes);
}

// Drops the values of one of the decoder's attributes.
void forget(Entry& entry, std::string_view attribute) {
  const auto of_it = [&](const recipient::Value& value) { return value.attribute == attribute; };
  std::erase_if(entry.addresses, of_it);
  std::erase_if(entry.fallback, of_it);
}

class DirectoryReader {
 public:
  DirectoryReader(LdapConnection& connection, config::SourceType type,
                  const config::LdapSource& settings, recipient::ObjectSink& sink)
      : connection_(connection),
        searcher_(connection, settings),
        settings_(settings),
        sink_(sink),
        decoder_(type, settings) {}

  Result<std::vector<std::string>> bases();
  Result<> read_base(const std::string& base, const std::string& filter);
  [[nodiscard]] ReadTotals totals() const { return {objects_, searcher_.references()}; }

 private:
  struct Range {
    LdapFailure refusal;               ///< code 0: none
    std::optional<AttributeName> got;  ///< nothing: no such values
    std::string version;               ///< uSNChanged; empty: the server has none
  };

  Result<> take(LDAPMessage* message);
  Result<bool> next_page(const std::string& base, const LdapResult& end);
  Result<> check_progress(const std::string& base);
  Result<> complete_missing();
  Result<> complete(OwnedEntry& owned);
  Result<bool> read_ranges(OwnedEntry& owned, std::size_t attribute);
  Result<Range> read_range(OwnedEntry& owned, MissingRange missing);

  LdapConnection& connection_;
  LdapSearcher searcher_;
  const config::LdapSource& settings_;
  recipient::ObjectSink& sink_;
  EntryDecoder decoder_;
  std::uint64_t objects_ = 0;

  // Of the page that is being read.
  std::uint64_t page_ = 0;
  std::uint64_t on_page_ = 0;
  std::uint64_t empty_pages_ = 0;
  std::string page_key_;   // of its first entry
  std::string last_key_;   // of the first entry of the page before
  std::string first_key_;  // of the first entry of all
  Handle<berval, free_bytes> cookie_;
  std::deque<OwnedEntry> unfinished_;  // entries with missing values

  // Of the object whose ranges are read.
  std::size_t kept_ = 0;
  std::optional<std::string> version_;  // of the first range
  Error changed_;                       // why it has to be read again
};

Result<std::vector<std::string>> DirectoryReader::bases() {
  if (!settings_.bases.empty()) return settings_.bases;
  const auto root = read_root_dse(searcher_, connection_, settings_);
  if (!root) return root.error();
  return search_bases(*root, settings_);
}

Result<> DirectoryReader::read_base(const std::string& base, const std::string& filter) {
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
    const LdapControl owned(paging);
    const auto during = fmt::format("reading page {} below {}", page_, escape(base));
    if (code != LDAP_SUCCESS) return connection_.failure(code, during);
    const auto end = searcher_.run({.base = base,
                                    .filter = filter.c_str(),
                                    .attributes = decoder_.request(),
                                    .control = paging},
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
  ++objects_;
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
    if (auto done = complete(owned); !done) return done;
    sink_.upsert(owned.entry().object());
  }
  unfinished_.clear();
  return {};
}

// Reads the attributes of which values are missing, range by range ([MS-ADTS] 3.1.1.3.1.3.3). A
// range is a place in a list that may change between two questions, and then a value could be in
// neither: so all of it is read here, the first values too, and from one version of the object.
Result<> DirectoryReader::complete(OwnedEntry& owned) {
  const auto missing = std::move(owned.entry().missing);
  kept_ = 0;
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    version_.reset();
    bool whole = true;
    for (const auto& one : missing) {
      forget(owned.entry(), decoder_.wanted()[one.attribute].name);
      const auto same = read_ranges(owned, one.attribute);
      if (!same) return same.error();
      whole = *same;
      if (!whole) break;
    }
    if (whole) return {};
  }
  return changed_;
}

// All values of an attribute. False: the object changed meanwhile.
Result<bool> DirectoryReader::read_ranges(OwnedEntry& owned, std::size_t attribute) {
  const auto& dn = owned.entry().dn;
  MissingRange missing{.attribute = attribute, .from = 0};
  for (std::uint64_t ranges = 0; ranges < max_ranges; ++ranges) {
    const auto range = read_range(owned, missing);
    if (!range) return range.error();
    // Past the end of a list that became shorter, servers answer with an error or with nothing.
    if (range->refusal.code != LDAP_SUCCESS) {
      changed_ = explain_search(range->refusal, std::string(dn), settings_);
      if (missing.from == 0) return changed_;
      return false;
    }
    if (!version_) version_ = range->version;
    if (*version_ != range->version || !range->got) {
      changed_ = {Errc::incomplete,
                  fmt::format("{}: it changed while it was read; the next poll reads it again",
                              escape(dn))};
      return false;
    }
    if (range->got->complete) return true;
    missing.from = range->got->last + 1;
  }
  return Error{Errc::limit, fmt::format("{}: more than {} ranges of values; the server does not "
                                        "come to an end",
                                        escape(dn), max_ranges)};
}

// Adds the values from missing.from on.
Result<DirectoryReader::Range> DirectoryReader::read_range(OwnedEntry& owned,
                                                           MissingRange missing) {
  const auto& wanted = decoder_.wanted()[missing.attribute].name;
  const std::string dn(owned.entry().dn);
  const auto request = fmt::format("{};range={}-*", wanted, missing.from);
  AttributeList attributes({request, "uSNChanged"});
  const auto during = fmt::format("reading {} of {}", request, escape(dn));
  Range range;
  const auto take_values = [&](LDAPMessage* message) -> Result<> {
    BerElement* position = nullptr;
    char* next = ::ldap_first_attribute(connection_.handle(), message, &position);
    const Handle<BerElement, free_cursor> cursor(position);
    for (; next != nullptr;
         next = ::ldap_next_attribute(connection_.handle(), message, cursor.get())) {
      const Handle<char, free_name> name(next);
      const auto parsed = parse_attribute_name(name.get());
      if (!parsed) return parsed.error();
      const bool version = ascii_equal(parsed->base, "uSNChanged");
      // A server may name an attribute without a range if it is all in this one.
      const bool values_of_it =
          ascii_equal(parsed->base, wanted) && (parsed->ranged || missing.from == 0);
      if (!version && (!values_of_it || parsed->first != missing.from)) continue;
      auto** values = ::ldap_get_values_len(connection_.handle(), message, name.get());
      for (auto** value = values; value != nullptr && *value != nullptr; ++value) {
        const std::string_view text{(*value)->bv_val, (*value)->bv_len};
        if (version) {
          range.version = text;
          continue;
        }
        range.got = *parsed;
        kept_ += text.size() + cost_of_a_value;
        decoder_.add(owned.entry(), missing.attribute, owned.own(text));
      }
      ::ldap_value_free_len(values);
    }
    if (kept_ > max_kept)
      return Error{Errc::limit,
                   fmt::format("{}: too many values of {} for one object; the server does not come "
                               "to an end",
                               escape(dn), escape(wanted))};
    return {};
  };
  const auto end = searcher_.run(
      {.base = dn, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()}, during, take_values);
  if (!end) return end.error();
  range.refusal = end->status;
  return range;
}

// Passes on what is found and keeps which it was.
class Finder final : public recipient::ObjectSink {
 public:
  explicit Finder(recipient::ObjectSink& sink) : sink_(sink) {}

  void upsert(const recipient::Object& object) override {
    found_.emplace(object.key);
    sink_.upsert(object);
  }
  bool present(std::string_view key) override { return sink_.present(key); }
  void remove(std::string_view key) override { sink_.remove(key); }
  void restart() override { sink_.restart(); }

  [[nodiscard]] bool found(const std::string& key) const { return found_.contains(key); }
  [[nodiscard]] std::uint64_t count() const { return found_.size(); }

 private:
  recipient::ObjectSink& sink_;
  std::unordered_set<std::string> found_;
};

}  // namespace

Result<ReadTotals> read_directory(LdapConnection& connection, config::SourceType type,
                                  const config::LdapSource& settings, recipient::ObjectSink& sink) {
  DirectoryReader reader(connection, type, settings, sink);
  const auto bases = reader.bases();
  if (!bases) return bases.error();
  for (const auto& base : *bases)
    if (auto done = reader.read_base(base, settings.filter); !done) return done.error();
  return reader.totals();
}

Result<ReadTotals> read_again(LdapConnection& connection, const config::LdapSource& settings,
                              std::span<const std::string> guids, recipient::ObjectSink& sink) {
  Finder finder(sink);
  DirectoryReader reader(connection, config::SourceType::active_directory, settings, finder);
  const auto bases = reader.bases();
  if (!bases) return bases.error();
  for (auto left = guids; !left.empty();) {
    const auto some = left.first(std::min(left.size(), keys_at_once));
    left = left.subspan(some.size());
    const auto filter = fmt::format("(&{}{})", settings.filter, guid_filter(some));
    for (const auto& base : *bases)
      if (auto done = reader.read_base(base, filter); !done) return done.error();
  }
  for (const auto& guid : guids)
    if (!finder.found(guid)) sink.remove(guid);
  return ReadTotals{.objects = finder.count(), .references = reader.totals().references};
}

}  // namespace rcptsync::source
