#include "source/ask.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "source/active_directory.hpp"
#include "source/ldap_entry.hpp"
#include "source/ldap_search.hpp"
#include "source/ldap_source.hpp"
#include "source/open_any.hpp"
#include "source/sigpipe.hpp"
#include "source/source.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t most_sightings = 20;

// Where people keep addresses that a source might not read.
constexpr std::string_view usual_attributes[] = {"proxyAddresses",       "mail",
                                                 "mailAlternateAddress", "mailLocalAddress",
                                                 "targetAddress",        "userPrincipalName"};

// Every byte but these is written in hexadecimal, so that nothing can end a value.
bool plain(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') ||
         std::string_view("@.-_+:=!#$%/?^").find(byte) != std::string_view::npos;
}

std::string in_filter(std::string_view text) {
  std::string escaped;
  for (const char byte : text)
    if (plain(byte))
      escaped += byte;
    else
      fmt::format_to(std::back_inserter(escaped), "\\{:02x}", static_cast<unsigned char>(byte));
  return escaped;
}

/// One address in all the ways in which it can be written.
class Wanted {
 public:
  explicit Wanted(std::string_view address)
      : canonical_(recipient::parse_address(address).canonical) {
    std::set<std::string> texts{std::string(address)};
    if (!canonical_.empty()) {
      texts.insert(canonical_);
      texts.insert(fmt::format("{}@{}", recipient::local_of(canonical_),
                               recipient::unicode_domain(recipient::domain_of(canonical_))));
    }
    texts_ = {texts.begin(), texts.end()};
  }

  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }

  [[nodiscard]] bool is(std::string_view value) const {
    const auto text = recipient::without_prefix(value);
    if (std::ranges::any_of(texts_, [&](const auto& one) { return ascii_equal(one, text); }))
      return true;
    return !canonical_.empty() && recipient::parse_address(text).canonical == canonical_;
  }

 private:
  std::string canonical_;
  std::vector<std::string> texts_;
};

std::optional<Missed> missed_by(recipient::Drop drop) {
  if (drop == recipient::Drop::sender_authentication) return Missed::sender_authentication;
  if (drop == recipient::Drop::system_object) return Missed::system_object;
  return std::nullopt;
}

// ---- directories
// ----------------------------------------------------------------------------------------------

class DirectoryAsk {
 public:
  DirectoryAsk(const config::Source& source, std::string_view address)
      : type_(source.type),
        settings_(std::get<config::LdapSource>(source.details)),
        wanted_(address),
        decoder_(type_, settings_) {
    const auto add = [this](std::string_view name) {
      const bool known = std::ranges::any_of(
          attributes_, [&](const auto& other) { return ascii_equal(other, name); });
      if (!known) attributes_.emplace_back(name);
    };
    for (const auto& name : settings_.addresses) add(name);
    for (const auto& name : settings_.fallback) add(name);
    for (const auto name : usual_attributes) add(name);
  }

  Result<Answer> run(std::string_view preferred, const std::stop_token& stop) {
    auto connection = open_any(settings_, type_, preferred, server_, stop);
    if (!connection) return connection.error();
    connection_ = std::move(*connection);
    LdapSearcher searcher(*connection_, settings_);
    searcher_ = &searcher;
    answer_.server = server_.uri;
    if (auto done = search(); !done) return done.error().within(escape(server_.uri));
    return std::move(answer_);
  }

 private:
  Result<> search() {
    const auto root = read_root_dse(*searcher_, *connection_, settings_);
    if (!root) return root.error();
    auto bases = search_bases(*root, settings_);
    if (!bases) return bases.error();
    bases_ = std::move(*bases);
    answer_.places = contexts(*root);
    const auto filter = address_filter(attributes_, wanted_.texts());
    for (const auto& place : answer_.places)
      if (auto done = search_below(place, filter); !done) return done;
    for (auto& sighting : answer_.sightings)
      if (auto done = try_filter(sighting); !done) return done;
    return {};
  }

  /// The naming contexts of the bases and the server's own; a base that is in none stands for
  /// itself.
  [[nodiscard]] std::vector<std::string> contexts(const RootDse& root) const {
    std::set<std::string> places;
    for (const auto& base : bases_) places.insert(context_of(base, root.contexts).value_or(base));
    if (!root.default_context.empty()) places.insert(root.default_context);
    return {places.begin(), places.end()};
  }

  Result<> search_below(const std::string& base, const std::string& filter) {
    std::vector<std::string> names;
    for (char** name = decoder_.request(); *name != nullptr; ++name) names.emplace_back(*name);
    names.insert(names.end(), attributes_.begin(), attributes_.end());
    AttributeList attributes(std::move(names));
    const auto end = searcher_->run({.base = base,
                                     .filter = filter.c_str(),
                                     .attributes = attributes.get(),
                                     .size_limit = static_cast<int>(most_sightings) + 1},
                                    fmt::format("searching below {}", escape(base)),
                                    [this](LDAPMessage* message) { return take(message); });
    if (!end) return end.error();
    if (end->status.code == LDAP_SIZELIMIT_EXCEEDED) answer_.more = true;
    const bool some = end->status.code == LDAP_SUCCESS || answer_.more;
    return some ? Result<>{} : Result<>{explain_search(end->status, base, settings_)};
  }

