#include "source/kerberos.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <krb5/krb5.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "base/random.hpp"
#include "config/secret.hpp"

namespace rcptsync::source {
namespace {

// Of the principals that a keytab holds, in a message.
constexpr std::size_t max_shown = 8;

// libkrb5's objects need the context in which they were made to be freed.
class Krb {
 public:
  Krb() { status_ = ::krb5_init_context(&context_); }
  ~Krb() {
    if (context_ != nullptr) ::krb5_free_context(context_);
  }
  Krb(const Krb&) = delete;
  Krb& operator=(const Krb&) = delete;

  [[nodiscard]] krb5_error_code status() const { return status_; }
  [[nodiscard]] krb5_context get() const { return context_; }

  [[nodiscard]] std::string words(krb5_error_code code) const {
    const char* text = ::krb5_get_error_message(context_, code);
    std::string copy = text == nullptr ? "" : text;
    ::krb5_free_error_message(context_, text);
    return copy;
  }

 private:
  krb5_context context_ = nullptr;
  krb5_error_code status_ = 0;
};

template <class T, auto Free>
class Owned {
 public:
  explicit Owned(const Krb& krb) : krb_(krb) {}
  ~Owned() {
    if (object_ != nullptr) Free(krb_.get(), object_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T* out() { return &object_; }
  [[nodiscard]] T get() const { return object_; }

 private:
  const Krb& krb_;
  T object_ = nullptr;
};

using Principal = Owned<krb5_principal, krb5_free_principal>;
using Keytab = Owned<krb5_keytab, krb5_kt_close>;
using Cache = Owned<krb5_ccache, krb5_cc_close>;
using Credentials = Owned<krb5_creds*, krb5_free_creds>;
using LoginOptions = Owned<krb5_get_init_creds_opt*, krb5_get_init_creds_opt_free>;

// krb5_creds on the stack, whose contents libkrb5 fills in.
class CredentialContents {
 public:
  explicit CredentialContents(const Krb& krb) : krb_(krb) {}
  ~CredentialContents() { ::krb5_free_cred_contents(krb_.get(), &credentials_); }
  CredentialContents(const CredentialContents&) = delete;
  CredentialContents& operator=(const CredentialContents&) = delete;
  krb5_creds* operator->() { return &credentials_; }
  krb5_creds* get() { return &credentials_; }

 private:
  const Krb& krb_;
  krb5_creds credentials_{};
};

std::string unparse(const Krb& krb, krb5_const_principal principal) {
  char* text = nullptr;
  if (::krb5_unparse_name(krb.get(), principal, &text) != 0) return "?";
  std::string copy = text;
  ::krb5_free_unparsed_name(krb.get(), text);
  return copy;
}

std::string_view realm_of(std::string_view principal) {
  return principal.substr(std::min(principal.rfind('@') + 1, principal.size()));
}

struct Login {
  std::shared_ptr<const TicketCache> cache;
  WallTime renew;
};

Result<Login> fetch_login(const std::string& principal, const std::string& keytab_path) {
  const Krb krb;
  const auto failed = [&](krb5_error_code code) {
    return explain_kerberos(code, krb.words(code), principal, {});
  };
  if (krb.status() != 0) return failed(krb.status());
  Principal client(krb);
  if (const auto code = ::krb5_parse_name(krb.get(), principal.c_str(), client.out()))
    return failed(code);
  Keytab keytab(krb);
  if (const auto code = ::krb5_kt_resolve(krb.get(), ("FILE:" + keytab_path).c_str(), keytab.out()))
    return failed(code);
  LoginOptions options(krb);
  if (const auto code = ::krb5_get_init_creds_opt_alloc(krb.get(), options.out()))
    return failed(code);
  ::krb5_get_init_creds_opt_set_forwardable(options.get(), 0);
  ::krb5_get_init_creds_opt_set_proxiable(options.get(), 0);
  CredentialContents ticket(krb);
  if (const auto code = ::krb5_get_init_creds_keytab(krb.get(), ticket.get(), client.get(),
                                                     keytab.get(), 0, nullptr, options.get()))
    return failed(code);
  const auto memory = std::make_shared<const TicketCache>();
  Cache cache(krb);
  auto code = ::krb5_cc_resolve(krb.get(), memory->name().c_str(), cache.out());
  if (code == 0) code = ::krb5_cc_initialize(krb.get(), cache.get(), ticket->client);
  if (code == 0) code = ::krb5_cc_store_cred(krb.get(), cache.get(), ticket.get());
  if (code != 0) return failed(code);
  // What counts is how long it lives, by the KDC's clock; when it came is known by ours.
  const auto begin =
      ticket->times.starttime != 0 ? ticket->times.starttime : ticket->times.authtime;
  const std::chrono::seconds life{static_cast<std::uint32_t>(ticket->times.endtime) -
                                  static_cast<std::uint32_t>(begin)};
  return Login{memory, std::chrono::system_clock::now() + life / 2};
}

Result<Ticket> fetch_service(const std::shared_ptr<const TicketCache>& memory,
                             const std::string& principal, const std::string& host) {
  const Krb krb;
  const auto wanted = "ldap/" + host;
  const auto failed = [&](krb5_error_code code) {
    return explain_kerberos(code, krb.words(code), principal, wanted);
  };
  if (krb.status() != 0) return failed(krb.status());
  Cache cache(krb);
  Principal client(krb);
  Principal server(krb);
  auto code = ::krb5_cc_resolve(krb.get(), memory->name().c_str(), cache.out());
  if (code == 0) code = ::krb5_cc_get_principal(krb.get(), cache.get(), client.out());
  // KRB5_NT_UNKNOWN: the name as it is. KRB5_NT_SRV_HST would let the DNS change it, and whoever
  // answers for the DNS could so choose the service that we trust.
  if (code == 0)
    code =
        ::krb5_sname_to_principal(krb.get(), host.c_str(), "ldap", KRB5_NT_UNKNOWN, server.out());
  if (code != 0) return failed(code);
  krb5_creds wish{};
  wish.client = client.get();
  wish.server = server.get();
  Credentials ticket(krb);
  code = ::krb5_get_credentials(krb.get(), 0, cache.get(), &wish, ticket.out());
  if (code != 0) return failed(code);
  return Ticket{memory, unparse(krb, ticket.get()->server)};
}

// The principals in a keytab, each once, the wanted one first if it is there.
Result<std::vector<std::string>> principals_in(const Krb& krb, krb5_keytab keytab,
                                               const std::string& path) {
  krb5_kt_cursor cursor = nullptr;
  if (const auto code = ::krb5_kt_start_seq_get(krb.get(), keytab, &cursor))
    return Error{Errc::invalid,
                 fmt::format("{} is no keytab: {}; make one with ktpass, msktutil, adcli or "
                             "samba-tool domain exportkeytab",
                             escape(path), escape(krb.words(code)))};
  std::vector<std::string> names;
  krb5_keytab_entry entry{};
  while (::krb5_kt_next_entry(krb.get(), keytab, &entry, &cursor) == 0) {
    auto name = unparse(krb, entry.principal);
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
    ::krb5_free_keytab_entry_contents(krb.get(), &entry);
  }
  ::krb5_kt_end_seq_get(krb.get(), keytab, &cursor);
  return names;
}

}  // namespace

TicketCache::TicketCache() : name_("MEMORY:rcptsync-" + random_hex(system_random(), 16)) {}

TicketCache::~TicketCache() {
  const Krb krb;
  krb5_ccache cache = nullptr;
  if (krb.status() == 0 && ::krb5_cc_resolve(krb.get(), name_.c_str(), &cache) == 0)
    ::krb5_cc_destroy(krb.get(), cache);
}

struct Tickets::State {
  State(std::string the_principal, config::SecretRef the_keytab)
      : principal(std::move(the_principal)), keytab(std::move(the_keytab)) {}

