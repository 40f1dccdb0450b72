// faults — gathers what is wrong while the configuration is read, so that all of it is said at
// once.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "config/load.hpp"

namespace rcptsync::config {

class FaultList {
 public:
  /// `file`: the configuration's name as it is to stand in messages.
  explicit FaultList(std::string file) : file_(std::move(file)) {}

  void error(int line, std::string key, std::string what);
  void warning(int line, std::string key, std::string what);
  /// A fault in another file, `file:line`, that the configuration names on `named_on`.
  void error_in(std::string file, int line, int named_on, std::string key, std::string what);

  /// The configuration file's name.
  [[nodiscard]] const std::string& file() const { return file_; }

  /// False once so many were gathered that more would help nobody. Gathering stays harmless.
  [[nodiscard]] bool room() const { return gathered_.size() < limit; }

  /// The faults in the order of the configuration file.
  [[nodiscard]] std::vector<Fault> take() &&;

 private:
  static constexpr std::size_t limit = 1000;
  struct Placed {
    int order;  ///< the line of the configuration that led to it
    Fault fault;
  };
  void add(int order, Fault fault);

  std::string file_;
  std::vector<Placed> gathered_;
  std::size_t left_out_ = 0;
};

}  // namespace rcptsync::config
