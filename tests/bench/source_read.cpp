// source-read — reads one LDAP source and says what came, how long it took and what it cost.
//
//   source-read --server URI … [--type active-directory|ldap] [--print] …
//   source-read --config FILE [--source NAME] [--cookie FILE] [--incremental] [--watch] [--print]
//
// For the integration tests and for measuring: with --print one line for each object
// (key, kind, drop, origin, then the values, tab-separated and escaped), without it only the last
// line. With --config the source stands in a normal configuration, by default its first one, and
// the options that describe a source are not looked at. --cookie: the file holds what the last
// complete read wanted to be remembered, and gets what this one wants. --watch: prints `ring` each
// time the source says that something changed, until it is ended. Exit status 0 complete, 1 failed,
// 2 wrong usage.
#include <fmt/format.h>
#include <getopt.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/escape.hpp"
#include "config/endpoint.hpp"
#include "config/load.hpp"
#include "source/source.hpp"

namespace {

using namespace rcptsync;

constexpr const char* usage =
    "usage: source-read --server URI [--server URI …] [--type active-directory|ldap]\n"
    "         [--ca-file FILE] [--plaintext] [--user NAME --password-file FILE] [--base DN …]\n"
    "         [--filter FILTER] [--addresses NAME …] [--fallback NAME …] [--keep-protected]\n"
    "         [--keep-system]\n"
    "         [--connect-timeout S] [--read-timeout S] [--page-size N]\n"
    "         [--preferred URI] [--cancel-after MILLISECONDS] [--print] [--check]\n"
    "       source-read --config FILE [--source NAME] …\n"
    "         [--cookie FILE] [--incremental] [--watch]\n";

struct Options {
  config::Source source;
  config::LdapSource ldap;
  source::ReadRequest request;
  std::chrono::milliseconds cancel_after{0};
  std::string config_file;
  std::string source_name;
  std::string cookie_file;
  bool watch = false;
  bool print = false;
  bool check = false;
};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

class Printer final : public recipient::ObjectSink {
 public:
  explicit Printer(bool print) : print_(print) {}

  void upsert(const recipient::Object& object) override {
    values_ += object.values.size();
    if (!print_) return;
    fmt::print("object\t{}\t{}\t{}\t{}", hex(object.key), to_string(object.kind),
               static_cast<int>(object.drop), escape(object.origin, object.origin.size()));
    for (const auto& value : object.values)
      fmt::print("\t{}={}", value.attribute, escape(value.text, value.text.size()));
    fmt::print("\n");
  }
  bool present(std::string_view key) override {
    if (print_) fmt::print("present\t{}\n", hex(key));
    return true;
  }
  void remove(std::string_view key) override {
    if (print_) fmt::print("remove\t{}\n", hex(key));
  }
  void restart() override {
    values_ = 0;
    fmt::print("restart\n");
  }

  [[nodiscard]] std::uint64_t values() const { return values_; }

 private:
  bool print_;
  std::uint64_t values_ = 0;
};

[[noreturn]] void refuse(std::string_view what) {
  fmt::print(stderr, "source-read: {}\n{}", what, usage);
  std::exit(2);
}

config::Server server(const char* uri) {
  auto parsed = config::parse_ldap_uri(uri);
  if (!parsed) refuse(parsed.error().message);
  return *parsed;
}

// The source of that name in a configuration, the first one without a name.
config::Source configured(const std::string& file, const std::string& name) {
  const auto loaded = config::load(file);
  for (const auto& fault : loaded.faults) fmt::print(stderr, "{}\n", fault.text());
  if (!loaded.usable()) refuse("the configuration cannot be used");
  for (const auto& source : loaded.config.sources)
    if (name.empty() || source.name == name) return source;
  refuse("no source of that name");
}

// A file that is not there is an empty cookie.
std::string read_cookie(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_cookie(const std::string& path, const std::string& cookie) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!(out << cookie).flush()) refuse("the cookie cannot be written");
}

// Each list option replaces the default the first time it is given.
void append(std::vector<std::string>& list, bool& given, const char* value) {
  if (!given) list.clear();
  given = true;
  list.emplace_back(value);
}