  // Runs `job` on a thread of its own and waits for it. `self` is this state.
  template <class T>
  static Result<T> run(const std::shared_ptr<State>& self, std::function<Result<T>()> job,
                       SteadyTime deadline, const std::stop_token& stop) {
    std::unique_lock lock(self->mutex);
    const auto in_time = [&](auto condition) {
      return self->changed.wait_until(lock, stop, deadline, condition);
    };
    const auto outcome = std::make_shared<std::optional<Result<T>>>();
    if (in_time([&] { return !self->busy; })) {
      self->busy = true;
      std::thread([self, outcome, job = std::move(job)] {
        auto result = job();
        const std::lock_guard guard(self->mutex);
        *outcome = std::move(result);
        self->busy = false;
        self->changed.notify_all();
      }).detach();
      if (in_time([&] { return outcome->has_value(); })) return std::move(**outcome);
    }
    if (stop.stop_requested()) return Error{Errc::cancelled, "stopped while asking the KDC"};
    return Error{
        Errc::timeout,
        fmt::format("no answer from a KDC of {} within connect_timeout; look at the domain "
                    "controllers, the firewalls between (port 88, TCP and UDP), and the "
                    "name servers that tell where they are",
                    escape(realm_of(self->principal)))};
  }

  const std::string principal;
  const config::SecretRef keytab;
  std::mutex mutex;
  std::condition_variable_any changed;
  bool busy = false;           // guarded by mutex, as all below
  std::optional<Login> login;  // the present one
  Digest made_with{};          // of the keytab's bytes
};

Tickets::Tickets(std::string principal, config::SecretRef keytab)
    : state_(std::make_shared<State>(std::move(principal), std::move(keytab))) {}

Result<> Tickets::log_in(SteadyTime deadline, const std::stop_token& stop) {
  // Read here for its mode, and to see a new key; libkrb5 reads the file again.
  auto bytes = config::read_secret(state_->keytab);
  if (!bytes) return bytes.error().within("bind.keytab");
  const auto digest = sha256(*bytes);
  ::OPENSSL_cleanse(bytes->data(), bytes->size());
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->login && state_->made_with == digest &&
        std::chrono::system_clock::now() < state_->login->renew)
      return {};
  }
  const auto path = config::resolve(state_->keytab).native();
  auto login = State::run<Login>(
      state_, [principal = state_->principal, path] { return fetch_login(principal, path); },
      deadline, stop);
  if (!login) return login.error();
  const std::lock_guard lock(state_->mutex);
  state_->login = *std::move(login);
  state_->made_with = digest;
  return {};
}

Result<Ticket> Tickets::for_ldap(const std::string& host, SteadyTime deadline,
                                 const std::stop_token& stop) {
  std::shared_ptr<const TicketCache> cache;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->login) cache = state_->login->cache;
  }
  if (!cache) return Error{Errc::credentials, "there is no ticket; the next read gets one"};
  return State::run<Ticket>(
      state_,
      [cache, principal = state_->principal, name = ascii_lower(host)] {
        return fetch_service(cache, principal, name);
      },
      deadline, stop);
}

