// fuzz-accounts — any bytes as a passwd and as an aliases file.
#include "source/accounts.hpp"
#include "found.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rcptsync;
  const std::string input(reinterpret_cast<const char*>(data), size);
  config::AccountsSource settings;
  settings.aliases = "aliases";
  settings.domains = {"example.com"};
  settings.min_uid = 0;
  for (const auto& file : source::plan_accounts(settings).files) {
    source::Findings findings;
    const auto parsed = file.parse(input, findings);
    fuzz::check(parsed, findings);
  }
  return 0;
}
