#include "source/file_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "base/digest.hpp"
#include "base/escape.hpp"
#include "recipient/rules.hpp"
#include "source/file_watch.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

// Raised when a parser makes something else of the same bytes.
constexpr int parser_version = 2;

std::string to_text(const FileStamp& stamp) {
  return fmt::format("{} {} {} {} {}", stamp.device, stamp.inode, stamp.size, stamp.modified,
                     stamp.changed);
}

std::string to_text(const FileVersion& version) {
  return to_text(version.stamp) + ' ' + version.digest.hex();
}

class FileSource final : public Source {
 public:
  FileSource(FileSourcePlan plan, FileLimits limits) : plan_(std::move(plan)), limits_(limits) {
    Sha256 hash;
    const auto add = [&](std::string_view field) {
      hash.update(fmt::format("{}:{},", field.size(), field));
    };
    add(recipient::grammar());
    add(plan_.settings);
    for (const auto& file : plan_.files) add(file.path);
    fingerprint_ = fmt::format("files {} {}\n", parser_version, hash.finish().hex());
  }

  Result<Complete> read(const ReadRequest& request, recipient::ObjectSink& sink,
                        std::stop_token stop) override {
    const bool may_skip = request.kind == ReadKind::incremental && !request.cookie.empty();
    if (may_skip) {
      const auto stamps = look_at_all();
      if (!stamps) return stamps.error();
      if (request.cookie.starts_with(*stamps)) return unchanged(request.cookie);
    }

    std::vector<FileContent> contents;
    const auto known = versions_in(request.cookie);
    for (std::size_t i = 0; i < plan_.files.size(); ++i) {
      const auto is_known = [&](const FileVersion& version) {
        return i < known.size() && known[i] == to_text(version);
      };
      auto content = read_settled(plan_.files[i].path, limits_, stop, is_known);
      if (!content) return content.error();
      contents.push_back(std::move(*content));
    }
    auto cookie = cookie_of(contents);
    // Touched, but with the same bytes.
    if (may_skip && digests_in(request.cookie) == digests_in(cookie)) return unchanged(cookie);

    std::deque<Findings> findings;
    for (std::size_t i = 0; i < contents.size(); ++i) {
      const auto& file = plan_.files[i];
      auto parsed = file.parse(std::move(contents[i].bytes), findings.emplace_back());
      if (!parsed) return parsed.error().within(escape(file.path));
      if (stop.stop_requested()) return Error{Errc::cancelled, "the read was stopped"};
    }
    Complete complete;
    complete.cookie = std::move(cookie);
    for (std::size_t i = 0; i < findings.size(); ++i) {
      const auto& path = plan_.files[i].path;
      complete.objects += findings[i].tell(path, sink);
      for (auto& warning : findings[i].warnings(path))
        complete.warnings.push_back(std::move(warning));
    }
    return complete;
  }

  [[nodiscard]] bool can_watch() const override { return true; }

  Result<> watch(const WatchRequest& request, const std::function<void()>& ring,
                 std::stop_token stop) override {
    std::vector<std::string> paths;
    for (const auto& file : plan_.files) paths.push_back(file.path);
    // What changed between the last read and this moment rings at once.
    const auto armed = [&] {
      if (request.listening) request.listening();
      const auto stamps = look_at_all();
      if (!stamps || !request.cookie.starts_with(*stamps)) ring();
    };
    return watch_files(paths, armed, ring, std::move(stop));
  }

 private:
  // A cookie is the fingerprint, the stamps, one line each, and the digests in one line.

  [[nodiscard]] Result<std::string> look_at_all() const {
    auto text = fingerprint_;
    for (const auto& file : plan_.files) {
      const auto stamp = look_at(file.path);
      if (!stamp) return stamp.error();
      text += to_text(*stamp) + '\n';
    }
    return text;
  }

  [[nodiscard]] std::string cookie_of(const std::vector<FileContent>& contents) const {
    auto text = fingerprint_;
    std::string digests;
    for (const auto& content : contents) {
      text += to_text(content.version.stamp) + '\n';
      digests += content.version.digest.hex() + ' ';
    }
    return text + digests + '\n';
  }

  /// The fingerprint and the digests; empty if the cookie is not one of these settings.
  [[nodiscard]] std::string digests_in(std::string_view cookie) const {
    if (!cookie.starts_with(fingerprint_) || !cookie.ends_with('\n')) return {};
    cookie.remove_suffix(1);
    const auto last = cookie.rfind('\n');
    return fingerprint_ + std::string(cookie.substr(last + 1));
  }

  /// What the last good read believed of each file, as to_text(); empty if the cookie is not one of
  /// these settings.
  [[nodiscard]] std::vector<std::string> versions_in(std::string_view cookie) const {
    if (!cookie.starts_with(fingerprint_)) return {};
    TextLines lines(cookie.substr(fingerprint_.size()));
    std::vector<std::string> versions;
    while (versions.size() < plan_.files.size() && lines.next())
      versions.emplace_back(lines.line());
    if (!lines.next()) return {};
    auto digests = lines.line();
    for (auto& version : versions) {
      const auto end = std::min(digests.find(' '), digests.size());
      version += ' ';
      version += digests.substr(0, end);
      digests.remove_prefix(std::min(end + 1, digests.size()));
    }
    return versions;
  }

  static Complete unchanged(std::string cookie) {
    Complete complete;
    complete.kind = ReadKind::incremental;
    complete.unseen_gone = false;
    complete.cookie = std::move(cookie);
    return complete;
  }

  FileSourcePlan plan_;
  FileLimits limits_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<Source> create_file_source(FileSourcePlan plan, FileLimits limits) {
  return std::make_unique<FileSource>(std::move(plan), limits);
}

std::vector<std::string> check_files(const FileSourcePlan& plan) {
  const auto at_once = [](const FileVersion&) { return true; };
  std::vector<std::string> faults;
  for (const auto& file : plan.files) {
    auto content = read_settled(file.path, {}, {}, at_once);
    if (!content) {
      faults.push_back(fmt::format("{}: {}", file.key, content.error().message));
      continue;
    }
    Findings findings;
    const auto parsed = file.parse(std::move(content->bytes), findings);
    if (!parsed)
      faults.push_back(
          fmt::format("{}: {}", file.key, parsed.error().within(escape(file.path)).message));
  }
  return faults;
}

}  // namespace rcptsync::source
