#include "service/commit.hpp"

#include <utility>

#include "service/cycle.hpp"
#include "service/target_tables.hpp"

namespace rcptsync::service {

Result<bool> Cycle::run() {
  if (auto done = open(); !done) return done.error();
  if (auto done = sources_.take(meta_before_); !done) return done.error();
  if (auto done = orders_.pinned() != 0 ? follow_pinned() : compare_and_decide(); !done)
    return done.error();
  if (auto done = close(); !done) return done.error();
  return wrote_ || ownership_.wrote() || sources_.wrote() || marks_.wrote();
}

Result<> Cycle::open() {
  auto meta = transaction_.meta();
  if (!meta) return meta.error();
  meta_before_ = meta_ = std::move(*meta);
  if (auto done = marks_.open(); !done) return done;
  if (auto done = orders_.open(transaction_, meta_, marks_, input_.now); !done) return done;
  if (meta_.pinned == 0 || orders_.ends_pin())
    if (auto done = marks_.open_pending(); !done) return done;
  return complete_generation();
}

// A daemon that was killed between a commit and its digest: the table is still that generation's.
Result<> Cycle::complete_generation() {
  const auto last = transaction_.generation(meta_.generation);
  if (!last) return last.error();
  if (!*last || (*last)->digest != Digest{}) return {};
  const auto digest = table_digest(transaction_);
  if (!digest) return digest.error();
  wrote_ = true;
  return transaction_.put_digest(meta_.generation, *digest);
}

Result<> Cycle::close() {
  // The first table is a generation even if it is empty, which min_recipients: 0 allows.
  const bool first = meta_.generation == 0 && !report.hold;
  if (meta_.generation > 0 || first)
    if (auto written = rows_.write(transaction_, meta_.generation + 1); !written) return written;
  rows_.count_into(meta_);
  if (auto done = sources_.close(rows_.accepted_by_source(), !marks_.graces().empty()); !done)
    return done;
  if (auto done = marks_.close(orders_.pinned() != 0); !done) return done;
  meta_.pinned = orders_.pinned();
  meta_.rules = input_.rules->fingerprint();
  if (rows_.visible() > 0 || first)
    if (auto done = put_generation(first); !done) return done;
  if (meta_ != meta_before_) {
    wrote_ = true;
    if (auto put = transaction_.put_meta(meta_); !put) return put;
  }
  return tell();
}

Result<> Cycle::tell() {
  report.sources = sources_.states();
  report.current = meta_.generation;
  report.accepted = meta_.accepted;
  report.dropped = ownership_.dropped();
  report.dropped_sample = ownership_.take_sample();
  report.orders = orders_.results(meta_.generation);
  report.approved = approved_;
  report.refused_total = marks_.refused_total();
  report.in_grace = marks_.graces().size();
  report.pinned = meta_.pinned;
  if (meta_.pinned == 0) return {};
  return transaction_.each_pending([this](const store::Change& change) {
    report.pending.added += change.operation == store::Operation::added;
    report.pending.removed += change.operation == store::Operation::removed;
    report.pending.changed += change.operation == store::Operation::changed;
    return true;
  });
}

Result<CycleReport> commit_cycle(store::Store& store, const CycleInput& input, bool in_full) {
  CycleReport report;
  const auto wrote = store.write([&](store::Transaction& transaction) -> Result<bool> {
    Cycle cycle(transaction, input, in_full);
    auto something = cycle.run();
    report = std::move(cycle.report);
    return something;
  });
  if (!wrote) return wrote.error();
  return report;
}

}  // namespace rcptsync::service
