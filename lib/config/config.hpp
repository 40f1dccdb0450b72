// config — what the administrator wrote, as plain structs with every default filled in.
//
// load() in load.hpp makes them from YAML; nothing here does I/O. Each part that a later message
// may have to name carries the line it stands on. Secrets are only named here, never held.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/digest.hpp"
#include "config/cron.hpp"

namespace rcptsync::config {

using Seconds = std::chrono::seconds;

/// Where a secret stands. Read it with resolve() and read_secret() in secret.hpp.
struct SecretRef {
  enum class Kind { file, credential };
  Kind kind = Kind::file;
  std::string name;  ///< an absolute path, or the credential's name
  int line = 0;
};

struct Schedule {
  std::variant<Seconds, Cron> poll = Seconds{300};
  double jitter = 0.10;  ///< share of the interval, 0 to 1; for a cron expression, of one minute
  Seconds full{86400};
};

enum class SourceType { active_directory, ldap, accounts, table, exchange55 };
enum class BindMethod { simple, gssapi, external, anonymous };

struct Server {
  std::string uri;  ///< as written
  std::string host;
  std::uint16_t port = 636;
  bool ldaps = true;

  /// Active Directory: the ports at which a controller answers for the whole forest, with part of
  /// the attributes.
  [[nodiscard]] bool global_catalogue() const { return port == 3268 || port == 3269; }
};

struct Bind {
  BindMethod method = BindMethod::anonymous;
  std::string user;                    ///< simple: DN, UPN or DOMAIN\name
  std::optional<SecretRef> password;   ///< simple
  std::string principal;               ///< gssapi
  std::optional<SecretRef> keytab;     ///< gssapi
  std::optional<SecretRef> cert, key;  ///< external
  int line = 0;
};

/// Source types active-directory and ldap.
struct LdapSource {
  std::vector<Server> servers;  ///< tried in order; empty with `domain`
  std::string domain;           ///< DNS SRV instead of servers
  bool start_tls = true;        ///< for ldap:// servers, also those that the DNS names
  bool allow_plaintext = false;
  std::string ca_file;  ///< empty: the system's store
  Bind bind;
  std::vector<std::string> bases;  ///< empty: the server's defaultNamingContext
  std::string filter;
  std::vector<std::string> addresses{"proxyAddresses"};
  std::vector<std::string> fallback{"mail"};
  bool drop_sender_authentication = true;
  bool drop_system_mailboxes = true;
  bool incremental = true;
  Seconds connect_timeout{5};
  Seconds read_timeout{60};
  std::uint32_t page_size = 1000;
};

/// Source type accounts.
struct AccountsSource {
  std::string passwd = "/etc/passwd";
  std::string aliases;  ///< empty: none
  std::vector<std::string> domains;
  std::uint32_t min_uid = 1000;
  std::uint32_t max_uid = 4294967295;  ///< the ids of nobody are left out whatever this is
  bool any_shell = true;               ///< false: not accounts whose shell is nologin or false
};

/// How the bytes of a file are read; a byte order mark is obeyed whatever is written.
enum class Encoding { automatic, utf_8, utf_16, windows_1252 };
enum class TableFormat { automatic, list, postfix, vbscript, csv, ldif };

/// Source types table and exchange55.
struct FileSource {
  std::string path;
  TableFormat format = TableFormat::automatic;  ///< table only
  Encoding encoding = Encoding::automatic;
  bool allow_empty = false;
};

struct Source {
  std::string name;
  SourceType type = SourceType::active_directory;
  std::variant<LdapSource, AccountsSource, FileSource> details;
  int line = 0;
};

struct Exclusion {
  enum class Kind { address, domain, regex };
  Kind kind = Kind::address;
  std::string
      text;  ///< address and domain as written (domain without '@'); regex without the slashes
  std::string file;  ///< where it stands: the configuration or the excluded file
  int line = 0;
};

/// One of `always` (expanded over the domains) or `static`.
struct StaticEntry {
  std::string address;  ///< as written: local@domain, or @domain
  std::string reject;   ///< empty: accepted; else an access(5) text such as `550 5.1.1 Has left`
  bool from_always = false;
  int line = 0;
};

struct Recipients {
  std::vector<std::string> domains;  ///< as written; empty: all
  std::vector<Exclusion> exclude;
  std::vector<StaticEntry> entries;
};

struct Guard {
  std::uint64_t max_removals = 500;
  double max_removal_percent = 5;
  std::uint64_t min_recipients = 1;
  std::vector<std::string> canaries;
};

struct Removal {
  Seconds grace{0};
  enum class Answer { keep, defer } answer = Answer::keep;
};

enum class Mode { scp, receive };
enum class Format { postfix, postfix_access, exim, sendmail, opensmtpd, list };
enum class MapType { automatic, lmdb, cdb, hash, texthash };

struct Verify {
  std::string smtp_host;  ///< empty: off
  std::uint16_t smtp_port = 25;
  std::uint32_t sample = 3;
  Seconds every{3600};
};

struct Target {
  std::string name;
  std::string host;
  std::uint16_t port = 22;
  std::string user = "rcptsync";
  bool enabled = true;
  Mode mode = Mode::scp;
  std::string path;
  Format format = Format::postfix;
  MapType map_type = MapType::automatic;
  std::string rebuild;  ///< empty: the built-in recipe
  std::string postfix_config = "/etc/postfix";
  std::vector<SecretRef> keys;  ///< tried in order
  std::string known_hosts = "/etc/rcptsync/known_hosts";
  std::vector<std::string> host_keys;  ///< pins `SHA256:…`; not empty: instead of known_hosts
  std::string source_address;
  std::vector<std::string> domains;  ///< empty: all
  Verify verify;
  Seconds timeout{60};
  int line = 0;
};

struct Rollout {
  std::vector<std::string> canary;
  Seconds wait{0};
  std::uint32_t parallel = 16;
};

struct History {
  std::uint32_t keep = 1000;
  Seconds age{400 * 86400};
};

struct Notify {
  std::vector<std::string> command;  ///< path and arguments; empty: nobody is told
  std::uint32_t failing_polls = 3;   ///< 0: never
  Seconds behind{900};               ///< 0: never
  int line = 0;
};

struct Config {
  std::filesystem::path file;  ///< where it was read from, absolute
  std::filesystem::path state_dir = "/var/lib/rcptsync";
  Schedule schedule;
  std::vector<Source> sources;
  Recipients recipients;
  Guard guard;
  Removal removal;
  std::vector<Target> targets;
  Rollout rollout;
  History history;
  Notify notify;
  std::string metrics_file;  ///< empty: none
  Seconds stop_timeout{10};
};

std::string_view to_string(SourceType type);
std::string_view to_string(Encoding encoding);
std::string_view to_string(TableFormat format);
std::string_view to_string(Mode mode);
std::string_view to_string(Format format);
std::string_view to_string(MapType type);

}  // namespace rcptsync::config
