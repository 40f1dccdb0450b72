#include "config/faults.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rcptsync::config {

std::string Fault::text() const {
  std::string out = file;
  if (line > 0) out += fmt::format(":{}", line);
  if (!key.empty()) out += ": " + key;
  return out + ": " + what;
}

bool Loaded::usable() const {
  return std::all_of(faults.begin(), faults.end(),
                     [](const Fault& fault) { return fault.warning; });
}

void FaultList::add(int order, Fault fault) {
  if (room()) {
    gathered_.push_back({order, std::move(fault)});
  } else if (!fault.warning) {
    ++left_out_;
  }
}

void FaultList::error(int line, std::string key, std::string what) {
  add(line, {file_, line, std::move(key), std::move(what), false});
}

void FaultList::warning(int line, std::string key, std::string what) {
  add(line, {file_, line, std::move(key), std::move(what), true});
}

void FaultList::error_in(std::string file, int line, int named_on, std::string key,
                         std::string what) {
  add(named_on, {std::move(file), line, std::move(key), std::move(what), false});
}

std::vector<Fault> FaultList::take() && {
  std::stable_sort(gathered_.begin(), gathered_.end(),
                   [](const Placed& a, const Placed& b) { return a.order < b.order; });
  std::vector<Fault> faults;
  faults.reserve(gathered_.size() + 1);
  for (auto& placed : gathered_) faults.push_back(std::move(placed.fault));
  if (left_out_ > 0)
    faults.push_back({file_, 0, "", fmt::format("{} more faults are not shown", left_out_), false});
  return faults;
}

}  // namespace rcptsync::config
