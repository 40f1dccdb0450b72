// What comes back from the state and from a server's binary values: cookies of a source, DirSync's,
// and the up-to-dateness vector. Anything odd is no cookie, and what is one means what it says.
#include <cstdlib>

#include "source/active_directory.hpp"
#include "source/ldap_cookie.hpp"

using namespace rcptsync::source;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);

  for (const auto& sealed : {std::string(input), with_sum(input)}) {
    const auto bytes = to_bytes(parse_ldap_cookie(sealed));
    require(to_bytes(parse_ldap_cookie(bytes)) == bytes);
  }

  if (const auto cookie = parse_dirsync_cookie(input)) {
    require(!cookie->contexts.empty());
    const auto again = parse_dirsync_cookie(to_bytes(*cookie));
    require(again && to_bytes(*again) == to_bytes(*cookie));
  }

  if (const auto vector = parse_up_to_date_vector(input)) {
    require(vector->size() * 24 <= size);
    for (const auto& [origin, usn] : *vector) require(origin.size() == 32 && usn.size() == 20);
  }

  for (const auto& name : filter_needs(input).attributes) require(!name.empty());
  if (const auto context = context_of(std::string(input), {"DC=example,DC=com"}))
    require(*context == "DC=example,DC=com");
  return 0;
}