Options parse(int count, char** arguments) {
  const option names[] = {{"server", required_argument, nullptr, 's'},
                          {"type", required_argument, nullptr, 't'},
                          {"ca-file", required_argument, nullptr, 'c'},
                          {"plaintext", no_argument, nullptr, 'P'},
                          {"user", required_argument, nullptr, 'u'},
                          {"password-file", required_argument, nullptr, 'w'},
                          {"base", required_argument, nullptr, 'b'},
                          {"filter", required_argument, nullptr, 'f'},
                          {"addresses", required_argument, nullptr, 'a'},
                          {"fallback", required_argument, nullptr, 'F'},
                          {"keep-protected", no_argument, nullptr, 'k'},
                          {"keep-system", no_argument, nullptr, 'y'},
                          {"connect-timeout", required_argument, nullptr, 'C'},
                          {"read-timeout", required_argument, nullptr, 'R'},
                          {"page-size", required_argument, nullptr, 'p'},
                          {"preferred", required_argument, nullptr, 'r'},
                          {"cancel-after", required_argument, nullptr, 'x'},
                          {"print", no_argument, nullptr, 'v'},
                          {"check", no_argument, nullptr, 'K'},
                          {"config", required_argument, nullptr, 'g'},
                          {"source", required_argument, nullptr, 'n'},
                          {"cookie", required_argument, nullptr, 'o'},
                          {"incremental", no_argument, nullptr, 'i'},
                          {"watch", no_argument, nullptr, 'W'},
                          {nullptr, 0, nullptr, 0}};
  Options options;
  options.source.name = "source";
  options.ldap.filter = "(|(proxyAddresses=*)(mail=*))";
  bool addresses_given = false;
  bool fallback_given = false;
  for (int letter = 0; (letter = ::getopt_long(count, arguments, "", names, nullptr)) != -1;) {
    const auto seconds = [] { return config::Seconds{std::atol(optarg)}; };
    switch (letter) {
      case 's':
        options.ldap.servers.push_back(server(optarg));
        break;
      case 't':
        options.source.type = std::string_view(optarg) == "ldap"
                                  ? config::SourceType::ldap
                                  : config::SourceType::active_directory;
        break;
      case 'c':
        options.ldap.ca_file = optarg;
        break;
      case 'P':
        options.ldap.start_tls = false;
        options.ldap.allow_plaintext = true;
        break;
      case 'u':
        options.ldap.bind.method = config::BindMethod::simple;
        options.ldap.bind.user = optarg;
        break;
      case 'w':
        options.ldap.bind.password =
            config::SecretRef{.kind = config::SecretRef::Kind::file, .name = optarg};
        break;
      case 'b':
        options.ldap.bases.emplace_back(optarg);
        break;
      case 'f':
        options.ldap.filter = optarg;
        break;
      case 'a':
        append(options.ldap.addresses, addresses_given, optarg);
        break;
      case 'F':
        append(options.ldap.fallback, fallback_given, optarg);
        break;
      case 'y':
        options.ldap.drop_system_mailboxes = false;
        break;
      case 'k':
        options.ldap.drop_sender_authentication = false;
        break;
      case 'C':
        options.ldap.connect_timeout = seconds();
        break;
      case 'R':
        options.ldap.read_timeout = seconds();
        break;
      case 'p':
        options.ldap.page_size = static_cast<std::uint32_t>(std::atol(optarg));
        break;
      case 'r':
        options.request.preferred_server = optarg;
        break;
      case 'x':
        options.cancel_after = std::chrono::milliseconds{std::atol(optarg)};
        break;
      case 'v':
        options.print = true;
        break;
      case 'K':
        options.check = true;
        break;
      case 'g':
        options.config_file = optarg;
        break;
      case 'n':
        options.source_name = optarg;
        break;
      case 'o':
        options.cookie_file = optarg;
        options.request.cookie = read_cookie(optarg);
        break;
      case 'i':
        options.request.kind = source::ReadKind::incremental;
        break;
      case 'W':
        options.watch = true;
        break;
      default:
        refuse("unknown option");
    }
  }
  if (optind != count) refuse("unexpected argument");
  if (options.config_file.empty())
    options.source.details = options.ldap;
  else
    options.source = configured(options.config_file, options.source_name);
  return options;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Rings until the source gives up or the program is ended.
int watch(const Options& options, source::Source& source, const std::stop_token& stop) {
  if (!source.can_watch()) {
    fmt::print("failed invalid this source cannot tell of changes\n");
    return 1;
  }
  const auto ring = [] {
    fmt::print("ring\n");
    std::fflush(stdout);
  };
  const auto ended = source.watch(
      {.cookie = options.request.cookie, .preferred_server = options.request.preferred_server},
      ring, stop);
  if (ended) return 0;
  fmt::print("failed {} {}\n", to_string(ended.error().code), ended.error().message);
  return 1;
}

int run(const Options& options) {
  if (options.check) {
    const auto faults = source::check_source(options.source);
    for (const auto& fault : faults) fmt::print("fault {}\n", fault);
    return faults.empty() ? 0 : 1;
  }
  const auto source = source::create_source(options.source);
  if (!source) {
    fmt::print("failed {} {}\n", to_string(source.error().code), source.error().message);
    return 1;
  }

  Printer sink(options.print);
  std::stop_source stop;
  std::jthread canceller;
  if (options.cancel_after.count() > 0)
    canceller = std::jthread([&] {
      std::this_thread::sleep_for(options.cancel_after);
      stop.request_stop();
    });
  if (options.watch) return watch(options, **source, stop.get_token());
  const auto start = std::chrono::steady_clock::now();
  const auto complete = (*source)->read(options.request, sink, stop.get_token());
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto cost = fmt::format("wall={:.3f} user={:.3f} system={:.3f}", wall.count(),
                                seconds(used.ru_utime), seconds(used.ru_stime));
  if (!complete) {
    fmt::print("failed {} {} {}\n", to_string(complete.error().code), cost,
               complete.error().message);
    return 1;
  }
  for (const auto& warning : complete->warnings) fmt::print("warning {}\n", warning);
  if (!options.cookie_file.empty()) write_cookie(options.cookie_file, complete->cookie);
  fmt::print(
      "complete objects={} values={} references={} server={} kind={} unseen_gone={} warnings={} {}"
      " behind={}\n",
      complete->objects, sink.values(), complete->references, complete->server,
      complete->kind == source::ReadKind::full ? "full" : "incremental", complete->unseen_gone,
      complete->warnings.size(), cost, complete->behind);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  return run(parse(count, arguments));
}
