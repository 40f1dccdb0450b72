// sink — the two places events go to: the journal's native protocol and lines on stderr.
//
// A line on stderr leaves in one write(2) under a lock, so that lines from several threads do not
// mix. A full pipe there makes the writer wait, as it does for every program; the journal's socket
// has room for megabytes and journald behind it.
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "journal/fields.hpp"
#include "journal/journal.hpp"
#include "journal/stream.hpp"

namespace rcptsync::journal {
namespace {

class StderrSink final : public EventSink {
 public:
  explicit StderrSink(Priority least) : least_(least) {}

  void emit(const Event& event) override {
    if (event.priority > least_) return;
    const auto line = stderr_line(event);
    const std::lock_guard lock(mutex_);
    write_all(line);
  }

 private:
  // A reader that went away must not end the daemon: what cannot be written is lost.
  static void write_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  const Priority least_;
  std::mutex mutex_;
};

class JournalSink final : public EventSink {
 public:
  void emit(const Event& event) override {
    auto fields = journal_fields(event);
    std::vector<iovec> parts;
    parts.reserve(fields.size());
    for (auto& field : fields) parts.push_back({field.data(), field.size()});
    // stderr is a stream to the same journald: the line arrives there even if the datagram did not.
    if (sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) < 0) stderr_.emit(event);
  }

 private:
  StderrSink stderr_{Priority::debug};
};

}  // namespace

std::unique_ptr<EventSink> create_sink(Priority least) {
  if (stderr_is_journal()) return std::make_unique<JournalSink>();
  return std::make_unique<StderrSink>(least);
}

}  // namespace rcptsync::journal
