#include "source/source.hpp"

#include <fmt/format.h>

#include "source/ldap_source.hpp"

namespace rcptsync::source {
namespace {

bool is_ldap(const config::Source& source) {
  return source.type == config::SourceType::active_directory ||
         source.type == config::SourceType::ldap;
}

std::string unknown_type(const config::Source& source) {
  return fmt::format("type: this version cannot read {}; it can active-directory and ldap",
                     config::to_string(source.type));
}

}  // namespace

std::vector<std::string> check_source(const config::Source& source) {
  if (is_ldap(source)) return check_ldap_source(source);
  return {unknown_type(source)};
}

Result<> Source::watch(const WatchRequest& /*request*/, const std::function<void()>& /*ring*/,
                       std::stop_token /*stop*/) {
  return Error{Errc::invalid, "a source of this type cannot tell of changes"};
}

Result<std::unique_ptr<Source>> create_source(const config::Source& source) {
  if (is_ldap(source)) return create_ldap_source(source);
  return Error{Errc::invalid, unknown_type(source)};
}

}  // namespace rcptsync::source
