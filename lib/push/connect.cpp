#include "push/connect.hpp"

#include "push/host_key.hpp"
#include "push/identity.hpp"

namespace rcptsync::push {

namespace asio = boost::asio;

asio::awaitable<Result<std::unique_ptr<Session>>> connect(asio::any_io_executor executor,
                                                          const config::Target& target,
                                                          SteadyTime deadline, std::string& step,
                                                          std::vector<std::string>& warnings) {
  step = "key";
  auto identities = read_identities(target, warnings);
  if (!identities) co_return identities.error();
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
  }
  step = "log in";
  const auto taken = co_await session->login(target.user, *identities);
  if (!taken) co_return taken.error();
  co_return std::move(session);
}

}  // namespace rcptsync::push
