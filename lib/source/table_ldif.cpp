// table_ldif — LDIF content records (RFC 2849).
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/escape.hpp"
#include "source/ldap_entry.hpp"
#include "source/table_source.hpp"
#include "source/text_lines.hpp"

namespace rcptsync::source {
namespace {

bool decode_base64(std::string_view text, std::string& bytes) {
  bytes.assign(text.size() / 4 * 3, '\0');
  if (text.size() % 4 != 0) return false;
  if (text.empty()) return true;
  auto padding = text.size() - (text.find_last_not_of('=') + 1);
  const auto digits = text.substr(0, text.size() - std::min(padding, text.size()));
  const bool clean = std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
  if (!clean || padding > 2) return false;
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return false;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return true;
}

constexpr std::size_t max_value = 1 << 26;

class LdifTable {
 public:
  explicit LdifTable(Findings& findings) : findings_(findings) {}

  Result<> parse(std::string_view text) {
    TextLines lines(text);
    bool comment = false;  // a folded comment goes on
    while (lines.next()) {
      auto line = lines.line();
      if (!lines.ended())
        return broken(lines.number(), "the last line has no end: the file is cut; export it again");
      if (line.starts_with(' ')) {  // RFC 2849: a fold is one line break and one space
        if (comment) continue;
        if (logical_.empty())
          return broken(lines.number(), "continues a line, and there is none before it");
        if (logical_.size() + line.size() > max_value)
          return broken(lines.number(), "a value of more than 64 MiB");
        logical_.append(line.substr(1));
        continue;
      }
      if (auto done = attribute(); !done) return done;
      comment = line.starts_with('#');
      if (comment) continue;
      if (line.empty()) {
        if (auto done = record(); !done) return done;
        continue;
      }
      logical_ = line;
      line_ = lines.number();
    }
    if (auto done = attribute(); !done) return done;
    return record();
  }

 private:
  struct Stored {
    std::string_view attribute;
    std::string text;
  };

  // One logical line: `name: text`, `name:: base64` or `name:< url`.
  Result<> attribute() {
    if (logical_.empty()) return {};
    const auto line = std::move(logical_);
    logical_.clear();
    const auto colon = line.find(':');
    if (colon == std::string::npos || colon == 0)
      return broken(line_, "neither `name: value` nor a comment: {}", escape(line, 60));
    const std::string_view name = std::string_view(line).substr(0, colon);
    auto value = std::string_view(line).substr(colon + 1);
    std::string decoded;
    if (value.starts_with('<'))
      return broken(line_, "{} stands in another file ({}), and only this one is read",
                    escape(name, 40), escape(trimmed(value.substr(1)), 60));
    if (value.starts_with(':')) {
      if (!decode_base64(trimmed(value.substr(1)), decoded))
        return broken(line_, "{} is no base64: the file is cut or damaged", escape(name, 40));
      value = decoded;
    } else {
      value = trimmed(value);
    }
    return take(name, value);
  }

  Result<> take(std::string_view full_name, std::string_view value) {
    const auto name = full_name.substr(0, full_name.find(';'));
    const bool first = !in_record_;
    if (first && ascii_equal(name, "version")) return {};  // may stand right above the first dn
    if (first) {
      in_record_ = true;
      record_line_ = line_;
    }
    if (ascii_equal(name, "dn")) {
      if (!first) return broken(line_, "a dn inside a record: the blank line before it is missing");
      has_dn_ = true;
      dn_ = value;
      return {};
    }
    // ldifde and csvde exports can be imported again, so each record says that it is to be added.
    if (ascii_equal(name, "changetype") && ascii_equal(value, "add")) return {};
    if (ascii_equal(name, "changetype") || ascii_equal(name, "control"))
      return broken(line_,
                    "a change record; a table is read from content records, as ldifde -f, "
                    "ldapsearch -LLL and slapcat write them");
    // What ldapsearch without -LLL writes at the end.
    if (!has_dn_ && ascii_equal(name, "result") && !value.starts_with("0"))
      return broken(line_, "the search that wrote it did not see everything: {}",
                    escape(value, 80));
    if (!has_dn_) {
      if (first && known_without_dn(name)) return {};
      if (!first) return {};
      return broken(line_, "a record begins with dn:, this one with {}", escape(name, 40));
    }
    if (ascii_equal(name, "proxyAddresses") || ascii_equal(name, "mail")) {
      const auto range = ascii_lower(full_name).find(";range=");
      if (range != std::string::npos && !full_name.ends_with("-*"))
        return broken(line_,
                      "{}: the server sent only some of the values; export with a tool that "
                      "fetches ranges",
                      escape(full_name, 60));
      auto& values = ascii_equal(name, "mail") ? mail_ : addresses_;
      if (!value.empty() && !recipient::other_protocol(value)) values.emplace_back(value);
    } else if (ascii_equal(name, "objectClass")) {
      int rank = 0;
      const auto kind = kind_of(value, rank);
      if (rank > rank_) kind_ = kind;
      rank_ = std::max(rank, rank_);
    } else if (ascii_equal(name, "objectGUID") || ascii_equal(name, "entryUUID")) {
      unique_ = std::string("id:") + std::string(value);
    }
    return {};
  }

  // The lines of ldapsearch that belong to no entry.
  static bool known_without_dn(std::string_view name) {
    constexpr std::array names{"search", "result", "ref"};
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view known) { return ascii_equal(name, known); });
  }

  // The record ends: an object, if it has any address. `mail` counts without proxyAddresses only.
  Result<> record() {
    const auto key = unique_.empty() ? folded_key("dn:", dn_) : unique_;
    if (has_dn_) {
      for (const auto& value : addresses_) add(key, "proxyAddresses", value);
      if (addresses_.empty())
        for (const auto& value : mail_) add(key, "mail", value);
    }
    in_record_ = has_dn_ = false;
    dn_.clear();
    unique_.clear();
    addresses_.clear();
    mail_.clear();
    kind_ = recipient::ObjectClass::entry;
    rank_ = 0;
    return {};
  }

  void add(const std::string& key, std::string_view attribute, const std::string& value) {
    findings_.add({key, kind_, attribute, value, {}, record_line_});
  }

  Findings& findings_;
  std::string logical_;
  std::uint32_t line_ = 0;

  bool in_record_ = false, has_dn_ = false;
  std::uint32_t record_line_ = 0;
  std::string dn_, unique_;
  std::vector<std::string> addresses_, mail_;
  recipient::ObjectClass kind_ = recipient::ObjectClass::entry;
  int rank_ = 0;
};

}  // namespace

Result<> parse_ldif(std::string_view text, Findings& findings) {
  return LdifTable(findings).parse(text);
}

}  // namespace rcptsync::source
