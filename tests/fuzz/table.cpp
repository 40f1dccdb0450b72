// fuzz-table — any bytes as a file of source type table, in every format, and of exchange55.
//
// Whatever the file holds: the parser ends, says broken or tells objects that the seam allows.
#include "found.hpp"
#include "source/exchange55.hpp"
#include "source/table_source.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rcptsync;
  using config::TableFormat;
  const std::string input(reinterpret_cast<const char*>(data), size);
  for (const auto format : {TableFormat::automatic, TableFormat::list, TableFormat::postfix,
                            TableFormat::vbscript, TableFormat::csv, TableFormat::ldif}) {
    source::Findings findings;
    const auto parsed = source::parse_table(input, {.path = {}, .format = format}, findings);
    fuzz::check(parsed, findings);
  }
  for (const auto encoding :
       {config::Encoding::automatic, config::Encoding::utf_16, config::Encoding::windows_1252}) {
    source::Findings findings;
    const auto parsed = source::parse_exchange55(
        input, {.path = {}, .encoding = encoding, .allow_empty = true}, findings);
    fuzz::check(parsed, findings);
  }
  return 0;
}
