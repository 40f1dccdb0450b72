#include "store/pages.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/codec.hpp"
#include "store/schema.hpp"

namespace rcptsync::store {
namespace {

// mdb.c: MDB_page, MDB_node, MDB_meta, MDB_db.
constexpr std::size_t page_header = 16;
constexpr std::size_t node_header = 8;
constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;
constexpr std::uint32_t lmdb_version = 1;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::uint16_t branch_page = 0x01;
constexpr std::uint16_t leaf_page = 0x02;
constexpr std::uint16_t overflow_page = 0x04;
constexpr std::uint16_t meta_page = 0x08;
constexpr std::uint16_t node_overflows = 0x01;
constexpr std::uint16_t node_is_table = 0x02;
constexpr std::size_t max_key = 511;
constexpr unsigned max_depth = 32;  // CURSOR_STACK
constexpr std::uint64_t max_file = 1ULL << 42;

struct Tree {
  std::uint32_t pad;  // of the free list's tree: the page size
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t branch_pages;
  std::uint64_t leaf_pages;
  std::uint64_t overflow_pages;
  std::uint64_t entries;
  std::uint64_t root;
};
static_assert(sizeof(Tree) == 48);

struct MetaPage {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address;
  std::uint64_t map_size;
  Tree free;
  Tree main;
  std::uint64_t last_page;
  std::uint64_t txnid;
};
static_assert(sizeof(MetaPage) == 136);

// Numbers in a page stand at even offsets only, so they are copied, never cast.
template <class T>
T load(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// Reads exactly `size` bytes; a file that ends before is Errc::damaged.
Result<> read_at(int fd, const std::filesystem::path& file, std::uint64_t offset, char* out,
                 std::size_t size) {
  while (size > 0) {
    const auto got = ::pread(fd, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return system_error(errno, fmt::format("{}: cannot read at byte {}", file.native(), offset));
    if (got == 0)
      return Error{Errc::damaged,
                   fmt::format("{} was cut off: it ends before byte {}, which it still uses; "
                               "restore it from a backup",
                               file.native(), offset)};
    out += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

std::size_t page_size_of(const MetaPage& meta) {
  return meta.free.pad;
}

bool plausible_page_size(std::size_t size) {
  return size >= 512 && size <= 32768 && (size & (size - 1)) == 0;
}

Result<MetaPage> read_meta(int fd, const std::filesystem::path& file, std::uint64_t offset) {
  std::array<char, page_header + sizeof(MetaPage)> bytes{};
  if (auto read = read_at(fd, file, offset, bytes.data(), bytes.size()); !read) return read.error();
  const std::string_view page(bytes.data(), bytes.size());
  const auto meta = load<MetaPage>(page, page_header);
  if (load<std::uint16_t>(page, 10) != meta_page || meta.magic != lmdb_magic)
    return Error{Errc::foreign,
                 fmt::format("{} is no LMDB file; move it away, or restore it from a backup",
                             file.native())};
  return meta;
}

class Checker {
 public:
  Checker(int fd, const std::filesystem::path& file, const MetaPage& meta)
      : fd_(fd), file_(file), meta_(meta), page_size_(page_size_of(meta)) {
    used_.resize(static_cast<std::size_t>(meta.last_page + 1));
    used_[0] = used_[1] = true;
  }

  Result<> run(PageCheck extent) {
    with_seals_ = extent == PageCheck::full;
    if (meta_.main.flags != 0) return foreign();
    if (auto checked = tree(meta_.main, Kind::main); !checked) return checked;
    const auto meta_table = tables_.find(name_of(Table::meta));
    if (meta_table == tables_.end() || meta_table->second.flags != 0) return foreign();
    if (auto checked = tree(meta_table->second, Kind::table); !checked) return checked;
    if (extent == PageCheck::catalogue) return {};

    for (const auto& [name, table] : tables_) {
      if (name == meta_table->first) continue;
      if (table.flags != 0) return damaged(table.root, "a table is of another kind than ours");
      if (auto checked = tree(table, Kind::table); !checked) return checked;
    }
    // Last, so that a free page which is in use is seen.
    return tree(meta_.free, Kind::free_list);
  }

 private:
  enum class Kind { main, table, free_list };

  // One walk through one tree.
  struct Walk {
    const Tree& tree;
    Kind kind;
    std::uint64_t branch_pages = 0;
    std::uint64_t leaf_pages = 0;
    std::uint64_t overflow_pages = 0;
    std::uint64_t entries = 0;
    std::vector<std::string> buffers{};  // one page for each level
  };

  // What the separators above allow in a page: keys from `low` on and below `high`, if they are
  // there.
  struct Range {
    std::optional<std::string_view> low;
    std::optional<std::string_view> high;
  };

  [[nodiscard]] Error damaged(std::uint64_t page, std::string_view what) const {
    return {Errc::damaged, fmt::format("{} is damaged at page {}: {}; restore it from a backup",
                                       file_.native(), page, what)};
  }
  [[nodiscard]] Error foreign() const {
    return {Errc::foreign,
            fmt::format("{} is an LMDB file of another program; move it away, or set another "
                        "state_dir",
                        file_.native())};
  }

  Result<> tree(const Tree& tree, Kind kind) {
    if (tree.root == no_page) {
      if (tree.entries != 0 || tree.depth != 0) return damaged(0, "an empty table counts entries");
      return {};
    }
    if (tree.depth == 0 || tree.depth > max_depth) return damaged(tree.root, "impossible depth");
    Walk walk{tree, kind};
    walk.buffers.assign(tree.depth, std::string(page_size_, '\0'));
    if (auto checked = page(walk, tree.root, 0, {}); !checked) return checked;
    if (walk.branch_pages != tree.branch_pages || walk.leaf_pages != tree.leaf_pages ||
        walk.overflow_pages != tree.overflow_pages || walk.entries != tree.entries)
      return damaged(tree.root, "a table has more or less in it than it counts");
    return {};
  }

  Result<> use(std::uint64_t page) {
    if (page < 2 || page > meta_.last_page) return damaged(page, "there is no such page");
    if (used_[static_cast<std::size_t>(page)]) return damaged(page, "it is used twice");
    used_[static_cast<std::size_t>(page)] = true;
    return {};
  }

  // As LMDB compares: bytewise, but the free list by number.
  [[nodiscard]] static bool less(Kind kind, std::string_view a, std::string_view b) {
    if (kind != Kind::free_list) return a < b;
    return load<std::uint64_t>(a, 0) < load<std::uint64_t>(b, 0);
  }

  Result<> page(Walk& walk, std::uint64_t number, unsigned level, Range range) {
    if (auto used = use(number); !used) return used;
    auto& buffer = walk.buffers[level];
    if (auto read = read_at(fd_, file_, number * page_size_, buffer.data(), page_size_); !read)
      return read;
    const std::string_view bytes = buffer;
    const bool leaf = level + 1 == walk.tree.depth;
    const std::size_t lower = load<std::uint16_t>(bytes, 12);
    const std::size_t upper = load<std::uint16_t>(bytes, 14);
    if (load<std::uint64_t>(bytes, 0) != number)
      return damaged(number, "another page stands there");
    // Also refuses P_DIRTY, with which LMDB would write into its read-only map.
    if (load<std::uint16_t>(bytes, 10) != (leaf ? leaf_page : branch_page))
      return damaged(number, "it is of another kind than its place asks for");
    if (lower < page_header || lower % 2 != 0 || lower > upper || upper > page_size_)
      return damaged(number, "impossible bounds");
    const std::size_t count = (lower - page_header) / 2;
    // With a single child LMDB ends in an assertion, except in the free list.
    if (count == 0 || (!leaf && count == 1 && walk.kind != Kind::free_list))
      return damaged(number, "it is empty");
    ++(leaf ? walk.leaf_pages : walk.branch_pages);

    std::size_t taken = 0;
    std::optional<std::string_view> before;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = load<std::uint16_t>(bytes, page_header + 2 * i);
      if (at < upper || at % 2 != 0 || at + node_header > page_size_)
        return damaged(number, "a node outside of it");
      const std::size_t key_size = load<std::uint16_t>(bytes, at + 6);
      if (key_size > max_key || at + node_header + key_size > page_size_)
        return damaged(number, "a key outside of it");
      const auto key = bytes.substr(at + node_header, key_size);

      // The first key of a branch page is not looked at: everything left of the second goes there.
      const bool counts = leaf || i > 0;
      if (counts) {
        if (walk.kind == Kind::free_list ? key_size != sizeof(std::uint64_t) : key_size == 0)
          return damaged(number, "a key of impossible length");
        if ((before && !less(walk.kind, *before, key)) ||
            (range.low && less(walk.kind, key, *range.low)) ||
            (range.high && !less(walk.kind, key, *range.high)))
          return damaged(number, "a key out of order");
        before = key;
      }

      std::size_t inside = 0;  // bytes of data on this page
      if (leaf) {
        auto size = this->leaf(walk, number, bytes, at, key);
        if (!size) return size.error();
        inside = *size;
      }
      taken += (node_header + key_size + inside + 1) & ~std::size_t{1};
    }
    if (taken > page_size_ - upper) return damaged(number, "its nodes overlap");
    return leaf ? Result<>{} : children(walk, number, level, range);
  }

  // Below a branch page, whose buffer stays as it is until its last child is done.
  Result<> children(Walk& walk, std::uint64_t number, unsigned level, Range range) {
    const std::string_view bytes = walk.buffers[level];
    const std::size_t count = (load<std::uint16_t>(bytes, 12) - page_header) / 2;
    const auto node = [&](std::size_t i) {
      return static_cast<std::size_t>(load<std::uint16_t>(bytes, page_header + 2 * i));
    };
    const auto key = [&](std::size_t i) {
      return bytes.substr(node(i) + node_header, load<std::uint16_t>(bytes, node(i) + 6));
    };
    if (level + 1 >= walk.tree.depth) return damaged(number, "the tree is deeper than it says");
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t child = load<std::uint32_t>(bytes, node(i)) |
                                  std::uint64_t{load<std::uint16_t>(bytes, node(i) + 4)} << 32;
      Range below = range;
      if (i > 0) below.low = key(i);
      if (i + 1 < count) below.high = key(i + 1);
      if (auto checked = page(walk, child, level + 1, below); !checked) return checked;
    }
    return {};
  }

  // A node of a leaf page. The result is how much of its data stands on the page.
  Result<std::size_t> leaf(Walk& walk, std::uint64_t number, std::string_view bytes, std::size_t at,
                           std::string_view key) {
    const auto flags = load<std::uint16_t>(bytes, at + 4);
    const std::size_t size = load<std::uint32_t>(bytes, at);
    const std::size_t data = at + node_header + key.size();
    const std::size_t inside = (flags & node_overflows) != 0 ? sizeof(std::uint64_t) : size;
    ++walk.entries;
    if (inside > page_size_ || data + inside > page_size_)
      return damaged(number, "a value outside of it");

    if (flags == node_is_table && walk.kind == Kind::main) {
      if (size != sizeof(Tree)) return damaged(number, "a table of impossible length");
      // Names are C strings for mdb_dbi_open(); one with a NUL is simply never asked for.
      tables_.emplace(key, load<Tree>(bytes, data));
      return inside;
    }
    if ((flags & ~node_overflows) != 0) return damaged(number, "a value of another kind");

    std::string_view value;
    if (flags == node_overflows) {
      auto read = overflow(walk, load<std::uint64_t>(bytes, data), size);
      if (!read) return read.error();
      value = *read;
    } else {
      value = bytes.substr(data, size);
    }
    if (walk.kind == Kind::free_list) {
      if (auto checked = free_pages(number, value); !checked) return checked.error();
    } else if (with_seals_ && !codec::unseal(key, value) && key != format_key) {
      return damaged(number, "a record or its key is not what was written");
    }
    return inside;
  }

  // A run of pages that holds one long value: the value, or nothing if nobody is going to look at
  // it. The view lives until the next call.
  Result<std::string_view> overflow(Walk& walk, std::uint64_t first, std::size_t size) {
    if (auto used = use(first); !used) return used.error();
    std::array<char, page_header> header{};
    if (auto read = read_at(fd_, file_, first * page_size_, header.data(), header.size()); !read)
      return read.error();
    const std::string_view bytes(header.data(), header.size());
    const std::uint64_t pages = load<std::uint32_t>(bytes, 12);
    if (load<std::uint64_t>(bytes, 0) != first || load<std::uint16_t>(bytes, 10) != overflow_page)
      return damaged(first, "it is not the long value that should be there");
    // A shorter value may have taken the place of a longer one.
    if (pages == 0 || pages * page_size_ < page_header + size)
      return damaged(first, "its value is longer than its pages");
    for (std::uint64_t next = first + 1; next < first + pages; ++next)
      if (auto used = use(next); !used) return used.error();
    walk.overflow_pages += pages;

    // The end first: a damaged length must not take memory for what the file does not have.
    const std::uint64_t begin = first * page_size_ + page_header;
    char last = 0;
    if (auto read = read_at(fd_, file_, begin + size - 1, &last, 1); !read) return read.error();
    if (!with_seals_ && walk.kind != Kind::free_list) return std::string_view();
    long_value_.resize(size);
    if (auto read = read_at(fd_, file_, begin, long_value_.data(), size); !read)
      return read.error();
    return long_value_;
  }

  // An entry of the free list: a count, and that many page numbers in descending order.
  Result<> free_pages(std::uint64_t number, std::string_view list) {
    constexpr std::size_t width = sizeof(std::uint64_t);
    if (list.size() < width) return damaged(number, "a free list without its length");
    const auto count = load<std::uint64_t>(list, 0);
    if (count > list.size() / width - 1)
      return damaged(number, "a free list longer than its value");
    std::uint64_t above = no_page;
    for (std::size_t i = 1; i <= count; ++i) {
      const auto page = load<std::uint64_t>(list, i * width);
      if (page >= above) return damaged(number, "a free list out of order");
      if (auto used = use(page); !used) return used;
      above = page;
    }
    return {};
  }

  int fd_;
  const std::filesystem::path& file_;
  const MetaPage& meta_;
  std::size_t page_size_;
  std::vector<bool> used_;
  std::map<std::string, Tree> tables_;
  bool with_seals_ = false;
  std::string long_value_;
};

}  // namespace

Result<> check_meta_pages(int fd, const std::filesystem::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return system_error(errno, fmt::format("cannot look at {}", file.native()));
  if (status.st_size == 0)
    return Error{Errc::damaged,
                 fmt::format("{} is empty, but it is never written so; restore it from a backup",
                             file.native())};

  const auto first = read_meta(fd, file, 0);
  if (!first) return first.error();
  if (first->version != lmdb_version)
    return Error{Errc::foreign,
                 fmt::format("{} has LMDB's data version {}, but this program reads {}; restore a "
                             "file that was written by LMDB 0.9 on this kind of machine",
                             file.native(), first->version, lmdb_version)};
  const auto page_size = page_size_of(*first);
  if (!plausible_page_size(page_size))
    return Error{Errc::damaged, fmt::format("{} is damaged: page size {}; restore it from a backup",
                                            file.native(), page_size)};
  const auto second = read_meta(fd, file, page_size);
  if (!second) return Error{Errc::damaged, second.error().message};
  for (const auto* meta : {&*first, &*second})
    if (meta->version != lmdb_version || page_size_of(*meta) != page_size || meta->last_page < 1 ||
        meta->last_page > max_file / page_size)
      return Error{Errc::damaged,
                   fmt::format("{} is damaged: its two meta pages do not fit each other; "
                               "restore it from a backup",
                               file.native())};
  return {};
}

Result<> check_pages(int fd, const std::filesystem::path& file, std::uint64_t txnid,
                     PageCheck extent) {
  const auto first = read_meta(fd, file, 0);
  if (!first) return first.error();
  // Transactions write the two meta pages in turn.
  const auto meta = read_meta(fd, file, txnid % 2 == 0 ? 0 : page_size_of(*first));
  if (!meta) return meta.error();
  if (meta->txnid != txnid || !plausible_page_size(page_size_of(*meta)) ||
      meta->last_page > max_file / page_size_of(*meta))
    return Error{Errc::damaged,
                 fmt::format("{} is damaged: its newest transaction stands on the wrong page; "
                             "restore it from a backup",
                             file.native())};
  return Checker(fd, file, *meta).run(extent);
}

}  // namespace rcptsync::store
