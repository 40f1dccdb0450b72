// exclusions — recipients.exclude, compiled: addresses and domains in hash sets, regular
// expressions in one automaton.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "config/config.hpp"

namespace rcptsync::recipient {

class Exclusions {
 public:
  /// Errc::invalid, naming file and line, for an address, a domain or an expression that is none.
  static Result<Exclusions> compile(const std::vector<config::Exclusion>& exclusions);

  Exclusions(Exclusions&&) noexcept;
  Exclusions& operator=(Exclusions&&) noexcept;
  ~Exclusions();

  /// The line of the exclusion that a canonical address falls under: its own, its domain's, or that
  /// of the first expression, in this order. An expression is searched for anywhere in the address,
  /// in any case, in both forms of an internationalised domain. Safe to use from several threads.
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view canonical) const;

  /// What the exclusions say, one string for each, sorted, each once, without line numbers.
  [[nodiscard]] std::vector<std::string> content() const;

 private:
  Exclusions();

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Lines = std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>>;
  class Expressions;

  Lines addresses_;
  Lines domains_;
  std::unique_ptr<Expressions> expressions_;
};

}  // namespace rcptsync::recipient
