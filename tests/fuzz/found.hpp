// found — what must hold for whatever a parser of files made of its input.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "base/escape.hpp"
#include "config/mailbox.hpp"
#include "recipient/address.hpp"
#include "source/findings.hpp"

namespace rcptsync::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class CheckingSink final : public recipient::ObjectSink {
 public:
  void upsert(const recipient::Object& object) override {
    require(!object.key.empty() && object.key.size() <= 128, "a key of 1 to 128 bytes");
    require(keys_.insert(std::string(object.key)).second, "each key once");
    require(!object.values.empty(), "no object without a value");
    for (const auto& value : object.values) {
      require(!value.attribute.empty(), "an attribute");
      require(!recipient::other_protocol(value.text) ||
                  recipient::parse_address(value.text).drop != recipient::Drop::kept,
              "no address of another system");
      require(value.reject.empty() || config::check_reject(value.reject).has_value(),
              "a reject text that can be published");
    }
  }
  bool present(std::string_view) override { return false; }
  void remove(std::string_view) override { require(false, "nothing is removed"); }
  void restart() override { require(false, "nothing starts again"); }

 private:
  std::set<std::string> keys_;
};

inline void check(const Result<>& parsed, source::Findings& findings) {
  if (!parsed) {
    require(is_utf8(parsed.error().message), "a message that can be printed");
    require(parsed.error().message.find('\n') == std::string::npos, "a message of one line");
    return;
  }
  CheckingSink sink;
  findings.tell("file", sink);
}

}  // namespace rcptsync::fuzz
