#include "source/source.hpp"

#include "source/accounts.hpp"
#include "source/exchange55.hpp"
#include "source/ldap_source.hpp"
#include "source/table_source.hpp"

namespace rcptsync::source {
namespace {

bool is_ldap(const config::Source& source) {
  return source.type == config::SourceType::active_directory ||
         source.type == config::SourceType::ldap;
}

/// For the types that read files.
FileSourcePlan plan(const config::Source& source) {
  if (source.type == config::SourceType::accounts)
    return plan_accounts(std::get<config::AccountsSource>(source.details));
  const auto& settings = std::get<config::FileSource>(source.details);
  return source.type == config::SourceType::table ? plan_table(settings)
                                                  : plan_exchange55(settings);
}

}  // namespace

std::vector<std::string> check_source(const config::Source& source) {
  return is_ldap(source) ? check_ldap_source(source) : check_files(plan(source));
}

Result<> Source::watch(const WatchRequest& /*request*/, const std::function<void()>& /*ring*/,
                       std::stop_token /*stop*/) {
  return Error{Errc::invalid, "a source of this type cannot tell of changes"};
}

Result<std::unique_ptr<Source>> create_source(const config::Source& source) {
  if (is_ldap(source)) return create_ldap_source(source);
  return create_file_source(plan(source));
}

}  // namespace rcptsync::source