void Tickets::forget() {
  const std::lock_guard lock(state_->mutex);
  // Not at once: the source's next server, or a watch beside this read, goes on with it.
  if (state_->login) state_->login->renew = {};
}

Error explain_kerberos(std::int32_t code, std::string_view text, std::string_view principal,
                       std::string_view service) {
  const auto who = escape(principal);
  const auto realm = escape(realm_of(principal));
  const auto say = [&](Errc errc, std::string_view what) {
    return Error{errc, fmt::format("Kerberos: {} ({})", what, escape(text))};
  };
  switch (code) {
    case KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN:
      return say(Errc::credentials,
                 fmt::format("the KDC knows no {}; check bind.principal: the account's logon name, "
                             "then @ and the realm in capitals",
                             who));
    case KRB5KDC_ERR_PREAUTH_FAILED:
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
      return say(Errc::credentials,
                 fmt::format("the key in the keytab is not that of {}; its password was changed "
                             "since: make a new keytab",
                             who));
    case KRB5_KT_NOTFOUND:
    case KRB5_KT_KVNONOTFOUND:
      return say(Errc::credentials,
                 fmt::format("the keytab holds no key for {}; check bind.principal, klist -k shows "
                             "what is in it",
                             who));
    case KRB5KDC_ERR_ETYPE_NOSUPP:
    case KRB5_PROG_ETYPE_NOSUPP:
    case KRB5_CONFIG_ETYPE_NOSUPP:
      return say(Errc::credentials,
                 "the KDC and the keytab have no encryption type in common; allow AES for the "
                 "account and make a new keytab");
    case KRB5KDC_ERR_CLIENT_REVOKED:
      return say(Errc::credentials,
                 fmt::format("the account {} is disabled or locked; enable or unlock it", who));
    case KRB5KDC_ERR_KEY_EXP:
      return say(Errc::credentials,
                 fmt::format("the password of {} has expired; set a new one, or let it never "
                             "expire, and make a new keytab",
                             who));
    case KRB5KDC_ERR_NAME_EXP:
      return say(Errc::credentials, fmt::format("the account {} has expired; extend it", who));
    case KRB5KDC_ERR_POLICY:
      return say(
          Errc::credentials,
          fmt::format("a policy of the domain forbids {} to log on; look at its logon hours, "
                      "workstations and silo",
                      who));
    case KRB5KRB_AP_ERR_SKEW:
    case KRB5_KDCREP_SKEW:
    case KRB5KRB_AP_ERR_TKT_NYV:
    case KRB5KDC_ERR_NEVER_VALID:
    case KRB5KRB_AP_ERR_TKT_EXPIRED:
      return say(Errc::remote,
                 "this machine's clock and the domain's differ by more than is allowed, usually 5 "
                 "minutes; set both by NTP");
    case KRB5_KDC_UNREACH:
      return say(Errc::unreachable,
                 fmt::format("no KDC of {} can be reached; check the domain controllers and the "
                             "firewalls between (port 88, TCP and UDP)",
                             realm));
    case KRB5_REALM_UNKNOWN:
    case KRB5_REALM_CANT_RESOLVE:
      return say(
          Errc::unreachable,
          fmt::format("nobody says where a KDC of {} is; check the realm in bind.principal "
                      "(capitals), and that /etc/resolv.conf names the domain's name servers "
                      "or /etc/krb5.conf its KDCs",
                      realm));
    case KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN:
    case KRB5KDC_ERR_S_OLD_MAST_KVNO:
      if (service.empty())
        return say(Errc::credentials, fmt::format("the KDC does not serve {}; check the realm in "
                                                  "bind.principal",
                                                  realm));
      return say(
          Errc::not_found,
          fmt::format("the KDC knows no service {}; write the server's full name, as its "
                      "domain knows it, in servers, or register that name for it (setspn -S)",
                      escape(service)));
    case KRB5KRB_AP_ERR_MODIFIED:
      return say(Errc::untrusted,
                 fmt::format("the server does not have the key of {}; it is not the one of that "
                             "name, or the name is registered for another account (setspn -Q)",
                             escape(service)));
    default:
      return say(Errc::remote,
                 service.empty()
                     ? fmt::format("no ticket for {}; see the KDC's log", who)
                     : fmt::format("no ticket for {}; see the KDC's log", escape(service)));
  }
}

