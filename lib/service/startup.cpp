#include "service/startup.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "push/push.hpp"
#include "service/as_owner.hpp"

namespace rcptsync::service {
namespace {

// Root may run `rcptsyncd --once` with the state of the service's account.
Result<std::unique_ptr<store::Store>> open_owner(const std::filesystem::path& folder) {
  const auto rights = AsOwner::of(folder);
  if (!rights) return rights.error();
  return store::open_owner(folder);
}

Result<> make_state_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error(errno, fmt::format("state_dir: cannot create {}", folder.native()));
}

// Files of a new state that root makes in the service account's folder would lock that account out
// for good.
Result<> check_owner(const std::filesystem::path& folder) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(folder.c_str(), &status) != 0 || status.st_uid == 0) return {};
  if (std::filesystem::exists(folder / "data.mdb")) return {};
  const auto* account = ::getpwuid(status.st_uid);
  const auto name =
      account != nullptr ? std::string(account->pw_name) : std::to_string(status.st_uid);
  return Error{Errc::permission, fmt::format("{} belongs to {} and holds no state yet: start the "
                                             "service, or run this as that account: "
                                             "runuser -u {} -- rcptsyncd …",
                                             folder.native(), name, name)};
}

std::shared_ptr<const config::Config> accept(config::Loaded loaded, EventSink& sink) {
  for (const auto& fault : loaded.faults)
    sink.emit(
        {EventKind::diagnostic, fault.warning ? Priority::warning : Priority::error, fault.text()});
  if (!loaded.usable()) return nullptr;
  return std::make_shared<const config::Config>(std::move(loaded.config));
}

}  // namespace

std::shared_ptr<const config::Config> load_configuration(const std::filesystem::path& file,
                                                         EventSink& sink) {
  return accept(config::load(file), sink);
}

ExitCode exit_code_of(const Error& error) {
  return error.code == Errc::busy ? exit_busy : exit_failed;
}

Startup start_owner(const std::filesystem::path& file, EventSink& sink) {
  Startup startup;
  startup.config = load_configuration(file, sink);
  if (!startup.config) {
    startup.code = exit_configuration;
    return startup;
  }
  const auto refuse = [&](const Error& error) {
    sink.emit(failure(EventKind::diagnostic, error.message, error.message));
    startup.config.reset();
    startup.code = exit_code_of(error);
  };
  if (auto done = push::initialize(); !done) {
    refuse(done.error());
  } else if (auto made = make_state_folder(startup.config->state_dir); !made) {
    refuse(made.error());
  } else if (auto owned = check_owner(startup.config->state_dir); !owned) {
    refuse(owned.error());
  } else if (auto store = open_owner(startup.config->state_dir); !store) {
    refuse(store.error());
  } else {
    startup.store = std::move(*store);
  }
  return startup;
}

Startup start_reader(config::Loaded loaded, EventSink& sink) {
  Startup startup;
  startup.config = accept(std::move(loaded), sink);
  if (!startup.config) {
    startup.code = exit_configuration;
    return startup;
  }
  auto store = store::open_reader(startup.config->state_dir);
  if (store) {
    startup.store = std::move(*store);
  } else if (store.error().code != Errc::not_found) {
    sink.emit({EventKind::diagnostic, Priority::error, store.error().message});
    startup.code = exit_failed;
  }
  return startup;
}

}  // namespace rcptsync::service
