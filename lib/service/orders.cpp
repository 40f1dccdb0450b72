#include "service/orders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/file.hpp"
#include "sync/guard.hpp"

namespace rcptsync::service {
namespace {

using nlohmann::json;

// A million removals with texts are some 100 MB.
constexpr std::size_t largest_order = std::size_t{1} << 30;
constexpr std::string_view suffix = ".json";

constexpr std::array kinds{std::pair{Order::Kind::approve, std::string_view{"approve"}},
                           std::pair{Order::Kind::reject, std::string_view{"reject"}},
                           std::pair{Order::Kind::rollback, std::string_view{"rollback"}},
                           std::pair{Order::Kind::resync, std::string_view{"resync"}},
                           std::pair{Order::Kind::poll, std::string_view{"poll"}},
                           std::pair{Order::Kind::push, std::string_view{"push"}},
                           std::pair{Order::Kind::verify, std::string_view{"verify"}}};

std::filesystem::path folder_of(const std::filesystem::path& state_dir) {
  return state_dir / "orders";
}

bool is_file_name(const std::string& id) {
  return !id.empty() && id.size() <= 100 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
  });
}

bool proves(const Order& order) {
  return order.removals.empty() || digest_of(order.removals) == order.digest;
}

// One line for each removal, as in the digest: neither an address nor a text can hold a tab.
json to_json(const Order& order) {
  auto removals = json::array();
  for (const auto& removal : order.removals)
    removals.push_back(removal.reject.empty() ? removal.address
                                              : removal.address + "\t" + removal.reject);
  return {{"kind", to_string(order.kind)},
          {"id", order.id},
          {"by", order.by},
          {"given", rfc3339(order.given)},
          {"digest", order.digest.hex()},
          {"removals", std::move(removals)},
          {"target", order.target},
          {"generation", order.generation},
          {"targets", order.targets}};
}

Order from_json(const json& document) {  // throws json::exception
  Order order;
  const auto kind = document.at("kind").get<std::string>();
  const auto* known =
      std::find_if(kinds.begin(), kinds.end(), [&](const auto& one) { return one.second == kind; });
  const auto given = parse_rfc3339(document.at("given").get<std::string>());
  const auto digest = Digest::from_hex(document.at("digest").get<std::string>());
  if (known == kinds.end() || !given || !digest)
    throw json::other_error::create(501, "not an order", &document);
  order.kind = known->first;
  order.id = document.at("id").get<std::string>();
  order.by = document.at("by").get<std::string>();
  order.given = *given;
  order.digest = *digest;
  for (const auto& line : document.at("removals")) {
    const auto text = line.get<std::string>();
    const auto tab = text.find('\t');
    order.removals.push_back(
        {text.substr(0, tab), tab == std::string::npos ? std::string() : text.substr(tab + 1)});
  }
  order.target = document.at("target").get<std::string>();
  order.generation = document.at("generation").get<std::uint64_t>();
  order.targets = document.at("targets").get<std::vector<std::string>>();
  return order;
}

