// rules — recipients.domains, exclude, always and static, compiled: what may be a recipient, and
// what must be.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "config/config.hpp"
#include "recipient/object.hpp"

namespace rcptsync::recipient {

/// What an entry of the table says about an address.
struct Entry {
  std::string address;  ///< canonical, or `@domain` with a canonical domain
  std::string reject;   ///< empty: accepted
  bool from_always = false;
  int line = 0;  ///< in the configuration
};

/// One value of an object after all rules. Views into the Object; canonical is owned.
struct Judged {
  std::string_view attribute;
  std::string_view text;
  std::string canonical;  ///< empty if the value has no canonical form
  std::string_view reject;
  Drop drop = Drop::kept;
  std::uint32_t rule_line = 0;  ///< excluded: the line of the exclusion; else 0
};

/// Names what decides which byte strings are addresses: this grammar and the Unicode versions
/// behind it. A newer one folds and encodes characters that an older one refuses, so every value
/// has to be read and judged again.
std::string grammar();

class Rules {
 public:
  /// Fails only where the configuration's own checks would: a regular expression or an address in
  /// it.
  static Result<Rules> compile(const config::Recipients& recipients);

  Rules(Rules&&) noexcept;
  Rules& operator=(Rules&&) noexcept;
  ~Rules();

  /// Domains, then exclusions, for a canonical address. Const and safe to use from several threads.
  [[nodiscard]] Drop judge(std::string_view canonical, std::uint32_t* rule_line = nullptr) const;

  /// All values of one object, in their order. A value that stands twice after folding is judged
  /// twice.
  [[nodiscard]] std::vector<Judged> judge(const Object& object) const;

  /// `always` and `static`, sorted by address, each address once: a reject text beats acceptance.
  [[nodiscard]] const std::vector<Entry>& entries() const;

  /// The canonical domains that are configured; empty: all.
  [[nodiscard]] const std::vector<std::string>& domains() const;

  /// Changes when, and only when, judge() or entries() could answer differently.
  [[nodiscard]] const Digest& fingerprint() const;

 private:
  struct Compiled;
  explicit Rules(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace rcptsync::recipient