Result<> check_keytab(const config::SecretRef& ref, const std::string& principal) {
  auto bytes = config::read_secret(ref);
  if (!bytes) return bytes.error();
  ::OPENSSL_cleanse(bytes->data(), bytes->size());
  const auto path = config::resolve(ref).native();
  const Krb krb;
  if (krb.status() != 0)
    return Error{Errc::invalid, fmt::format("libkrb5 cannot be used: {}; correct /etc/krb5.conf",
                                            escape(krb.words(krb.status())))};
  Keytab keytab(krb);
  Principal wanted(krb);
  auto code = ::krb5_kt_resolve(krb.get(), ("FILE:" + path).c_str(), keytab.out());
  if (code == 0) code = ::krb5_parse_name(krb.get(), principal.c_str(), wanted.out());
  if (code != 0)
    return Error{Errc::invalid, fmt::format("{} is no principal: {}; write for example "
                                            "svc-rcptsync@EXAMPLE.COM",
                                            escape(principal), escape(krb.words(code)))};
  auto names = principals_in(krb, keytab.get(), path);
  if (!names) return names.error();
  const auto spelled = unparse(krb, wanted.get());
  if (std::find(names->begin(), names->end(), spelled) != names->end()) return {};
  if (names->size() > max_shown) {
    names->resize(max_shown);
    names->emplace_back("…");
  }
  for (auto& name : *names) name = escape(name);
  return Error{Errc::invalid,
               fmt::format("{} holds no key for {}, but for {}; correct bind.principal or make a "
                           "new keytab",
                           escape(path), escape(spelled),
                           names->empty() ? "nobody" : fmt::format("{}", fmt::join(*names, ", ")))};
}

}  // namespace rcptsync::source
