#include "source/prune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "base/escape.hpp"
#include "recipient/address.hpp"
#include "source/ldap_errors.hpp"
#include "source/ldap_read.hpp"
#include "source/ldap_source.hpp"
#include "source/open_any.hpp"
#include "source/sigpipe.hpp"

namespace rcptsync::source {
namespace {

constexpr std::size_t max_values = 1'000'000;
// A longer name comes cut (Entry::object()) and would name something else.
constexpr std::size_t max_dn = 1000;

PruneValue judged(const recipient::Value& value, bool active_directory) {
  PruneValue found;
  found.attribute = value.attribute;
  found.text = value.text;
  found.address = recipient::parse_address(recipient::without_prefix(value.text)).canonical;
  found.primary =
      value.text.starts_with("SMTP:") || (active_directory && ascii_equal(value.attribute, "mail"));
  return found;
}

/// Keeps what lies in the unwanted domains.
class Collector final : public recipient::ObjectSink {
 public:
  Collector(const std::set<std::string, std::less<>>& domains, bool active_directory)
      : domains_(domains), active_directory_(active_directory) {}

  void upsert(const recipient::Object& object) override {
    PruneObject found;
    std::set<std::string> others;
    for (const auto& value : object.values) {
      auto one = judged(value, active_directory_);
      if (one.address.empty()) continue;
      if (domains_.contains(recipient::domain_of(one.address)))
        found.values.push_back(std::move(one));
      else
        others.insert(std::move(one.address));
    }
    if (found.values.empty()) return;
    values_ += found.values.size();
    if (values_ > max_values) return;
    found.key = object.key;
    found.dn = object.origin;
    found.kind = object.kind;
    found.others = others.size();
    objects_.insert_or_assign(found.key, std::move(found));
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override {}
  void restart() override {
    objects_.clear();
    values_ = 0;
  }

  [[nodiscard]] bool too_many() const { return values_ > max_values; }
  std::vector<PruneObject> take() {
    std::vector<PruneObject> objects;
    objects.reserve(objects_.size());
    for (auto& [key, object] : objects_) objects.push_back(std::move(object));
    std::sort(objects.begin(), objects.end(), [](const PruneObject& a, const PruneObject& b) {
      return std::tie(a.dn, a.key) < std::tie(b.dn, b.key);
    });
    return objects;
  }

 private:
  const std::set<std::string, std::less<>>& domains_;
  const bool active_directory_;
  std::map<std::string, PruneObject> objects_;  // by key: bases may overlap
  std::size_t values_ = 0;
};

/// Every value of one object.
class Picker final : public recipient::ObjectSink {
 public:
  explicit Picker(std::string_view key) : key_(key) {}

