// cycle_rows — what becomes of the table in force in one cycle: collects the rows that are put and
// erased, writes them in the order of their addresses, counts them, and lists what a person can see
// of it for the ledger.
//
// A first table has millions of rows, so a row that is new and accepts takes 24 bytes and its
// address stands where it was read.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "service/wanted.hpp"
#include "store/store.hpp"

namespace rcptsync::service {

class CycleRows {
 public:
  using Before = std::optional<store::RecipientRecord>;

  /// The row becomes `after`. An address is put or erased once; it must stay until the end.
  /// `configuration`: only a change of the configuration made it so.
  void put(std::string_view address, const Wanted& after, const Before& before,
           bool configuration = false);
  void erase(std::string_view address, const store::RecipientRecord& before,
             bool configuration = false);

  /// By how much the number of addresses changes that sources supply.
  [[nodiscard]] std::int64_t supplied_delta() const { return supplied_delta_; }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  /// Accepted rows that stay, and that a source supplied until now.
  struct Orphan {
    std::string_view address;
    store::SourceId source = 0;  ///< that one
    recipient::ObjectClass kind = recipient::ObjectClass::other;
  };
  [[nodiscard]] const std::vector<Orphan>& orphans() const { return orphans_; }
  /// Accepted rows that no source supplied, and one does now.
  [[nodiscard]] const std::vector<std::string_view>& adopted() const { return adopted_; }

  /// Of what the table would be: the name of a first table that is held.
  [[nodiscard]] Digest digest();

  /// Writes all of it as part of generation `number`, the counts of domains included.
  Result<> write(store::Transaction& transaction, std::uint64_t number);

  // After write():

  /// Adds what changed of the counts.
  void count_into(store::Meta& meta) const;
  [[nodiscard]] const std::map<store::SourceId, std::int64_t>& accepted_by_source() const {
    return sources_;
  }
  /// How many changes a person or a target can see, and how many of those only the configuration
  /// made.
  [[nodiscard]] std::uint64_t visible() const { return visible_; }
  [[nodiscard]] std::uint64_t by_configuration() const { return by_configuration_; }
  /// Those changes, by address.
  void each_change(const std::function<void(const store::ChangeView&)>& take) const;

 private:
  struct Row {
    std::string_view address;
    std::uint32_t detail = 0;  ///< its place in details_, or 0: it is new, and accepts
    store::SourceId source = 0;
    std::uint8_t kind : 6 = 0;
    std::uint8_t supplied : 1 = 0;
    std::uint8_t configuration : 1 = 0;
  };
  struct Detail {
    std::string reject;
    Before before;
    bool erase = false;
  };
  struct Deltas {
    std::int64_t accepted = 0, supplied = 0;
    bool operator==(const Deltas&) const = default;
  };

  void sort();
  [[nodiscard]] bool visible(const Row& row) const;
  Result<> write_row(store::Transaction& transaction, const Row& row, std::uint64_t number);
  void count(std::string_view address, const store::RecipientRecord& record, int sign);

  std::vector<Row> rows_;
  std::vector<Orphan> orphans_;
  std::vector<std::string_view> adopted_;
  std::vector<Detail> details_{Detail{}};
  bool sorted_ = false;
  std::int64_t supplied_delta_ = 0;
  std::uint64_t visible_ = 0, by_configuration_ = 0;
  std::map<std::string, Deltas, std::less<>> domains_;
  std::map<store::SourceId, std::int64_t> sources_;
  std::array<std::int64_t, store::class_count> classes_{};
};

}  // namespace rcptsync::service
