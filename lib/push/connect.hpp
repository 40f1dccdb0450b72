// connect — from a target's settings to a session on which commands can run: key, host key, login.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "push/session.hpp"

namespace rcptsync::push {

/// Connects, as often as it takes to be shown a trusted host key, and logs in. `target` must live
/// until then. `step` says at every moment what is being done, for the message of an error;
/// `warnings` gets a line for each key that cannot be used while another can. `passed`, if given,
/// is called with what a step found when it went well.
boost::asio::awaitable<Result<std::unique_ptr<Session>>> connect(
    boost::asio::any_io_executor executor, const config::Target& target, SteadyTime deadline,
    std::string& step, std::vector<std::string>& warnings,
    std::function<void(std::string_view step, std::string found)> passed = {});

}  // namespace rcptsync::push
