// dirsync — increments of Active Directory.
//
// DirSync ([MS-ADTS] 3.1.1.3.4.1.3) only signals here: it names objects of which something
// requested was changed, with the changed attributes alone, and does not look at the bases. So each
// object that it names is read again as a full read would find it: there and one of the source's,
// or gone. The cookie is from before that, so what changes meanwhile is named again.
//
// What DirSync does not name ends in a full read instead: the children of an object that was moved.
// What it cannot name is no business of incremental reads at all: filters that look beyond the
// object, and, without rights on the container of deleted objects, deletions.
//
// Behaviour seen: Samba answers a cookie of another controller with everything, as if all had
// changed; Microsoft's refuses it (0000203D). A cookie is only used with the database it came from.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/escape.hpp"
#include "source/active_directory.hpp"
#include "source/hex.hpp"
#include "source/increments.hpp"
#include "source/ldap_entry.hpp"
#include "source/ldap_read.hpp"
#include "source/ldap_search.hpp"

namespace rcptsync::source {
namespace {

constexpr const char* dirsync_control = LDAP_CONTROL_X_DIRSYNC;
constexpr const char* show_deleted_control = "1.2.840.113556.1.4.417";
constexpr const char* notification_control = "1.2.840.113556.1.4.528";
// Its answer is a cookie and nothing else.
constexpr const char* no_entry = "(!(objectClass=*))";

// More changes than this are read faster in full.
constexpr std::size_t max_signals = 50'000;
// Of answers to one question: Active Directory gives 1000 objects at once.
constexpr std::uint64_t max_rounds = 100'000;
constexpr ber_int_t answer_bytes = 1 << 20;
// Each that was moved is looked at.
constexpr std::size_t max_moved = 500;
// Active Directory's own, for one connection.
constexpr std::size_t max_notifications = 5;
constexpr std::uint16_t catalogue_port = 3268;
constexpr std::uint16_t catalogue_tls_port = 3269;

// Schema: systemFlags that say that a change is no change of the object.
constexpr unsigned long not_replicated = 0x1;
constexpr unsigned long constructed = 0x4;

Error foreign(std::string message) {
  return {Errc::foreign, std::move(message)};
}

// Which database answers, and how far it is.
struct Database {
  RootDse root;
  std::string origin;
  Progress progress;
};

// What one DirSync search ended with.
struct Answer {
  LdapFailure refusal;  ///< code 0: none
  std::string cookie;
};

// The conversation on one connection.
class Conversation {
 public:
  Conversation(LdapConnection& connection, const config::LdapSource& settings)
      : connection_(connection), settings_(settings), searcher_(connection, settings) {}

  Result<Mark> mark();
  Result<Increment> read(const Mark& since, recipient::ObjectSink& sink);
  Result<> listen(const Mark& since, const Bell& bell);

 private:
  using Take = std::function<Result<>(const std::string& guid, const Hint& hint)>;
  struct Signals {
    std::unordered_set<std::string> guids;
    std::vector<std::string> moved;
  };

  Result<Database> database();
  Result<std::string> invocation(const std::string& service);
  Result<Progress> vector_of(const std::string& context);
  Result<> complete_progress(Database& database, const std::vector<std::string>& contexts);
  Result<std::vector<std::string>> contexts(const RootDse& root, std::string& obstacle);
  Result<std::string> untraceable(const RootDse& root);
  Result<std::optional<DirSyncCookie>> begin(const std::vector<std::string>& contexts,
                                             std::string& obstacle);
  Result<bool> sees_deletions(const std::string& context);
  Result<Answer> ask(const std::string& context, bool object_security, const std::string& cookie,
                     const char* filter, AttributeList& attributes, const Take& take);
  Result<Signals> signals(DirSyncCookie& cookie);
  Result<bool> has_children(const std::string& guid);
  Result<bool> is_leaf(const std::string& guid);
  Result<> refuse_moved_containers(const std::vector<std::string>& moved);
  Result<bool> changed_since(const Mark& since);
  [[nodiscard]] std::vector<std::string> requested() const;

