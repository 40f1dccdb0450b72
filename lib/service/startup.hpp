// startup — what every program does first: read the configuration, open the state, and say in exit
// codes what was wrong.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/event.hpp"
#include "config/config.hpp"
#include "config/load.hpp"
#include "service/exit_code.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

/// The configuration, or nothing after every fault was told as an error (exit_configuration).
/// Warnings are told too.
std::shared_ptr<const config::Config> load_configuration(const std::filesystem::path& file,
                                                         EventSink& sink);

/// The same without a sink, for SIGHUP: the faults come back.
struct Startup {
  std::shared_ptr<const config::Config> config;
  std::unique_ptr<store::Store> store;
  ExitCode code = exit_ok;  ///< not exit_ok: both are empty and the reason was told
};

/// Configuration and state as the one writer. Creates the state folder (0700) if its parent is
/// there.
Startup start_owner(const std::filesystem::path& file, EventSink& sink);

/// A configuration that was read, and its state for reading. The store stays empty if there is no
/// state yet.
Startup start_reader(config::Loaded loaded, EventSink& sink);

/// The exit code for an error of opening the state.
ExitCode exit_code_of(const Error& error);

}  // namespace rcptsync::service
