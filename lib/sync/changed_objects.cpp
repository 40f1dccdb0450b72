// A row: hash, class, verdict, then key, origin and values as texts with their lengths in front.
#include "sync/changed_objects.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/text_sort.hpp"

namespace rcptsync::sync {
namespace {

/// A directory's settings name a handful of attributes. Should there be more of them, the names of
/// the others stand in their rows.
constexpr std::size_t max_attributes = 64;
constexpr std::uint32_t named_in_row = max_attributes;

/// Bytes of replaced rows that are not worth making room again.
constexpr std::size_t few_dead = std::size_t{1} << 14;

void append_number(std::string& row, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) row.push_back(static_cast<char>(number | 0x80));
  row.push_back(static_cast<char>(number));
}

void append_text(std::string& row, std::string_view text) {
  append_number(row, text.size());
  row += text;
}

/// Reads a row that append_…() made.
class RowReader {
 public:
  explicit RowReader(const char* row) : next_(row) {}

  ObjectHash hash() {
    ObjectHash hash;
    std::memcpy(&hash, next_, sizeof hash);
    next_ += sizeof hash;
    return hash;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(*next_++); }
  std::uint64_t number() {
    std::uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto part = byte();
      number |= std::uint64_t{part & 0x7fU} << shift;
      if (part < 0x80) return number;
    }
  }
  std::string_view text() {
    const auto size = number();
    const std::string_view text(next_, size);
    next_ += size;
    return text;
  }
  [[nodiscard]] const char* position() const { return next_; }

 private:
  const char* next_;
};

/// At the key: behind the hash, the class and the verdict.
RowReader reader_at_key(const char* row) {
  return RowReader(row + sizeof(ObjectHash) + 2);
}

}  // namespace

std::uint32_t ChangedObjects::attribute_number(std::string_view name) {
  const auto known = std::find(attributes_.begin(), attributes_.end(), name);
  if (known == attributes_.end()) {
    if (attributes_.size() == max_attributes) return named_in_row;
    // Their bytes are shown to others: they must not move.
    if (attributes_.empty()) attributes_.reserve(max_attributes);
    attributes_.emplace_back(name);
    return static_cast<std::uint32_t>(attributes_.size() - 1);
  }
  return static_cast<std::uint32_t>(known - attributes_.begin());
}

const char* ChangedObjects::pack(const recipient::Object& object, const ObjectHash& hash) {
  packed_.assign(reinterpret_cast<const char*>(&hash), sizeof hash);
  packed_.push_back(static_cast<char>(object.kind));
  packed_.push_back(static_cast<char>(object.drop));
  append_text(packed_, object.key);
  append_text(packed_, object.origin);
  append_number(packed_, object.values.size());
  for (const auto& value : object.values) {
    const auto attribute = attribute_number(value.attribute);
    append_number(packed_, attribute);
    if (attribute == named_in_row) append_text(packed_, value.attribute);
    append_text(packed_, value.text);
    append_text(packed_, value.reject);
  }
  return arena_.keep(packed_).data();
}

void ChangedObjects::add(const recipient::Object& object, const ObjectHash& hash) {
  rows_.push_back(pack(object, hash));
}

void ChangedObjects::replace(std::size_t place, const recipient::Object& object,
                             const ObjectHash& hash) {
  forget(place);
  rows_[place] = pack(object, hash);
}

void ChangedObjects::forget(std::size_t place) {
  if (rows_[place] == nullptr) return;
  ChangedObject object;
  unpack(place, object);
  const auto* const end =
      object.values.empty() ? object.origin.data() : object.values.back().reject.data();
  dead_ += static_cast<std::size_t>(end - rows_[place]);
  rows_[place] = nullptr;
  if (dead_ < few_dead || dead_ < arena_.memory() / 2) return;
  const Arena old = std::exchange(arena_, {});
  dead_ = 0;
  for (auto& row : rows_) {
    if (row == nullptr) continue;
    ChangedObject kept;
    const auto at = static_cast<std::size_t>(&row - rows_.data());
    unpack(at, kept);
    row = pack(kept.object(), kept.hash);
  }
}

void ChangedObjects::sort() {
  std::erase(rows_, nullptr);
  std::vector<SortedText> order;
  order.reserve(rows_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i)
    order.push_back({text_word(key(i)), static_cast<std::uint32_t>(i)});
  sort_texts(
      std::span(order), [this](std::uint32_t place) { return key(place); },
      [](std::uint32_t a, std::uint32_t b) { return a < b; });
  std::vector<const char*> sorted;
  sorted.reserve(rows_.size());
  for (const auto& text : order) sorted.push_back(rows_[text.place]);
  rows_ = std::move(sorted);
}

std::string_view ChangedObjects::key(std::size_t place) const {
  return reader_at_key(rows_[place]).text();
}

ObjectHash ChangedObjects::hash(std::size_t place) const {
  return RowReader(rows_[place]).hash();
}

ChangedObject ChangedObjects::operator[](std::size_t place) const {
  ChangedObject object;
  unpack(place, object);
  return object;
}

void ChangedObjects::unpack(std::size_t place, ChangedObject& out) const {
  RowReader row(rows_[place]);
  out.hash = row.hash();
  out.kind = static_cast<recipient::ObjectClass>(row.byte());
  out.drop = static_cast<recipient::Drop>(row.byte());
  out.key = row.text();
  out.origin = row.text();
  out.values.resize(row.number());
  for (auto& value : out.values) {
    const auto attribute = row.number();
    value.attribute =
        attribute == named_in_row ? row.text() : std::string_view(attributes_[attribute]);
    value.text = row.text();
    value.reject = row.text();
  }
}

std::size_t ChangedObjects::memory() const {
  return arena_.memory() + rows_.capacity() * sizeof rows_.front() + packed_.capacity();
}

}  // namespace rcptsync::sync