// Nothing if one byte of it is not what save_order() wrote.
std::optional<Order> parse(const std::string& bytes, const std::string& id) {
  const auto document = json::parse(bytes, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  try {
    const auto& content = document.at("order");
    if (document.at("sum").get<std::string>() != sha256(content.dump()).hex()) return std::nullopt;
    auto order = from_json(content);
    if (order.id != id || !proves(order)) return std::nullopt;
    return order;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

// The folder, made if need be. The tool may be root and the daemon is not: what root makes here has
// to belong to the account that owns the state, and root follows no link that this account left.
Result<Fd> open_folder(const std::filesystem::path& state_dir, struct stat& owner) {
  const auto folder = folder_of(state_dir);
  if (::stat(state_dir.c_str(), &owner) != 0)
    return system_error(errno, fmt::format("cannot look at {}", state_dir.native()));
  const bool made = ::mkdir(folder.c_str(), 0700) == 0;
  if (!made && errno != EEXIST)
    return system_error(errno, fmt::format("cannot create {}", folder.native()));
  Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd) return system_error(errno, fmt::format("cannot open {}", folder.native()));
  if (!made) return fd;
  if (::geteuid() == 0 && ::fchown(fd.get(), owner.st_uid, owner.st_gid) != 0)
    return system_error(errno, fmt::format("cannot hand over {}", folder.native()));
  if (auto synced = sync_folder(state_dir); !synced) return synced.error();
  return fd;
}

Result<> write_file(int folder, const std::string& name, std::string_view bytes,
                    const struct stat& owner) {
  Fd fd{::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!fd) return system_error(errno, "cannot create it");
  if (::geteuid() == 0 && ::fchown(fd.get(), owner.st_uid, owner.st_gid) != 0)
    return system_error(errno, "cannot hand it over to the owner of the state");
  while (!bytes.empty()) {
    const auto put = ::write(fd.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, "cannot write it");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(fd.get()) != 0) return system_error(errno, "cannot sync it");
  return {};
}

// Of the files that next_order_id() can have named, sorted. Others are none of our business.
Result<std::vector<std::string>> ids_in(int folder) {
  Fd again{::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!again) return system_error(errno, "cannot open it");
  const Handle<DIR, ::closedir> entries{::fdopendir(again.get())};
  if (!entries) return system_error(errno, "cannot list it");
  again.release();
  std::vector<std::string> ids;
  for (errno = 0; const auto* entry = ::readdir(entries.get()); errno = 0) {
    const std::string_view name = entry->d_name;
    if (!name.ends_with(suffix)) continue;
    std::string id(name.substr(0, name.size() - suffix.size()));
    if (is_file_name(id)) ids.push_back(std::move(id));
  }
  if (errno != 0) return system_error(errno, "cannot list it");
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

std::string_view to_string(Order::Kind kind) {
  for (const auto& [known, name] : kinds)
    if (known == kind) return name;
  return "?";
}

std::string next_order_id() {
  static std::atomic<unsigned> counter{0};
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
      system_clock().wall().time_since_epoch());
  return fmt::format("{:020}-{:07}-{:06}", now.count(), ::getpid(), counter++ % 1'000'000);
}

Digest digest_of(const std::vector<Removal>& removals) {
  std::vector<sync::RemovalCandidate> candidates;
  candidates.reserve(removals.size());
  for (const auto& removal : removals) candidates.push_back({removal.address, removal.reject});
  return sync::removal_digest(candidates);
}

Result<> save_order(const std::filesystem::path& state_dir, const Order& order) {
  if (!is_file_name(order.id))
    return Error{Errc::invalid, fmt::format("`{}` cannot name an order", order.id)};
  if (!proves(order))
    return Error{Errc::invalid,
                 fmt::format("{} is not the digest of these removals", order.digest.brief())};
  std::string bytes;
  try {
    auto content = to_json(order);
    auto sum = sha256(content.dump()).hex();
    bytes = json{{"sum", std::move(sum)}, {"order", std::move(content)}}.dump(1) + "\n";
  } catch (const json::exception&) {
    return Error{Errc::invalid, "a text of the order is not UTF-8"};
  }

  struct stat owner {};
  const auto folder = open_folder(state_dir, owner);
  if (!folder) return folder.error();
  const auto name = order.id + std::string(suffix);
  const auto context = fmt::format("order {}", (folder_of(state_dir) / name).native());
  const auto temporary = order.id + ".tmp";
  auto written = write_file(folder->get(), temporary, bytes, owner);
  if (written && ::renameat(folder->get(), temporary.c_str(), folder->get(), name.c_str()) != 0)
    written = system_error(errno, "cannot rename it");
  if (!written) {
    ::unlinkat(folder->get(), temporary.c_str(), 0);
    return written.error().within(context);
  }
  if (::fsync(folder->get()) != 0) return system_error(errno, context + ": cannot sync its folder");
  return {};
}

Result<std::vector<Order>> load_orders(const std::filesystem::path& state_dir,
                                       std::vector<std::string>* damaged) {
  const auto path = folder_of(state_dir);
  const Fd folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!folder && errno == ENOENT) return std::vector<Order>{};
  if (!folder) return system_error(errno, fmt::format("cannot open {}", path.native()));
  const auto ids = ids_in(folder.get());
  if (!ids) return ids.error().within(path.native());

  std::vector<Order> orders;
  for (const auto& id : *ids) {
    const auto name = id + std::string(suffix);
    const auto bytes = read_file_at(folder.get(), name, largest_order);
    if (!bytes && bytes.error().code == Errc::not_found) continue;
    if (!bytes && bytes.error().code != Errc::limit && bytes.error().code != Errc::invalid)
      return bytes.error().within(path.native());
    auto order = bytes ? parse(*bytes, id) : std::nullopt;
    if (order) {
      orders.push_back(std::move(*order));
    } else if (damaged != nullptr) {
      const auto aside = id + ".bad";
      if (::renameat(folder.get(), name.c_str(), folder.get(), aside.c_str()) != 0)
        return system_error(errno, fmt::format("cannot move {} aside", (path / name).native()));
      damaged->push_back((path / aside).native());
    }
  }
  return orders;
}

Result<> remove_order(const std::filesystem::path& state_dir, const std::string& id) {
  const auto file = folder_of(state_dir) / (id + std::string(suffix));
  if (::unlink(file.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return system_error(errno, fmt::format("cannot remove {}", file.native()));
  }
  return sync_folder(folder_of(state_dir));
}

}  // namespace rcptsync::service