  void upsert(const recipient::Object& object) override {
    if (object.key != key_) return;
    values_.clear();
    for (const auto& value : object.values)
      values_.emplace(std::string(value.attribute), std::string(value.text));
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override {}
  void restart() override { values_.clear(); }

  [[nodiscard]] bool has(const PruneValue& value) const {
    return values_.contains({value.attribute, value.text});
  }

 private:
  std::string_view key_;
  std::set<std::pair<std::string, std::string>> values_;
};

// What lies in the object itself; any other refusal would come again for the next one.
bool concerns_the_object(int code) {
  constexpr std::array codes{LDAP_CONSTRAINT_VIOLATION,   LDAP_OBJECT_CLASS_VIOLATION,
                             LDAP_INVALID_SYNTAX,         LDAP_INVALID_DN_SYNTAX,
                             LDAP_INAPPROPRIATE_MATCHING, LDAP_UNDEFINED_TYPE,
                             LDAP_NO_OBJECT_CLASS_MODS};
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

std::string explain_refusal(const LdapFailure& failure) {
  switch (failure.code) {
    case LDAP_INSUFFICIENT_ACCESS:
      return fmt::format(
          "the account may not change it; give it the right to write these attributes, or use "
          "another --user ({})",
          describe(failure));
    case LDAP_REFERRAL:
      return fmt::format("this server only reads; name a writable one in servers ({})",
                         describe(failure));
    case LDAP_OBJECT_CLASS_VIOLATION:
      return fmt::format("its class does not do without the value ({})", describe(failure));
    default:
      return describe(failure);
  }
}

}  // namespace

Pruner::Pruner(const config::Source& source, const std::optional<config::Bind>& bind)
    : type_(source.type), settings_(std::get<config::LdapSource>(source.details)) {
  if (bind) settings_.bind = *bind;
  // Every address is looked at, whichever attribute decides.
  settings_.addresses.insert(settings_.addresses.end(), settings_.fallback.begin(),
                             settings_.fallback.end());
  settings_.fallback.clear();
  settings_.drop_sender_authentication = false;
  settings_.drop_system_mailboxes = false;
}

Pruner::~Pruner() = default;

Result<std::unique_ptr<Pruner>> Pruner::open(const config::Source& source,
                                             const std::optional<config::Bind>& bind,
                                             std::string_view preferred, std::stop_token stop) {
  const SigpipeBlock no_sigpipe;
  std::unique_ptr<Pruner> pruner(new Pruner(source, bind));
  auto effective = source;
  effective.details = pruner->settings_;
  if (const auto usable = create_ldap_source(effective); !usable) return usable.error();
  auto connection = open_any(pruner->settings_, pruner->type_, preferred, pruner->server_, stop);
  if (!connection) return connection.error();
  pruner->connection_ = std::move(*connection);
  return pruner;
}

Result<std::vector<PruneObject>> Pruner::find(const std::set<std::string, std::less<>>& domains) {
  const SigpipeBlock no_sigpipe;
  Collector collector(domains, type_ == config::SourceType::active_directory);
  const auto totals = read_directory(*connection_, type_, settings_, collector);
  if (!totals) return totals.error().within(escape(server_.uri));
  if (collector.too_many())
    return Error{Errc::limit, fmt::format("more than {} values lie in these domains; narrow it "
                                          "with --domain or --source",
                                          max_values)};
  return collector.take();
}

// By which the object is searched and changed: in Active Directory its objectGUID ([MS-ADTS]
// 3.1.1.3.1.2.4), which no renaming changes.
std::string Pruner::name_of(const PruneObject& object) const {
  if (type_ != config::SourceType::active_directory) return object.dn;
  std::string name = "<GUID=";
  for (const char byte : object.key)
    name += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return name + ">";
}

Result<PruneOutcome> Pruner::remove(const PruneObject& object,
                                    const std::vector<PruneValue>& values) {
  const SigpipeBlock no_sigpipe;
  using Kind = PruneOutcome::Kind;
  if (type_ != config::SourceType::active_directory && object.dn.size() > max_dn)
    return PruneOutcome{Kind::refused, "its name is too long for this program"};
  auto checked = check(object, values);
  if (!checked || checked->kind != Kind::removed) return checked;
  return modify(object, values);
}

// `removed` if all values still stand there, byte for byte.
Result<PruneOutcome> Pruner::check(const PruneObject& object,
                                   const std::vector<PruneValue>& values) {
  auto settings = settings_;
  settings.bases = {name_of(object)};
  settings.filter = "(objectClass=*)";
  Picker picker(object.key);
  const auto read = read_directory(*connection_, type_, settings, picker);
  if (!read && read.error().code == Errc::not_found)
    return PruneOutcome{PruneOutcome::Kind::changed, "it was deleted or renamed meanwhile"};
  if (!read) return read.error();
  for (const auto& value : values)
    if (!picker.has(value))
      return PruneOutcome{
          PruneOutcome::Kind::changed,
          fmt::format("{}: {} is not there any more", escape(value.attribute), escape(value.text))};
  return PruneOutcome{};
}

Result<PruneOutcome> Pruner::modify(const PruneObject& object,
                                    const std::vector<PruneValue>& values) {
  struct Deletion {
    std::string attribute;
    std::vector<berval> bytes;
    std::vector<berval*> list;
    LDAPMod change{};
  };
  std::map<std::string, Deletion> deletions;
  for (const auto& value : values) {
    auto& deletion = deletions[value.attribute];
    deletion.attribute = value.attribute;
    deletion.bytes.push_back({value.text.size(), const_cast<char*>(value.text.data())});
  }
  std::vector<LDAPMod*> changes;
  for (auto& [name, deletion] : deletions) {
    for (auto& bytes : deletion.bytes) deletion.list.push_back(&bytes);
    deletion.list.push_back(nullptr);
    deletion.change.mod_op = LDAP_MOD_DELETE | LDAP_MOD_BVALUES;
    deletion.change.mod_type = deletion.attribute.data();
    deletion.change.mod_bvalues = deletion.list.data();
    changes.push_back(&deletion.change);
  }
  changes.push_back(nullptr);

  const auto during = fmt::format("changing {}", escape(object.dn));
  int operation = 0;
  const int code = ::ldap_modify_ext(connection_->handle(), name_of(object).c_str(), changes.data(),
                                     nullptr, nullptr, &operation);
  if (code != LDAP_SUCCESS) return connection_->failure(code, during);
  auto answer = connection_->next(operation, during);
  if (!answer) return answer.error();
  const auto result = connection_->result(answer->get());
  if (!result) return result.error();
  const auto& status = result->status;
  using Kind = PruneOutcome::Kind;
  switch (status.code) {
    case LDAP_SUCCESS:
      return PruneOutcome{};
    case LDAP_NO_SUCH_ATTRIBUTE:
    case LDAP_NO_SUCH_OBJECT:
      return PruneOutcome{Kind::changed,
                          fmt::format("it changed meanwhile ({})", describe(status))};
    default:
      return PruneOutcome{concerns_the_object(status.code) ? Kind::refused : Kind::stopped,
                          explain_refusal(status)};
  }
}

}  // namespace rcptsync::source
