#include "source/server_list.hpp"

// Later versions prefer another interface, which this one does not have yet.
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/escape.hpp"
#include "base/handle.hpp"
#include "base/time.hpp"
#include "config/endpoint.hpp"

namespace rcptsync::source {
namespace {

using Steady = std::chrono::steady_clock;
using Channel = Handle<ares_channeldata, ares_destroy>;
using Replies = Handle<ares_srv_reply, ares_free_data>;

constexpr std::size_t max_servers = 64;
// How long a wait for an answer may overlook a stop request.
constexpr std::chrono::milliseconds stop_interval{100};
// Each name server gets this long before the next one is asked, and so many rounds are made. The
// deadline comes first.
constexpr int try_milliseconds = 1000;
constexpr int tries = 8;

struct Answer {
  bool arrived = false;
  int status = ARES_SUCCESS;
  std::vector<SrvRecord> records;
};

void on_answer(void* context, int status, int /*timeouts*/, unsigned char* bytes, int size) {
  auto& answer = *static_cast<Answer*>(context);
  answer.arrived = true;
  answer.status = status;
  if (status != ARES_SUCCESS) return;
  ares_srv_reply* list = nullptr;
  answer.status = ::ares_parse_srv_reply(bytes, size, &list);
  const Replies owner(list);
  for (const auto* one = list; one != nullptr; one = one->next)
    answer.records.push_back({one->priority, one->weight, one->port, one->host});
}

// Waits for the sockets of the channel, and lets it work.
void turn(ares_channeldata* channel, std::chrono::milliseconds most) {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const auto wanted =
      static_cast<unsigned>(::ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM));
  std::array<pollfd, ARES_GETSOCK_MAXNUM> waiting{};
  nfds_t count = 0;
  for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    const bool read = ARES_GETSOCK_READABLE(wanted, i) != 0;
    const bool write = ARES_GETSOCK_WRITABLE(wanted, i) != 0;
    if (!read && !write) continue;
    waiting[count++] = {sockets[i], static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0)),
                        0};
  }
  ::poll(waiting.data(), count, static_cast<int>(most.count()));
  for (nfds_t i = 0; i < count; ++i) {
    const bool read = (waiting[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool write = (waiting[i].revents & POLLOUT) != 0;
    ::ares_process_fd(channel, read ? waiting[i].fd : ARES_SOCKET_BAD,
                      write ? waiting[i].fd : ARES_SOCKET_BAD);
  }
  // What is due without any answer: the next try.
  ::ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

Error refused(int status, const std::string& name) {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
      return {Errc::not_found,
              fmt::format("the DNS has no SRV record {}; check domain, and that /etc/resolv.conf "
                          "names the name servers that know it, or list the servers",
                          escape(name))};
    case ARES_ETIMEOUT:
      return {Errc::timeout, fmt::format("no name server answers for {}; check those in "
                                         "/etc/resolv.conf, or list the servers",
                                         escape(name))};
    default:
      return {Errc::unreachable,
              fmt::format("the SRV record {} cannot be looked up: {}; check the name servers in "
                          "/etc/resolv.conf, or list the servers",
                          escape(name), ::ares_strerror(status))};
  }
}

Result<std::vector<SrvRecord>> look_up(const std::string& name, SteadyTime deadline,
                                       const std::stop_token& stop) {
  Answer answer;  // outlives the channel, whose end answers what is still open
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH;
  options.timeout = try_milliseconds;
  options.tries = tries;
  ares_channel opened = nullptr;
  const int status =
      ::ares_init_options(&opened, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  const Channel channel(opened);
  if (status != ARES_SUCCESS) return refused(status, name);
  ::ares_query(channel.get(), name.c_str(), ns_c_in, ns_t_srv, on_answer, &answer);
  while (!answer.arrived) {
    if (stop.stop_requested())
      return Error{Errc::cancelled, "stopped while the servers were looked up in the DNS"};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now());
    if (left.count() <= 0) return refused(ARES_ETIMEOUT, name);
    turn(channel.get(), std::min(left, stop_interval));
  }
  if (answer.status != ARES_SUCCESS) return refused(answer.status, name);
  if (answer.records.empty()) return refused(ARES_ENODATA, name);
  return std::move(answer.records);
}

bool lies_within(std::string_view host, std::string_view domain) {
  if (host.size() < domain.size()) return false;
  const auto start = host.size() - domain.size();
  return ascii_equal(host.substr(start), domain) && (start == 0 || host[start - 1] == '.');
}

// The one of those that have the same priority, [first, last), that comes next.
std::size_t draw(const std::vector<SrvRecord>& records, std::size_t first, std::size_t last,
                 Random& random) {
  std::uint64_t sum = 0;
  for (auto i = first; i < last; ++i) sum += records[i].weight;
  const auto drawn = static_cast<std::uint64_t>(random.fraction() * static_cast<double>(sum + 1));
  std::uint64_t running = 0;
  for (auto i = first; i < last; ++i) {
    running += records[i].weight;
    if (running >= drawn) return i;
  }
  return first;
}

}  // namespace