  Result<> take(LDAPMessage* message) {
    // Decoded first: visit_values() lets libldap end values with a zero, over the tags of the next.
    const auto entry = decoder_.decode(connection_->handle(), message);
    if (!entry) return entry.error();
    Sighting sighting;
    auto dn = visit_values(connection_->handle(), message,
                           [&](std::string_view name, std::string_view value) {
                             if (wanted_.is(value) && is_asked(name))
                               sighting.values.push_back({std::string(name), std::string(value)});
                           });
    if (!dn) return dn.error();
    sighting.origin = std::move(*dn);
    const bool known = std::ranges::any_of(
        answer_.sightings, [&](const Sighting& other) { return other.origin == sighting.origin; });
    if (known) return {};
    if (answer_.sightings.size() == most_sightings) {
      answer_.more = true;
      return {};
    }
    if (!context_of(sighting.origin, bases_)) sighting.missed.push_back(Missed::base);
    judge(**entry, sighting);
    answer_.sightings.push_back(std::move(sighting));
    return {};
  }

  [[nodiscard]] bool is_asked(std::string_view name) const {
    return std::ranges::any_of(attributes_, [&](const auto& attribute) {
      return ascii_equal(attribute, name.substr(0, name.find(';')));
    });
  }

  /// What the source's settings make of the object.
  void judge(const Entry& entry, Sighting& sighting) const {
    sighting.kind = entry.kind;
    if (const auto missed = missed_by(entry.drop)) sighting.missed.push_back(*missed);
    const auto has = [this](const std::vector<recipient::Value>& values) {
      return std::ranges::any_of(values,
                                 [this](const auto& value) { return wanted_.is(value.text); });
    };
    // Of a long list only the beginning came; the server says that the rest has it.
    if (sighting.values.empty() && !entry.missing.empty()) {
      const auto& name = decoder_.wanted()[entry.missing.front().attribute].name;
      sighting.values.push_back({name, wanted_.texts().front()});
    } else if (!has(entry.addresses) && !has(entry.fallback)) {
      sighting.missed.push_back(Missed::attribute);
    } else if (!has(entry.addresses) && !entry.addresses.empty()) {
      sighting.missed.push_back(Missed::fallback);
    }
  }

  /// Asks the server itself whether the source's filter fits the object.
  Result<> try_filter(Sighting& sighting) {
    AttributeList nothing({LDAP_NO_ATTRS});
    bool fits = false;
    const auto end = searcher_->run({.base = sighting.origin,
                                     .scope = LDAP_SCOPE_BASE,
                                     .filter = settings_.filter.c_str(),
                                     .attributes = nothing.get()},
                                    fmt::format("looking at {}", escape(sighting.origin)),
                                    [&](LDAPMessage*) -> Result<> {
                                      fits = true;
                                      return {};
                                    });
    if (!end) return end.error();
    if (end->status.code != LDAP_SUCCESS)
      return explain_search(end->status, sighting.origin, settings_);
    const auto after_base =
        std::ranges::find_if(sighting.missed, [](Missed missed) { return missed != Missed::base; });
    if (!fits) sighting.missed.insert(after_base, Missed::filter);
    return {};
  }

  const config::SourceType type_;
  const config::LdapSource settings_;
  const Wanted wanted_;
  EntryDecoder decoder_;
  std::vector<std::string> attributes_;
  config::Server server_;
  std::unique_ptr<LdapConnection> connection_;
  LdapSearcher* searcher_ = nullptr;
  std::vector<std::string> bases_;
  Answer answer_;
};

// ---- files
// ----------------------------------------------------------------------------------------------------

/// Keeps the objects of a read that have the address.
class Spotter final : public recipient::ObjectSink {
 public:
  explicit Spotter(std::string_view address) : wanted_(address) {}

  void upsert(const recipient::Object& object) override {
    Sighting sighting;
    for (const auto& value : object.values)
      if (wanted_.is(value.text))
        sighting.values.push_back({std::string(value.attribute), std::string(value.text)});
    if (sighting.values.empty()) return;
    if (answer_.sightings.size() == most_sightings) {
      answer_.more = true;
      return;
    }
    sighting.origin = object.origin;
    sighting.kind = object.kind;
    if (const auto missed = missed_by(object.drop)) sighting.missed.push_back(*missed);
    answer_.sightings.push_back(std::move(sighting));
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override {}
  void restart() override { answer_ = {}; }

  Answer take() { return std::move(answer_); }

 private:
  Wanted wanted_;
  Answer answer_;
};

}  // namespace

std::string_view setting_of(Missed missed) {
  switch (missed) {
    case Missed::base:
      return "bases";
    case Missed::filter:
      return "filter";
    case Missed::sender_authentication:
      return "sender_authentication";
    case Missed::system_object:
      return "system_mailboxes";
    case Missed::attribute:
      return "addresses";
    case Missed::fallback:
      return "fallback";
  }
  return {};
}

std::string address_filter(const std::vector<std::string>& attributes,
                           const std::vector<std::string>& texts) {
  std::string filter = "(|";
  for (const auto& attribute : attributes)
    for (const auto& text : texts)
      // A directory with exact matching tells the prefixes apart.
      for (const auto* prefix : {"", "smtp:", "SMTP:"})
        filter += fmt::format("({}={}{})", attribute, prefix, in_filter(text));
  return filter + ")";
}

Result<Answer> ask(const config::Source& source, std::string_view address,
                   std::string_view preferred, const std::stop_token& stop) {
  const SigpipeBlock no_sigpipe;
  auto made = create_source(source);
  if (!made) return made.error();
  if (std::holds_alternative<config::LdapSource>(source.details))
    return DirectoryAsk(source, address).run(preferred, stop);
  Spotter spotter(address);
  const auto read = (*made)->read({}, spotter, stop);
  if (!read) return read.error();
  return spotter.take();
}

}  // namespace rcptsync::source
