#include "source/sync_values.hpp"

#include <fmt/format.h>
#include <lber.h>
#include <ldap.h>

#include <cstdint>
#include <optional>

#include "base/handle.hpp"

namespace rcptsync::source {
namespace {

void free_ber(BerElement* ber) {
  ::ber_free(ber, 1);
}

struct Element {
  ber_tag_t tag = LBER_DEFAULT;
  std::string_view contents;
};

// The elements of a value, one after the other.
class Elements {
 public:
  explicit Elements(std::string_view bytes) : rest_(bytes) {}

  /// The next element; nothing at the end or where no whole element follows.
  std::optional<Element> take() {
    auto element = peek();
    if (element) {
      const auto* end = element->contents.data() + element->contents.size();
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    }
    return element;
  }

  /// The next element if it has this tag.
  std::optional<Element> take(ber_tag_t tag) {
    const auto element = peek();
    return element && element->tag == tag ? take() : std::nullopt;
  }

  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  // LDAP is BER with tags of one byte and definite lengths (RFC 4511 §5.1).
  [[nodiscard]] std::optional<Element> peek() const {
    constexpr std::size_t head = 2;
    constexpr unsigned long_form = 0x80;
    if (rest_.size() < head) return {};
    const auto byte = [this](std::size_t at) { return static_cast<unsigned char>(rest_[at]); };
    std::size_t size = byte(1);
    std::size_t at = head;
    if (size >= long_form) {
      const std::size_t count = size - long_form;
      if (count == 0 || count > sizeof(std::uint32_t) || rest_.size() < head + count) return {};
      for (size = 0; at < head + count; ++at) size = size << 8U | byte(at);
    }
    if (rest_.size() - at < size) return {};
    return Element{byte(0), rest_.substr(at, size)};
  }

  std::string_view rest_;
};

std::optional<Elements> sequence(std::string_view value) {
  Elements outer(value);
  const auto element = outer.take(LBER_SEQUENCE);
  if (!element || !outer.at_end()) return {};
  return Elements(element->contents);
}

std::string_view take_cookie(Elements& elements) {
  const auto cookie = elements.take(LBER_OCTETSTRING);
  return cookie ? cookie->contents : std::string_view{};
}

// BOOLEAN DEFAULT `value`: false if what stands there is no boolean.
bool take_boolean(Elements& elements, bool& value) {
  const auto element = elements.take(LBER_BOOLEAN);
  if (!element) return true;
  if (element->contents.size() != 1) return false;
  value = element->contents.front() != '\0';
  return true;
}

Error not_rfc(std::string_view what) {
  return {Errc::protocol, fmt::format("the server sent a {} that is not what RFC 4533 says", what)};
}

bool take_uuids(Elements& elements, std::vector<std::string_view>& uuids) {
  const auto set = elements.take(LBER_SET);
  if (!set) return false;
  Elements members(set->contents);
  while (const auto uuid = members.take(LBER_OCTETSTRING)) {
    if (uuid->contents.size() != sync_uuid_size) return false;
    uuids.push_back(uuid->contents);
  }
  return members.at_end();
}

}  // namespace

std::string sync_request(SyncMode mode, std::string_view cookie) {
  const Handle<BerElement, free_ber> ber(::ber_alloc_t(LBER_USE_DER));
  berval bytes{cookie.size(), const_cast<char*>(cookie.data())};
  const int written = cookie.empty()
                          ? ::ber_printf(ber.get(), "{e}", static_cast<ber_int_t>(mode))
                          : ::ber_printf(ber.get(), "{eO}", static_cast<ber_int_t>(mode), &bytes);
  berval flat{};
  if (written < 0 || ::ber_flatten2(ber.get(), &flat, 0) != 0) return {};
  return {flat.bv_val, flat.bv_len};
}

Result<SyncState> parse_sync_state(std::string_view value) {
  const auto wrong = not_rfc("sync state");
  auto elements = sequence(value);
  if (!elements) return wrong;
  const auto kind = elements->take(LBER_ENUMERATED);
  const auto uuid = elements->take(LBER_OCTETSTRING);
  if (!kind || kind->contents.size() != 1 || !uuid || uuid->contents.size() != sync_uuid_size)
    return wrong;
  const auto number = static_cast<unsigned char>(kind->contents.front());
  if (number > static_cast<unsigned char>(SyncState::Kind::remove)) return wrong;
  SyncState state;
  state.kind = static_cast<SyncState::Kind>(number);
  state.uuid = uuid->contents;
  state.cookie = take_cookie(*elements);
  if (!elements->at_end()) return wrong;
  return state;
}

Result<SyncDone> parse_sync_done(std::string_view value) {
  const auto wrong = not_rfc("sync done");
  auto elements = sequence(value);
  if (!elements) return wrong;
  SyncDone done;
  done.cookie = take_cookie(*elements);
  if (!take_boolean(*elements, done.refresh_deletes) || !elements->at_end()) return wrong;
  return done;
}

Result<SyncInfo> parse_sync_info(std::string_view value) {
  const auto wrong = not_rfc("sync info");
  Elements outer(value);
  const auto choice = outer.take();
  if (!choice || !outer.at_end()) return wrong;
  SyncInfo info;
  if (choice->tag == LDAP_TAG_SYNC_NEW_COOKIE) {
    info.cookie = choice->contents;
    return info;
  }
  Elements elements(choice->contents);
  info.cookie = take_cookie(elements);
  switch (choice->tag) {
    case LDAP_TAG_SYNC_REFRESH_DELETE:
    case LDAP_TAG_SYNC_REFRESH_PRESENT:
      info.kind = choice->tag == LDAP_TAG_SYNC_REFRESH_DELETE ? SyncInfo::Kind::refresh_delete
                                                              : SyncInfo::Kind::refresh_present;
      if (!take_boolean(elements, info.refresh_done)) return wrong;
      break;
    case LDAP_TAG_SYNC_ID_SET:
      info.kind = SyncInfo::Kind::id_set;
      if (!take_boolean(elements, info.refresh_deletes) || !take_uuids(elements, info.uuids))
        return wrong;
      break;
    default:
      return wrong;
  }
  if (!elements.at_end()) return wrong;
  return info;
}

}  // namespace rcptsync::source