std::string service_name(config::SourceType type, std::string_view domain) {
  return fmt::format("_ldap._tcp.{}{}",
                     type == config::SourceType::active_directory ? "dc._msdcs." : "", domain);
}

std::vector<SrvRecord> in_order(std::vector<SrvRecord> records, Random& random) {
  // Those of weight 0 first within a priority: RFC 2782 gives them a very small chance that way.
  std::stable_sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return std::pair(a.priority, a.weight != 0) < std::pair(b.priority, b.weight != 0);
  });
  for (std::size_t first = 0; first < records.size(); ++first) {
    auto last = first;
    while (last < records.size() && records[last].priority == records[first].priority) ++last;
    const auto next =
        records.begin() + static_cast<std::ptrdiff_t>(draw(records, first, last, random));
    std::rotate(records.begin() + static_cast<std::ptrdiff_t>(first), next, next + 1);
  }
  return records;
}

Result<ServerList> servers_from(const std::vector<SrvRecord>& records, std::string_view domain) {
  ServerList list;
  bool offered = false;
  for (const auto& record : records) {
    std::string_view target = record.target;
    if (target.ends_with('.')) target.remove_suffix(1);
    if (target.empty()) continue;  // "not offered", RFC 2782
    offered = true;
    const auto host = config::parse_host(target);
    if (!host || config::is_ip(target) || record.port == 0 || !lies_within(target, domain)) {
      list.warnings.push_back(fmt::format(
          "the DNS names {} port {} as a server of {}, which is not believed: {}; correct the DNS, "
          "or list the servers",
          escape(record.target), record.port, escape(domain),
          !host || config::is_ip(target) || record.port == 0
              ? "no server can have that name or port"
              : "its name does not lie within the domain, and the DNS is not authenticated"));
      continue;
    }
    config::Server server;
    server.host = ascii_lower(*host);
    server.port = record.port;
    server.ldaps = false;
    server.uri = fmt::format("ldap://{}:{}", server.host, server.port);
    const bool known = std::any_of(list.servers.begin(), list.servers.end(),
                                   [&](const auto& other) { return other.uri == server.uri; });
    if (!known) list.servers.push_back(std::move(server));
  }
  if (!list.servers.empty()) return list;
  if (!offered)
    return Error{Errc::not_found, fmt::format("the DNS says that {} offers no LDAP (an SRV record "
                                              "with the target .); check domain, or list the "
                                              "servers",
                                              escape(domain))};
  return Error{Errc::untrusted, std::move(list.warnings.front())};
}

Result<ServerList> servers_of(const config::LdapSource& settings, config::SourceType type,
                              std::string_view preferred, const std::stop_token& stop) {
  ServerList list;
  if (settings.domain.empty()) {
    list.servers = settings.servers;
  } else {
    auto records = look_up(service_name(type, settings.domain),
                           Steady::now() + settings.connect_timeout, stop);
    if (!records) return records.error();
    auto found = servers_from(in_order(*std::move(records), system_random()), settings.domain);
    if (!found) return found;
    list = *std::move(found);
  }
  std::stable_partition(list.servers.begin(), list.servers.end(),
                        [&](const auto& server) { return server.uri == preferred; });
  if (list.servers.size() > max_servers) list.servers.resize(max_servers);
  return list;
}

}  // namespace rcptsync::source
