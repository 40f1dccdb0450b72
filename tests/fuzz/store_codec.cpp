// Records of the state file: any bytes decode or are refused, and what decodes has no other bytes.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "store/codec.hpp"
#include "store/schema_1.hpp"

namespace {

using namespace rcptsync::store;

template <class Record>
void check(std::string_view bytes) {
  Record record;
  if (!codec::decode(bytes, record)) return;
  std::string again;
  codec::encode(record, again);
  if (again != bytes) std::abort();
}

void check_changes(std::string_view bytes) {
  codec::ChangesWriter again;
  bool stopped = false;
  const auto add = [&](const Change& change) {
    again.add(view_of(change));
    return true;
  };
  if (codec::decode_changes(bytes, add, stopped) && (stopped || again.bytes() != bytes))
    std::abort();
}

// Nothing writes these any more: they only have to be read or refused.
template <class Record>
void read_old(std::string_view bytes) {
  Record record;
  (void)schema_1::decode(bytes, record);
}

void read_schema_1(std::string_view bytes) {
  read_old<Meta>(bytes);
  read_old<SourceRecord>(bytes);
  read_old<RecipientRecord>(bytes);
  read_old<Hold>(bytes);
  read_old<TargetRecord>(bytes);
  read_old<OwnerView>(bytes);
  read_old<HeldRecord>(bytes);
  std::size_t read = 0;
  (void)schema_1::decode_changes(bytes, [&](const ChangeView& change) {
    read += change.address.size() + change.reject.size() + change.before.size();
  });
  if (read > bytes.size()) std::abort();
}

// The first byte chooses the record.
void check_any(std::uint8_t choice, std::string_view bytes) {
  switch (choice % 17) {
    case 0:
      return check<Meta>(bytes);
    case 1:
      return check<SourceRecord>(bytes);
    case 2:
      return check<ObjectRecord>(bytes);
    case 3:
      return check<RecipientRecord>(bytes);
    case 4:
      return check<DomainRecord>(bytes);
    case 5:
      return check<Hold>(bytes);
    case 6:
      return check<codec::StoredGeneration>(bytes);
    case 7:
      return check<TargetRecord>(bytes);
    case 8:
      return check_changes(bytes);
    case 9:
      return check<OwnerView>(bytes);
    case 10:
      return check<HeldRecord>(bytes);
    case 11:
      return check<Refusal>(bytes);
    case 12:
      return check<rcptsync::Digest>(bytes);
    case 13:
      return check<rcptsync::WallTime>(bytes);
    case 14:
      return check<ChangeView>(bytes);
    case 15:
      return check<codec::Nothing>(bytes);
    default:
      return read_schema_1(bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_any(data[0], bytes.substr(1));
  (void)codec::unseal("key", bytes);
  return 0;
}
