// control_path — where the control socket stands, as an address that the kernel takes.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "base/handle.hpp"
#include "base/result.hpp"

namespace rcptsync::service {

inline constexpr auto control_socket_name = "control.sock";
/// $RUNTIME_DIRECTORY of the unit, where the tool looks first.
inline constexpr auto system_runtime_folder = "/run/rcptsync";

/// A path has 107 bytes in an address (unix(7)); a longer one is reached through its open folder.
class SocketAddress {
 public:
  static Result<SocketAddress> of(const std::filesystem::path& socket) {
    SocketAddress address;
    auto path = socket.native();
    if (path.size() >= sizeof address.address_.sun_path) {
      address.folder_ = Fd{::open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
      if (!address.folder_)
        return system_error(errno, fmt::format("control socket {}", socket.native()));
      path = fmt::format("/proc/self/fd/{}/{}", address.folder_.get(), socket.filename().native());
    }
    address.address_.sun_family = AF_UNIX;
    path.copy(address.address_.sun_path, sizeof address.address_.sun_path - 1);
    return address;
  }

  /// Valid as long as this object.
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  [[nodiscard]] static socklen_t length() { return sizeof(sockaddr_un); }

 private:
  SocketAddress() = default;
  sockaddr_un address_{};
  Fd folder_;
};

}  // namespace rcptsync::service
