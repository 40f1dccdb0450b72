// content_sync — increments of OpenLDAP by RFC 4533 content synchronization (overlay syncprov).
//
// What OpenLDAP 2.5 does beyond the RFC, and what follows from it:
// - Its cookie is a set of CSNs, bound to no search and no server. So a mark is taken with a search
//   for the base alone, a cookie of one replica serves at another, and what cannot serve is seen
//   before it is sent: a server that lags, or has other server ids, answers it with silence or with
//   half an answer rather than with a refusal.
// - An entry that changes while it is refreshed is left out, because its CSN is above the cookie
// that
//   ends the refresh. The next read gets it.
// - In the present phase new entries are named as present first and are sent afterwards.
// - In the delete phase everything that changed and is outside the search is named as gone, known
// or
//   not. But what comes into the search or leaves it without a change of its own is not told: the
//   entries below one that moved, and what depends on attributes that are computed.
// - A server id in the cookie is taken for the client's, and that server's changes are kept back.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "source/active_directory.hpp"
#include "source/increments.hpp"
#include "source/ldap_entry.hpp"
#include "source/ldap_search.hpp"
#include "source/sync_cookie.hpp"
#include "source/sync_refresh.hpp"
#include "source/sync_search.hpp"

namespace rcptsync::source {
namespace {

constexpr const char* how_to_offer =
    "load the module syncprov and add to the database: overlay syncprov, syncprov-sessionlog "
    "100000, "
    "index entryCSN,entryUUID eq";

// Attributes that change without a change of the entry (a new entryCSN), so that no server tells.
constexpr std::array<std::string_view, 7> computed_attributes{
    "memberOf",        "1.2.840.113556.1.2.102", "isMemberOf",
    "hasSubordinates", "numSubordinates",        "entryDN",
    "nsRole"};

Error doubt(std::string message) {
  return {Errc::foreign, std::move(message)};
}

// What `filter` or the wanted attributes depend on that no server tells about; empty: nothing.
std::string untold(const config::LdapSource& settings) {
  if (ascii_lower(settings.filter).find(":dn:") != std::string::npos) return ":dn:";
  const auto in_filter = filter_needs(settings.filter).attributes;
  for (const auto* list : {&in_filter, &settings.addresses, &settings.fallback})
    for (const auto& attribute : *list)
      for (const auto computed : computed_attributes)
        if (ascii_equal(attribute.substr(0, attribute.find(';')), computed))
          return std::string(computed);
  return {};
}

// A DN in one spelling, as far as that can be had without the server's schema.
std::string normalized(const std::string& dn) {
  LDAPDN parsed = nullptr;
  if (::ldap_str2dn(dn.c_str(), &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
    return ascii_lower(dn);
  char* text = nullptr;
  const int code = ::ldap_dn2str(parsed, &text, LDAP_DN_FORMAT_LDAPV3);
  ::ldap_dnfree(parsed);
  if (code != LDAP_SUCCESS) return ascii_lower(dn);
  auto result = ascii_lower(text);
  ::ldap_memfree(text);
  return result;
}

/// What a server says of itself.
struct Offer {
  RootDse root;
  bool openldap = false;
  bool sync = false;
};

class ContentSync final : public Increments {
 public:
  explicit ContentSync(const config::LdapSource& settings) : settings_(settings) {}

  Result<Mark> mark(LdapConnection& connection) override;
  Result<Increment> read(LdapConnection& connection, const Mark& since,
                         recipient::ObjectSink& sink) override;
  Result<> listen(LdapConnection& connection, const Mark& since, const Bell& bell) override;

 private:
  const config::LdapSource& settings_;
};

/// One conversation.
class Conversation {
 public:
  Conversation(LdapConnection& connection, const config::LdapSource& settings)
      : connection_(connection),
        settings_(settings),
        searcher_(connection, settings),
        sync_(connection, settings),
        decoder_(config::SourceType::ldap, settings) {}

  Result<Mark> mark();
  Result<Increment> read(const Mark& since, recipient::ObjectSink& sink);
  Result<> listen(const Mark& since, const Bell& bell);

 private:
  Result<Offer> offer();
  Result<std::vector<BaseMark>> stand();
  Result<BaseMark> stand_of(const std::string& base);
  Result<CsnSet> replicated(const std::string& context);
  Result<std::vector<std::string>> contexts_of(const Offer& offer,
                                               const std::vector<std::string>& bases);
  Result<BaseMark> refresh(const BaseMark& since, const BaseMark& now, recipient::ObjectSink& sink);
  Result<> check_moved_containers(const std::vector<BaseMark>& since,
                                  const std::vector<BaseMark>& now);
  Result<> catch_up(const std::vector<BaseMark>& now, recipient::ObjectSink& sink);
  Result<> upsert(LDAPMessage* message, std::string_view uuid, recipient::ObjectSink& sink);
  [[nodiscard]] Mark mark_of(const std::vector<BaseMark>& marks) const;

  LdapConnection& connection_;
  const config::LdapSource& settings_;
  LdapSearcher searcher_;
  SyncSearch sync_;
  EntryDecoder decoder_;
  SyncRefresh refresh_;
  std::string refusal_;                ///< why a base cannot be synchronized
  std::vector<std::string> contexts_;  ///< of the bases: the naming context that each is in
  std::uint64_t objects_ = 0;
};

Result<Offer> Conversation::offer() {
  AttributeList attributes(
      {"objectClass", "supportedControl", "namingContexts", "defaultNamingContext"});
  constexpr std::size_t max_values = 10'000;
  std::size_t count = 0;
  Offer offer;
  const std::string root;
  const auto end = searcher_.run(
      {.base = root, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
      "reading the root DSE", [&](LDAPMessage* message) -> Result<> {
        const auto visited = visit_values(
            connection_.handle(), message, [&](std::string_view name, std::string_view value) {
              if (++count > max_values) return;
              if (ascii_equal(name, "objectClass"))
                offer.openldap = offer.openldap || ascii_equal(value, "OpenLDAProotDSE");
              if (ascii_equal(name, "supportedControl"))
                offer.sync = offer.sync || value == LDAP_CONTROL_SYNC;
              if (ascii_equal(name, "namingContexts")) offer.root.contexts.emplace_back(value);
              if (ascii_equal(name, "defaultNamingContext")) offer.root.default_context = value;
            });
        if (!visited) return visited.error();
        return {};
      });
  if (!end) return end.error();
  return offer;
}

// The longest naming context that each base is in or is itself.
Result<std::vector<std::string>> Conversation::contexts_of(const Offer& offer,
                                                           const std::vector<std::string>& bases) {
  std::vector<std::string> contexts;
  for (const auto& base : bases) {
    const auto below = ',' + normalized(base);
    const std::string* best = nullptr;
    for (const auto& context : offer.root.contexts) {
      const auto suffix = context.empty() ? std::string{} : ',' + normalized(context);
      if (below.ends_with(suffix) && (best == nullptr || context.size() > best->size()))
        best = &context;
    }
    if (best == nullptr)
      return doubt(
          fmt::format("{} is in none of the databases that the server names in "
                      "namingContexts",
                      escape(base)));
    contexts.push_back(*best);
  }
  return contexts;
}

// Where the server stands, below each base.
Result<std::vector<BaseMark>> Conversation::stand() {
  const auto offered = offer();
  if (!offered) return offered.error();
  if (!offered->openldap)
    return doubt(
        "only OpenLDAP's content synchronization is known well enough for incremental "
        "reads, and the server does not say that it is one (objectClass OpenLDAProotDSE in "
        "the root DSE)");
  const auto bases = search_bases(offered->root, settings_);
  if (!bases) return doubt(bases.error().message);
  auto contexts = contexts_of(*offered, *bases);
  if (!contexts) return contexts.error();
  contexts_ = std::move(*contexts);

  std::vector<BaseMark> marks;
  for (std::size_t i = 0; i < bases->size(); ++i) {
    if (offered->sync) {
      auto mark = stand_of((*bases)[i]);
      if (!mark && mark.error().code != Errc::foreign) return mark.error();
      if (mark) {
        marks.push_back(std::move(*mark));
        continue;
      }
      // The control is the server's, the overlay the database's.
      refusal_ = mark.error().message;
    }
    auto csns = replicated(contexts_[i]);
    if (!csns) return csns.error();
    marks.push_back({.base = (*bases)[i], .uuid = {}, .csns = std::move(*csns)});
  }
  return marks;
}

// A refresh without a state, of the base alone: it costs one entry.
Result<BaseMark> Conversation::stand_of(const std::string& base) {
  const auto during = fmt::format("asking how far {} has come", escape(base));
  AttributeList nothing({LDAP_NO_ATTRS});
  BaseMark mark;
  mark.base = base;
  const auto end = sync_.run({.base = base,
                              .scope = LDAP_SCOPE_BASE,
                              .attributes = nothing.get(),
                              .cookie = compose_sync_cookie({})},
                             during,
                             {.on_entry = [&](const SyncState& state, LDAPMessage*) -> Result<> {
                                mark.uuid = state.uuid;
                                return {};
                              },
                              .on_info = [](const SyncInfo&) -> Result<> { return {}; }});
  if (!end) return end.error();
  auto cookie = parse_sync_cookie(end->cookie);
  if (!cookie) return cookie.error().within(during);
  if (cookie->csns.empty())
    return doubt(fmt::format("{}: the server has recorded no change yet", escape(base)));
  mark.csns = std::move(cookie->csns);
  return mark;
}

// How far a server has come that replicates, but does not offer synchronization itself.
Result<CsnSet> Conversation::replicated(const std::string& context) {
  AttributeList attributes({"contextCSN"});
  CsnSet csns;
  const auto end = searcher_.run(
      {.base = context, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
      "reading contextCSN", [&](LDAPMessage* message) -> Result<> {
        const auto visited = visit_values(connection_.handle(), message,
                                          [&](std::string_view name, std::string_view value) {
                                            if (ascii_equal(name, "contextCSN"))
                                              (void)add_csn(value, csns);
                                          });
        if (!visited) return visited.error();
        return {};
      });
  if (!end) return end.error();
  return csns;
}

Mark Conversation::mark_of(const std::vector<BaseMark>& marks) const {
  Mark mark;
  mark.cookie = encode_marks(marks);
  for (const auto& base : marks)
    for (const auto& [sid, csn] : base.csns)
      mark.progress.emplace(fmt::format("server id {} in {}", sid, base.base), csn);
  // A replica may have no change of its own: it stands for the server whose change came last.
  const auto newest = std::ranges::max_element(
      mark.progress, {}, [](const auto& one) -> const std::string& { return one.second; });
  if (newest != mark.progress.end()) mark.origin = newest->first;
  return mark;
}

Result<Mark> Conversation::mark() {
  const auto marks = stand();
  if (!marks) {
    if (marks.error().code != Errc::foreign) return marks.error();
    Mark none;
    if (settings_.incremental) none.note = "no incremental reads: " + marks.error().message;
    return none;
  }
  auto mark = mark_of(*marks);
  if (!settings_.incremental) {
    mark.cookie.clear();
    return mark;
  }
  const auto attribute = untold(settings_);
  if (!attribute.empty())
    mark.note = fmt::format(
        "no incremental reads: the server does not tell when {} changes, which the filter or the "
        "addresses of this source use; without it changes are seen between two full reads too",
        attribute);
  const bool offered =
      std::none_of(marks->begin(), marks->end(), [](const auto& one) { return one.uuid.empty(); });
  if (!offered)
    mark.note = fmt::format(
        "no incremental reads: the server does not offer content "
        "synchronization (RFC 4533), or not for what this account may see; {}{}",
        how_to_offer, refusal_.empty() ? "" : " (" + refusal_ + ")");
  if (!mark.note.empty()) mark.cookie.clear();
  return mark;
}

Result<> Conversation::upsert(LDAPMessage* message, std::string_view uuid,
                              recipient::ObjectSink& sink) {
  const auto entry = decoder_.decode(connection_.handle(), message);
  if (!entry) return doubt(entry.error().message);
  if (!uuid.empty() && (*entry)->key != uuid)
    return doubt(
        fmt::format("{} came with the syncUUID of another entry, or its entryUUID cannot be "
                    "read by this account",
                    escape((*entry)->dn)));
  if (!(*entry)->missing.empty())
    return doubt(fmt::format("{} came without all of its values", escape((*entry)->dn)));
  refresh_.sent((*entry)->key);
  sink.upsert((*entry)->object());
  ++objects_;
  return {};
}

// Tells what changed below one base; the mark where the server ended.
Result<BaseMark> Conversation::refresh(const BaseMark& since, const BaseMark& now,
                                       recipient::ObjectSink& sink) {
  const auto during = fmt::format("reading what changed below {}", escape(since.base));
  refresh_.begin();
  const auto present = [&](std::string_view uuid) {
    ++objects_;
    return refresh_.present(uuid, sink.present(uuid));
  };
  const auto on_entry = [&](const SyncState& state, LDAPMessage* message) -> Result<> {
    switch (state.kind) {
      case SyncState::Kind::present:
        return present(state.uuid);
      case SyncState::Kind::remove:
        return refresh_.gone(state.uuid);
      default:
        return upsert(message, state.uuid, sink);
    }
  };
  const auto on_info = [&](const SyncInfo& info) -> Result<> {
    for (const auto uuid : info.uuids)
      if (auto taken = info.refresh_deletes ? refresh_.gone(uuid) : present(uuid); !taken)
        return taken;
    // In a refresh without persist stage a phase that ends before the last message is followed by
    // another one, which no OpenLDAP does.
    if (info.kind == SyncInfo::Kind::refresh_delete || info.kind == SyncInfo::Kind::refresh_present)
      return doubt(fmt::format("{}: the server refreshes in several phases", during));
    return {};
  };
  const auto end = sync_.run({.base = since.base,
                              .filter = settings_.filter.c_str(),
                              .attributes = decoder_.request(),
                              .cookie = compose_sync_cookie(since.csns)},
                             during, {.on_entry = on_entry, .on_info = on_info});
  if (!end) return end.error();
  auto cookie = parse_sync_cookie(end->cookie);
  if (!cookie) return cookie.error().within(during);
  BaseMark next{.base = now.base, .uuid = now.uuid, .csns = std::move(cookie->csns)};
  if (const auto why = cannot_go_on(since, next); !why.empty()) return doubt(why);
  if (auto done = refresh_.end(end->refresh_deletes); !done) return done.error().within(during);
  return next;
}

// A container that moved takes what is below it into a base or out of it, and nothing tells of
// that. Below a whole database nothing can move in or out.
Result<> Conversation::check_moved_containers(const std::vector<BaseMark>& since,
                                              const std::vector<BaseMark>& now) {
  AttributeList attributes({"entryCSN", "createTimestamp"});
  for (std::size_t i = 0; i < since.size(); ++i) {
    if (normalized(contexts_[i]) == normalized(since[i].base)) continue;
    const auto oldest = oldest_changed(since[i].csns, now[i].csns);
    const auto newest =
        std::max_element(since[i].csns.begin(), since[i].csns.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; })
            ->second;
    const auto filter = fmt::format("(&(entryCSN>={})(hasSubordinates=TRUE))", oldest);
    const auto during =
        fmt::format("looking for containers that moved below {}", escape(contexts_[i]));
    const auto look = [&](LDAPMessage* message) -> Result<> {
      CsnSet csn;
      std::string created;
      const auto dn = visit_values(connection_.handle(), message,
                                   [&](std::string_view name, std::string_view value) {
                                     if (ascii_equal(name, "entryCSN")) (void)add_csn(value, csn);
                                     if (ascii_equal(name, "createTimestamp")) created = value;
                                   });
      if (!dn) return dn.error();
      if (!csn.empty()) {
        const auto& [sid, changed] = *csn.begin();
        const auto seen = since[i].csns.find(sid);
        if (seen != since[i].csns.end() && changed <= seen->second) return {};
      }
      // Made since: what is below it came after it, each with a change of its own. A CSN begins
      // like a timestamp.
      constexpr std::size_t to_the_second = 14;
      if (created.size() > to_the_second &&
          created.substr(0, to_the_second) > newest.substr(0, to_the_second))
        return {};
      return doubt(
          fmt::format("{} has entries below it and was changed; if it was moved, they were "
                      "moved with it, of which the server does not tell",
                      escape(*dn)));
    };
    const auto end = searcher_.run(
        {.base = contexts_[i], .filter = filter.c_str(), .attributes = attributes.get()}, during,
        look);
    if (!end) return end.error();
    if (end->status.code != LDAP_SUCCESS)
      return doubt(fmt::format("{}: {}", during, describe(end->status)));
  }
  return {};
}

// What came into one base while another one was read is looked for, before it is taken for gone.
Result<> Conversation::catch_up(const std::vector<BaseMark>& now, recipient::ObjectSink& sink) {
  for (const auto& mark : now) {
    const auto latest = stand_of(mark.base);
    if (!latest) return latest.error();
    if (const auto why = cannot_go_on(mark, *latest); !why.empty()) return doubt(why);
    const auto oldest = oldest_changed(mark.csns, latest->csns);
    if (oldest.empty()) continue;
    const auto filter = fmt::format("(&(entryCSN>={}){})", oldest, settings_.filter);
    const auto during = fmt::format("reading what came in below {}", escape(mark.base));
    const auto end = searcher_.run(
        {.base = mark.base, .filter = filter.c_str(), .attributes = decoder_.request()}, during,
        [&](LDAPMessage* message) { return upsert(message, {}, sink); });
    if (!end) return end.error();
    if (end->status.code != LDAP_SUCCESS)
      return doubt(fmt::format("{}: {}", during, describe(end->status)));
  }
  return {};
}

Result<Increment> Conversation::read(const Mark& since, recipient::ObjectSink& sink) {
  const auto before = decode_marks(since.cookie);
  if (!before) return before.error();
  const auto now = stand();
  if (!now) return now.error();
  if (now->size() != before->size()) return doubt("the bases are others than at the last read");
  for (std::size_t i = 0; i < now->size(); ++i)
    if (const auto why = cannot_go_on((*before)[i], (*now)[i]); !why.empty()) return doubt(why);

  auto after = *before;
  bool changed = false;
  bool all_changed = true;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if ((*before)[i].csns == (*now)[i].csns) {
      all_changed = false;
      continue;
    }
    changed = true;
    auto next = refresh((*before)[i], (*now)[i], sink);
    if (!next) return next.error();
    after[i] = std::move(*next);
  }
  if (!changed) return Increment{.mark = mark_of(after)};

  if (refresh_.unseen_gone()) {
    if (!all_changed)
      return doubt("the server named all entries of one base and nothing of another");
  } else if (auto done = check_moved_containers(*before, after); !done) {
    return done.error();
  }
  if (after.size() > 1 && (refresh_.unseen_gone() || !refresh_.removals().empty()))
    if (auto done = catch_up(after, sink); !done) return done.error();
  for (const auto& key : refresh_.removals()) sink.remove({key.data(), key.size()});
  return Increment{
      .mark = mark_of(after), .objects = objects_, .unseen_gone = refresh_.unseen_gone()};
}

Result<> Conversation::listen(const Mark& since, const Bell& bell) {
  const auto now = stand();
  if (!now && now.error().code == Errc::foreign) return Error{Errc::invalid, now.error().message};
  if (!now) return now.error();
  const bool offered =
      std::none_of(now->begin(), now->end(), [](const auto& one) { return one.uuid.empty(); });
  if (!offered)
    return Error{Errc::invalid,
                 fmt::format("the server does not offer content synchronization (RFC 4533); {}",
                             how_to_offer)};

  const std::string during = "waiting for changes";
  AttributeList nothing({LDAP_NO_ATTRS});
  for (const auto& mark : *now) {
    const auto sent = sync_.send({.base = mark.base,
                                  .filter = settings_.filter.c_str(),
                                  .attributes = nothing.get(),
                                  .mode = SyncMode::refresh_and_persist,
                                  .cookie = compose_sync_cookie(mark.csns)},
                                 during);
    if (!sent) return sent.error();
  }
  // From here on nothing is missed; what came before is one ring, whatever it was.
  bell.stands();
  if (encode_marks(*now) != since.cookie) bell.ring();
  const SyncSearch::Handlers handlers{
      .on_entry = [&](const SyncState& state, LDAPMessage*) -> Result<> {
        if (state.kind != SyncState::Kind::present) bell.ring();
        return {};
      },
      .on_info = [&](const SyncInfo& info) -> Result<> {
        // A present phase says by silence what is gone.
        const bool tells = info.kind == SyncInfo::Kind::refresh_present ||
                           (info.kind == SyncInfo::Kind::id_set && info.refresh_deletes);
        if (tells) bell.ring();
        return {};
      }};
  for (;;) {
    const auto message = connection_.wait(LDAP_RES_ANY, during);
    if (!message) return message.error();
    if (::ldap_msgtype(message->get()) == LDAP_RES_SEARCH_RESULT) {
      const auto result = connection_.result(message->get());
      if (!result) return result.error();
      return Error{Errc::incomplete,
                   fmt::format("{}: the server ended it ({})", during, describe(result->status))};
    }
    if (auto taken = sync_.take(message->get(), during, handlers); !taken) return taken;
  }
}

Result<Mark> ContentSync::mark(LdapConnection& connection) {
  return Conversation(connection, settings_).mark();
}

Result<Increment> ContentSync::read(LdapConnection& connection, const Mark& since,
                                    recipient::ObjectSink& sink) {
  return Conversation(connection, settings_).read(since, sink);
}

Result<> ContentSync::listen(LdapConnection& connection, const Mark& since, const Bell& bell) {
  return Conversation(connection, settings_).listen(since, bell);
}

}  // namespace

std::unique_ptr<Increments> create_content_sync(const config::LdapSource& settings) {
  return std::make_unique<ContentSync>(settings);
}

}  // namespace rcptsync::source
