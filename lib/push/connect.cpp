#include "push/connect.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"
#include "push/host_key.hpp"
#include "push/identity.hpp"

namespace rcptsync::push {

namespace asio = boost::asio;

asio::awaitable<Result<std::unique_ptr<Session>>> connect(
    asio::any_io_executor executor, const config::Target& target, SteadyTime deadline,
    std::string& step, std::vector<std::string>& warnings,
    std::function<void(std::string_view step, std::string found)> passed) {
  const auto went_well = [&](std::string found) {
    if (passed) passed(step, std::move(found));
  };
  step = "key";
  auto identities = read_identities(target, warnings);
  if (!identities) co_return identities.error();
  for (const auto& identity : *identities)
    went_well(fmt::format("{} in {}", identity.type, escape(identity.file)));
  step = "host key";
  auto policy = host_key_policy(target);
  if (!policy) co_return policy.error();

  std::unique_ptr<Session> session;
  for (bool trusted = false; !trusted;) {
    step = "host key";
    const auto types = policy->offer();
    if (types.empty()) co_return policy->explain();
    step = "connect";
    session = std::make_unique<Session>(executor, deadline);
    const auto reached = co_await session->connect(target.host, target.port, target.source_address);
    if (!reached) co_return reached.error();
    went_well(fmt::format("port {} answers", target.port));
    auto algorithms = HostKeyPolicy::algorithms(types);
    const auto met = co_await session->handshake(std::move(algorithms));
    if (!met) co_return met.error();
    step = "host key";
    if (*met == Session::Handshake::no_common_host_key) {
      policy->not_offered(session->server_host_keys());
      co_return policy->explain();
    }
    const auto verdict = policy->judge(session->host_key());
    if (verdict == HostKeyPolicy::Verdict::refused) co_return policy->explain();
    trusted = verdict == HostKeyPolicy::Verdict::trusted;
    if (trusted)
      went_well(fmt::format("{} as in {}", fingerprint(session->host_key()),
                            target.host_keys.empty() ? target.known_hosts : "host_key:"));
  }
  step = "log in";
  const auto taken = co_await session->login(target.user, *identities);
  if (!taken) co_return taken.error();
  went_well(fmt::format("as {}", target.user));
  co_return std::move(session);
}

}  // namespace rcptsync::push
