#include "source/recipient_type.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/escape.hpp"
#include "source/ldap_entry.hpp"

namespace rcptsync::source {
namespace {

// The values of msExchRecipientTypeDetails that are system mailboxes, by Microsoft's names.
// MicrosoftExchange (0x400000), the sender of internal delivery reports, is none: an organization
// may name a mailbox that gets the replies to them.
enum RecipientTypeDetails : std::int64_t {
  SystemAttendantMailbox = 0x2000,
  SystemMailbox = 0x4000,
  ArbitrationMailbox = 0x80'0000,  // also those of migration and federation
  DiscoveryMailbox = 0x2000'0000,
  MonitoringMailbox = 0x80'0000'0000,  // HealthMailbox…
  AuditLogMailbox = 0x400'0000'0000,
  AuxAuditLogMailbox = 0x4000'0000'0000,
};
constexpr std::array system_types{SystemAttendantMailbox, SystemMailbox,     ArbitrationMailbox,
                                  DiscoveryMailbox,       MonitoringMailbox, AuditLogMailbox,
                                  AuxAuditLogMailbox};

// What setup puts after the first word of a name.
enum class Rest { braced_guid, guid, hex32 };

struct SystemName {
  std::string_view begin;
  Rest rest;
};
constexpr std::array system_names{
    SystemName{"SystemMailbox", Rest::braced_guid},
    SystemName{"DiscoverySearchMailbox", Rest::braced_guid},
    SystemName{"DiscoverySearchMailbox ", Rest::braced_guid},
    SystemName{"HealthMailbox", Rest::hex32},
    SystemName{"FederatedEmail.", Rest::guid},
    SystemName{"Migration.", Rest::guid},
};

bool is_hex_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_guid(std::string_view text) {
  std::array<char, 16> bytes{};
  return parse_uuid(text, bytes);
}

bool matches(std::string_view text, Rest rest) {
  switch (rest) {
    case Rest::braced_guid:
      return text.size() > 2 && text.front() == '{' && text.back() == '}' &&
             is_guid(text.substr(1, text.size() - 2));
    case Rest::guid:
      return is_guid(text);
    case Rest::hex32:
      return text.size() == 32 && std::all_of(text.begin(), text.end(), is_hex_digit);
  }
  return false;
}

// The value of a DN's first RDN; nothing if something in it is escaped, as in none of the names
// above.
std::string_view first_value(std::string_view dn) {
  const auto begin = dn.find('=');
  if (begin == std::string_view::npos) return {};
  dn.remove_prefix(begin + 1);
  const auto value = dn.substr(0, dn.find_first_of(",+"));
  return value.find('\\') == std::string_view::npos ? value : std::string_view{};
}

}  // namespace

bool is_system_recipient_type(std::string_view value) {
  std::int64_t type = 0;
  const auto* end = value.data() + value.size();
  const auto [stop, code] = std::from_chars(value.data(), end, type);
  return code == std::errc{} && stop == end &&
         std::find(system_types.begin(), system_types.end(), type) != system_types.end();
}

bool is_system_mailbox_name(std::string_view dn) {
  const auto name = first_value(dn);
  return std::any_of(system_names.begin(), system_names.end(), [name](const SystemName& system) {
    const auto length = system.begin.size();
    return name.size() > length && ascii_equal(name.substr(0, length), system.begin) &&
           matches(name.substr(length), system.rest);
  });
}

}  // namespace rcptsync::source