  LdapConnection& connection_;
  const config::LdapSource& settings_;
  LdapSearcher searcher_;
};

std::string by_guid(const std::string& guid) {
  return fmt::format("<GUID={}>", to_hex(guid));
}

Result<Database> Conversation::database() {
  auto root = read_root_dse(searcher_, connection_, settings_);
  if (!root) return root.error();
  Database database{.root = *std::move(root), .origin = {}, .progress = {}};
  // What the catalogue holds of other domains has a progress of its own.
  const auto port = connection_.server().port;
  if (port == catalogue_port || port == catalogue_tls_port) return database;
  auto origin = invocation(database.root.service_name);
  if (!origin) return origin.error();
  database.origin = *std::move(origin);
  const auto usn = parse_usn(database.root.committed_usn);
  if (!database.origin.empty() && usn) database.progress[database.origin] = *usn;
  return database;
}

// The name of the database under the controller; a restored one has another. Empty: not readable.
Result<std::string> Conversation::invocation(const std::string& service) {
  if (service.empty()) return std::string{};
  AttributeList attributes({"invocationId"});
  std::string id;
  const auto end =
      searcher_.run({.base = service, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
                    "reading the controller's invocationId", [&](LDAPMessage* message) -> Result<> {
                      auto read = visit_values(connection_.handle(), message,
                                               [&](std::string_view, std::string_view value) {
                                                 if (value.size() == guid_size) id = to_hex(value);
                                               });
                      if (!read) return read.error();
                      return {};
                    });
  if (!end) return end.error();
  return id;
}

// What this controller has of the others. Empty: not readable, or it has no others.
Result<Progress> Conversation::vector_of(const std::string& context) {
  AttributeList attributes({"replUpToDateVector"});
  Progress progress;
  const auto end =
      searcher_.run({.base = context, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
                    "reading how far the controller is", [&](LDAPMessage* message) -> Result<> {
                      auto read = visit_values(connection_.handle(), message,
                                               [&](std::string_view, std::string_view value) {
                                                 if (auto vector = parse_up_to_date_vector(value))
                                                   progress = *std::move(vector);
                                               });
                      if (!read) return read.error();
                      return {};
                    });
  if (!end) return end.error();
  return progress;
}

// Of another origin as much as every one of the naming contexts has.
Result<> Conversation::complete_progress(Database& database,
                                         const std::vector<std::string>& contexts) {
  Progress others;
  for (const auto& context : contexts) {
    const auto vector = vector_of(context);
    if (!vector) return vector.error();
    for (const auto& [origin, usn] : *vector) {
      auto& least = others.try_emplace(origin, usn).first->second;
      least = std::min(least, usn);
    }
  }
  database.progress.merge(others);
  return {};
}

// The naming contexts that hold the bases.
Result<std::vector<std::string>> Conversation::contexts(const RootDse& root,
                                                        std::string& obstacle) {
  const auto bases = search_bases(root, settings_);
  if (!bases) return bases.error();
  std::vector<std::string> contexts;
  for (const auto& base : *bases) {
    auto context = context_of(base, root.contexts);
    if (!context) {
      obstacle = fmt::format("the server does not say in which of its naming contexts {} stands",
                             escape(base));
      return std::vector<std::string>{};
    }
    if (std::find(contexts.begin(), contexts.end(), *context) == contexts.end())
      contexts.push_back(*std::move(context));
  }
  return contexts;
}

// Why changes of what the source reads and filters by would go unnoticed. Empty: they do not.
Result<std::string> Conversation::untraceable(const RootDse& root) {
  auto needs = filter_needs(settings_.filter);
  if (needs.beyond_object)
    return std::string(
        "the filter looks beyond the object itself, so DirSync does not tell when an object begins "
        "or ceases to match it");
  for (const auto* list : {&settings_.addresses, &settings_.fallback})
    for (const auto& name : *list) needs.attributes.push_back(name.substr(0, name.find(';')));
  // Not replicated, but they change only with the object's place, or never.
  std::erase_if(needs.attributes, [](const std::string& name) {
    return ascii_equal(name, "distinguishedName") || ascii_equal(name, "objectGUID");
  });
  needs.attributes.emplace_back("objectClass");
  std::string filter = "(|";
  for (const auto& name : needs.attributes)
    filter += fmt::format(
        "({}={})", name.find('.') == std::string::npos ? "lDAPDisplayName" : "attributeID", name);
  filter += ')';

  AttributeList attributes({"lDAPDisplayName", "linkID", "systemFlags"});
  bool readable = false;
  std::string culprit;
  const auto end = searcher_.run(
      {.base = root.schema_context,
       .scope = LDAP_SCOPE_ONELEVEL,
       .filter = filter.c_str(),
       .attributes = attributes.get()},
      "reading the schema", [&](LDAPMessage* message) -> Result<> {
        std::string name;
        unsigned long flags = 0;
        unsigned long link = 0;
        auto read = visit_values(connection_.handle(), message,
                                 [&](std::string_view attribute, std::string_view value) {
                                   const std::string text(value);
                                   if (ascii_equal(attribute, "lDAPDisplayName")) name = text;
                                   if (ascii_equal(attribute, "systemFlags"))
                                     flags = std::strtoul(text.c_str(), nullptr, 10);
                                   if (ascii_equal(attribute, "linkID"))
                                     link = std::strtoul(text.c_str(), nullptr, 10);
                                 });
        if (!read) return read.error();
        if (ascii_equal(name, "objectClass")) readable = true;
        // Odd: the other end of a link, which changes with another object.
        if ((flags & (not_replicated | constructed)) != 0 || link % 2 == 1) culprit = name;
        return {};
      });
  if (!end) return end.error();
  if (end->status.code != LDAP_SUCCESS || !readable)
    return std::string("the schema cannot be read, so nobody knows which changes DirSync tells");
  if (!culprit.empty())
    return fmt::format(
        "DirSync does not tell of changes of {}, which the source reads or filters "
        "by; without it changes would be noticed at once",
        escape(culprit));
  return std::string{};
}

// One DirSync search, to the end of what the server has to say.
Result<Answer> Conversation::ask(const std::string& context, bool object_security,
                                 const std::string& cookie, const char* filter,
                                 AttributeList& attributes, const Take& take) {
  Answer answer{.refusal = {}, .cookie = cookie};
  const auto during = fmt::format("asking {} for changes", escape(context));
  // Samba shows deleted objects anyway; Microsoft's documentation wants them asked for.
  LDAPControl* deleted = nullptr;
  constexpr int not_critical = 0;
  const int created =
      ::ldap_control_create(show_deleted_control, not_critical, nullptr, 0, &deleted);
  const LdapControl owned_deleted(deleted);
  if (created != LDAP_SUCCESS) return connection_.failure(created, during);
  for (std::uint64_t round = 0; round < max_rounds; ++round) {
    berval value{answer.cookie.size(), answer.cookie.data()};
    LDAPControl* control = nullptr;
    const int code = ::ldap_create_dirsync_control(
        connection_.handle(), object_security ? LDAP_CONTROL_X_DIRSYNC_OBJECT_SECURITY : 0,
        answer_bytes, &value, &control);
    const LdapControl owned(control);
    if (code != LDAP_SUCCESS) return connection_.failure(code, during);
    const auto end = searcher_.run(
        {.base = context,
         .filter = filter,
         .attributes = attributes.get(),
         .control = control,
         .second_control = deleted},
        during, [&](LDAPMessage* message) -> Result<> {
          std::string guid;
          Hint hint;
          auto read = visit_values(connection_.handle(), message,
                                   [&](std::string_view name, std::string_view text) {
                                     if (ascii_equal(name, "objectGUID")) guid = text;
                                     hint.see(name, text);
                                   });
          if (!read) return read.error();
          if (guid.size() != guid_size)
            return Error{Errc::protocol,
                         fmt::format("{}: {} came without objectGUID", during, escape(*read))};
          return take(guid, hint);
        });
    if (!end) return end.error();
    if (end->status.code != LDAP_SUCCESS) {
      answer.refusal = end->status;
      return answer;
    }
    auto* found = ::ldap_control_find(dirsync_control, end->controls.get(), nullptr);
    int more = 0;
    berval next{};
    if (found == nullptr ||
        ::ldap_parse_dirsync_control(connection_.handle(), found, &more, &next) != LDAP_SUCCESS) {
      answer.refusal = {LDAP_OTHER, "the answer carries no DirSync control", {}};
      return answer;
    }
    std::string following(next.bv_val == nullptr ? "" : next.bv_val, next.bv_len);
    ::ber_memfree(next.bv_val);
    if (following.empty() || (more != 0 && following == answer.cookie)) {
      answer.refusal = {LDAP_OTHER, "the DirSync cookie does not go on", {}};
      return answer;
    }
    answer.cookie = std::move(following);
    if (more == 0) return answer;
  }
  return Error{Errc::limit, fmt::format("{}: more than {} answers; the server does not come to an "
                                        "end",
                                        during, max_rounds)};
}

// The cookies of this moment: as a replica if the account may, else with its own rights.
Result<std::optional<DirSyncCookie>> Conversation::begin(const std::vector<std::string>& contexts,
                                                         std::string& obstacle) {
  DirSyncCookie cookie;
  AttributeList attributes({"objectGUID"});
  const Take nothing = [](const std::string&, const Hint&) { return Result<>{}; };
  for (const bool object_security : {false, true}) {
    cookie.object_security = object_security;
    cookie.contexts.clear();
    LdapFailure refusal;
    for (const auto& context : contexts) {
      auto answer = ask(context, object_security, {}, no_entry, attributes, nothing);
      if (!answer) return answer.error();
      refusal = answer->refusal;
      if (refusal.code != LDAP_SUCCESS) break;
      cookie.contexts.push_back({context, std::move(answer->cookie)});
    }
    if (refusal.code == LDAP_SUCCESS) return std::optional(std::move(cookie));
    obstacle = "the server does not tell changes (DirSync): " + describe(refusal);
  }
  return std::optional<DirSyncCookie>{};
}

// True if the account may read the container of deleted objects; its children then show, too.
Result<bool> Conversation::sees_deletions(const std::string& context) {
  const auto base = fmt::format("<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,{}>", context);
  AttributeList attributes({"objectClass"});
  LDAPControl* control = nullptr;
  constexpr int critical = 1;
  const int code = ::ldap_control_create(show_deleted_control, critical, nullptr, 0, &control);
  const LdapControl owned(control);
  const std::string during = "looking for the container of deleted objects";
  if (code != LDAP_SUCCESS) return connection_.failure(code, during);
  bool seen = false;
  const auto end = searcher_.run(
      {.base = base, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get(), .control = control},
      during, [&](LDAPMessage* message) -> Result<> {
        // Without rights the entry may come with nothing in it.
        auto read = visit_values(connection_.handle(), message,
                                 [&](std::string_view, std::string_view) { seen = true; });
        if (!read) return read.error();
        return {};
      });
  if (!end) return end.error();
  return seen;
}

Result<Mark> Conversation::mark() {
  auto found = database();
  if (!found) return found.error();
  Mark mark;
  mark.origin = found->origin;
  mark.progress = found->progress;
  if (connection_.server().port == catalogue_port ||
      connection_.server().port == catalogue_tls_port) {
    mark.note =
        "the global catalogue does not tell changes; incremental reads need port 636 or 389 of a "
        "domain controller";
    return mark;
  }
  const auto& controls = found->root.controls;
  if (std::find(controls.begin(), controls.end(), dirsync_control) == controls.end()) {
    mark.note = "the server does not know DirSync, by which Active Directory tells changes";
    return mark;
  }
  if (mark.progress.empty()) {
    mark.note =
        "the controller's invocationId or highestCommittedUSN cannot be read, so nobody would "
        "notice that it was restored; give the account read rights on its NTDS Settings";
    return mark;
  }
  const auto from = contexts(found->root, mark.note);
  if (!from) return from.error();
  if (!mark.note.empty()) return mark;
  if (auto done = complete_progress(*found, *from); !done) return done.error();
  mark.progress = std::move(found->progress);
  if (!settings_.incremental) return mark;
  auto obstacle = untraceable(found->root);
  if (!obstacle) return obstacle.error();
  mark.note = *std::move(obstacle);
  if (!mark.note.empty()) return mark;
  auto cookie = begin(*from, mark.note);
  if (!cookie) return cookie.error();
  if (!*cookie) return mark;
  mark.note.clear();
  mark.cookie = to_bytes(**cookie);
  for (const auto& context : *from) {
    const auto seen = sees_deletions(context);
    if (!seen) return seen.error();
    if (*seen || mark.deletions_unseen) continue;
    mark.deletions_unseen = true;
    mark.note = fmt::format(
        "the account may not read the deleted objects of {}, so deletions may be noticed only by "
        "the "
        "full read; to notice them at once, let an administrator run: dsacls \"CN=Deleted "
        "Objects,{}\" /takeownership, and then: dsacls \"CN=Deleted Objects,{}\" /G "
        "DOMAIN\\ACCOUNT:LCRP",
        escape(context), escape(context), escape(context));
  }
  return mark;
}

// Everything that decides whether and how an object is a recipient.
std::vector<std::string> Conversation::requested() const {
  std::vector<std::string> names{"name", "parentGUID", "isDeleted"};
  EntryDecoder decoder(config::SourceType::active_directory, settings_);
  for (auto* const* name = decoder.request(); *name != nullptr; ++name) names.emplace_back(*name);
  for (auto& name : filter_needs(settings_.filter).attributes) names.push_back(std::move(name));
  for (auto& name : names) name = name.substr(0, name.find(';'));
  std::vector<std::string> unique;
  for (auto& name : names)
    if (std::none_of(unique.begin(), unique.end(),
                     [&](const std::string& other) { return ascii_equal(other, name); }))
      unique.push_back(std::move(name));
  return unique;
}

Result<Conversation::Signals> Conversation::signals(DirSyncCookie& cookie) {
  Signals signals;
  AttributeList attributes(requested());
  for (auto& context : cookie.contexts) {
    auto answer = ask(context.dn, cookie.object_security, context.cookie, every_entry, attributes,
                      [&](const std::string& guid, const Hint& hint) -> Result<> {
                        signals.guids.insert(guid);
                        if (hint.children_in_doubt()) signals.moved.push_back(guid);
                        if (signals.guids.size() > max_signals)
                          return foreign(fmt::format("more than {} objects changed", max_signals));
                        return {};
                      });
    if (!answer) return answer.error();
    if (answer->refusal.code != LDAP_SUCCESS)
      return foreign("the server does not go on from where it was: " + describe(answer->refusal));
    context.cookie = std::move(answer->cookie);
  }
  return signals;
}

// True if it is there and one of the classes that have no recipients below them.
Result<bool> Conversation::is_leaf(const std::string& guid) {
  const auto base = by_guid(guid);
  AttributeList attributes({"objectClass"});
  bool leaf = false;
  const auto end = searcher_.run(
      {.base = base, .scope = LDAP_SCOPE_BASE, .attributes = attributes.get()},
      "looking at an object that was moved", [&](LDAPMessage* message) -> Result<> {
        auto read = visit_values(connection_.handle(), message,
                                 [&](std::string_view, std::string_view value) {
                                   int rank = 0;
                                   if (kind_of(value, rank) != recipient::ObjectClass::other)
                                     leaf = true;
                                 });
        if (!read) return read.error();
        return {};
      });
  if (!end) return end.error();
  if (end->status.code == LDAP_NO_SUCH_OBJECT)
    return foreign("an object was moved to where the account may not read, perhaps with others");
  if (end->status.code != LDAP_SUCCESS) return explain_search(end->status, base, settings_);
  return leaf;
}

Result<bool> Conversation::has_children(const std::string& guid) {
  const auto base = by_guid(guid);
  AttributeList attributes({"objectGUID"});
  bool any = false;
  const auto end = searcher_.run(
      {.base = base, .scope = LDAP_SCOPE_ONELEVEL, .attributes = attributes.get(), .size_limit = 1},
      "looking for children of an object that was moved", [&](LDAPMessage*) -> Result<> {
        any = true;
        return {};
      });
  if (!end) return end.error();
  if (any || end->status.code == LDAP_SIZELIMIT_EXCEEDED) return true;
  if (end->status.code != LDAP_SUCCESS) return explain_search(end->status, base, settings_);
  return false;
}

// Errc::foreign if something moved that can have taken other objects along.
Result<> Conversation::refuse_moved_containers(const std::vector<std::string>& moved) {
  if (moved.size() > max_moved)
    return foreign(fmt::format("more than {} objects were moved or renamed", max_moved));
  for (const auto& guid : moved) {
    const auto leaf = is_leaf(guid);
    if (!leaf) return leaf.error();
    if (*leaf) continue;
    const auto children = has_children(guid);
    if (!children) return children.error();
    if (*children)
      return foreign(
          "an organizational unit was moved or renamed, and the server does not say what moved "
          "with it");
  }
  return {};
}

Result<Increment> Conversation::read(const Mark& since, recipient::ObjectSink& sink) {
  auto cookie = parse_dirsync_cookie(since.cookie);
  if (!cookie) return foreign("the cookie is damaged");
  auto found = database();
  if (!found) return found.error();
  if (found->origin != since.origin || found->progress.empty())
    return foreign(
        "the controller has another database than when it was last read (its invocationId "
        "changed)");
  const auto last = since.progress.find(since.origin);
  if (last == since.progress.end() || found->progress.at(found->origin) < last->second)
    return foreign(
        "the controller's database is older than when it was last read (its highestCommittedUSN "
        "went back), as after the restoration of a snapshot");
  std::vector<std::string> contexts;
  for (const auto& context : cookie->contexts) contexts.push_back(context.dn);
  if (auto done = complete_progress(*found, contexts); !done) return done.error();

  const auto signalled = signals(*cookie);
  if (!signalled) return signalled.error();
  if (auto done = refuse_moved_containers(signalled->moved); !done) return done.error();
  const std::vector<std::string> guids(signalled->guids.begin(), signalled->guids.end());
  const auto totals = read_again(connection_, settings_, guids, sink);
  if (!totals) return totals.error();
  return Increment{.mark = {.cookie = to_bytes(*cookie),
                            .origin = std::move(found->origin),
                            .progress = std::move(found->progress),
                            .note = since.note},
                   .objects = totals->objects,
                   .unseen_gone = false};
}

// True if something was changed, or if nobody can say that nothing was.
Result<bool> Conversation::changed_since(const Mark& since) {
  auto cookie = parse_dirsync_cookie(since.cookie);
  if (!cookie) return false;
  const auto found = database();
  if (!found) return found.error();
  if (found->origin != since.origin) return true;
  const auto signalled = signals(*cookie);
  if (signalled) return !signalled->guids.empty();
  if (signalled.error().code == Errc::foreign) return true;
  return signalled.error();
}

Result<> Conversation::listen(const Mark& since, const Bell& bell) {
  const auto root = read_root_dse(searcher_, connection_, settings_);
  if (!root) return root.error();
  std::string obstacle;
  const auto from = contexts(*root, obstacle);
  if (!from) return from.error();
  if (from->size() > max_notifications)
    obstacle = fmt::format("the bases stand in {} naming contexts, and a server watches {} at once",
                           from->size(), max_notifications);
  if (!obstacle.empty()) return Error{Errc::invalid, obstacle};

  LDAPControl* control = nullptr;
  constexpr int critical = 1;
  const std::string during = "waiting for changes";
  const int code = ::ldap_control_create(notification_control, critical, nullptr, 0, &control);
  const LdapControl owned(control);
  if (code != LDAP_SUCCESS) return connection_.failure(code, during);
  AttributeList attributes({"objectGUID"});
  for (const auto& context : *from) {
    const auto sent = searcher_.send(
        {.base = context, .attributes = attributes.get(), .control = control}, during);
    if (!sent) return sent.error();
  }
  // What changed before the server began to watch.
  const auto changed = changed_since(since);
  if (!changed) return changed.error();
  bell.stands();
  if (*changed) bell.ring();
  for (;;) {
    auto message = connection_.wait(LDAP_RES_ANY, during);
    if (!message) return message.error();
    switch (::ldap_msgtype(message->get())) {
      case LDAP_RES_SEARCH_ENTRY:
        bell.ring();
        break;
      case LDAP_RES_SEARCH_RESULT: {
        const auto end = connection_.result(message->get());
        if (!end) return end.error();
        const bool later = end->status.code == LDAP_BUSY || end->status.code == LDAP_UNAVAILABLE ||
                           end->status.code == LDAP_SUCCESS;
        return Error{later ? Errc::remote : Errc::invalid,
                     "the server does not watch for changes: " + describe(end->status)};
      }
      default:
        break;
    }
  }
}

class DirSync final : public Increments {
 public:
  explicit DirSync(const config::LdapSource& settings) : settings_(settings) {}

  Result<Mark> mark(LdapConnection& connection) override {
    return Conversation(connection, settings_).mark();
  }
  Result<Increment> read(LdapConnection& connection, const Mark& since,
                         recipient::ObjectSink& sink) override {
    return Conversation(connection, settings_).read(since, sink);
  }
  Result<> listen(LdapConnection& connection, const Mark& since, const Bell& bell) override {
    return Conversation(connection, settings_).listen(since, bell);
  }

 private:
  const config::LdapSource& settings_;
};

}  // namespace

std::unique_ptr<Increments> create_dirsync(const config::LdapSource& settings) {
  return std::make_unique<DirSync>(settings);
}

}  // namespace rcptsync::source
