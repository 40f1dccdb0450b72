// support — what the tests of the store share: folders, other processes, and a whole state as text.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/random.hpp"
#include "store/store.hpp"

namespace store_test {

/// A new empty folder, removed with everything in it at the end.
struct Folder {
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path data() const { return path / "data.mdb"; }
  std::filesystem::path path;
};

/// Another process. It runs `body` and exits with what that returns; an exception is 99. No store
/// may be open here when it starts, because an environment does not survive fork(2).
class Child {
 public:
  explicit Child(const std::function<int()>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  void kill() const;
  /// The exit status, or minus the number of the signal that ended it.
  int wait();

 private:
  pid_t pid_ = -1;
};

/// A pipe of signals between processes.
class Gate {
 public:
  Gate();
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() const;
  /// False if nobody opened it within ten seconds.
  [[nodiscard]] bool wait() const;

 private:
  int ends_[2]{-1, -1};
};

/// Every record of every table, one a line.
rcptsync::Result<std::string> everything(rcptsync::store::View& view);

/// Objects, owners, recipients and one generation for a pretended directory of `size` users, in one
/// transaction.
rcptsync::Result<bool> fill(rcptsync::store::Store& store, std::uint64_t size);

/// One more generation that adds, changes and removes some recipients, as a cycle would. What it
/// does depends on the random numbers and on the state alone.
rcptsync::Result<bool> advance(rcptsync::store::Store& store, rcptsync::Random& random,
                               std::uint64_t size);

/// Empty if all tables agree with each other and the changes of all generations, one after the
/// other, make the recipients; else what does not fit.
std::string inconsistency(rcptsync::store::Store& store);

}  // namespace store_test
