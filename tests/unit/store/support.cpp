#include "support.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>

using namespace rcptsync;
using namespace rcptsync::store;

namespace store_test {

constexpr auto user = recipient::ObjectClass::user;

Folder::Folder() {
  std::string name = std::filesystem::temp_directory_path() / "rcptsync-store-XXXXXX";
  path = ::mkdtemp(name.data());
}
Folder::~Folder() {
  std::filesystem::remove_all(path);
}

Child::Child(const std::function<int()>& body) : pid_(::fork()) {
  if (pid_ != 0) return;
  int status = 99;
  try {
    status = body();
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "child: %s\n", exception.what());
  }
  ::_exit(status);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill();
  wait();
}

void Child::kill() const {
  ::kill(pid_, SIGKILL);
}

int Child::wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

Gate::Gate() {
  if (::pipe(ends_) != 0) std::abort();
}
Gate::~Gate() {
  ::close(ends_[0]);
  ::close(ends_[1]);
}
void Gate::open() const {
  if (::write(ends_[1], "x", 1) != 1) std::abort();
}
bool Gate::wait() const {
  pollfd entry{ends_[0], POLLIN, 0};
  char byte = 0;
  return ::poll(&entry, 1, 10000) == 1 && ::read(ends_[0], &byte, 1) == 1;
}

namespace {

std::string text_of(std::string_view what, const Change& change) {
  return fmt::format("{} {} {} [{}] [{}] {} {}\n", what, static_cast<int>(change.operation),
                     change.address, change.reject, change.before, change.source,
                     recipient::to_string(change.kind));
}

}  // namespace

Result<std::string> everything(View& view) {
  std::string text;
  const auto meta = view.meta();
  if (!meta) return meta.error();
  text += fmt::format("meta {} {} {} {} {}\n", meta->state_id, meta->generation, meta->accepted,
                      meta->supplied, meta->rules.hex());
  const auto sources = view.sources();
  if (!sources) return sources.error();
  for (const auto& source : *sources) {
    text += fmt::format("source {} {} {}\n", source.id, source.name, source.cookie);
    auto walked =
        view.each_object(source.id, [&](std::string_view key, const ObjectRecord& record) {
          text += fmt::format("object {} {} {} {}", key, record.origin, record.hash.low,
                              record.values.size());
          for (const auto& value : record.values) text += " " + value.canonical;
          text += '\n';
          return true;
        });
    if (!walked) return walked.error();
  }
  std::vector<std::string> addresses;
  auto walked = view.each_recipient([&](std::string_view address, const RecipientRecord& record) {
    text += fmt::format("recipient {} {} {} {} {}\n", address, record.reject, record.since,
                        record.source, recipient::to_string(record.kind));
    addresses.emplace_back(address);
    return true;
  });
  if (!walked) return walked.error();
  for (const auto& address : addresses) {
    const auto owners = view.owners(address);
    if (!owners) return owners.error();
    for (const auto& owner : *owners)
      text += fmt::format("owner {} {} {} {} {}\n", address, owner.source, owner.key,
                          recipient::to_string(owner.kind), owner.reject);
    const auto mentions = view.mentions(address);
    if (!mentions) return mentions.error();
    for (const auto& [source, key] : *mentions)
      text += fmt::format("mention {} {} {}\n", address, source, key);
  }
  const auto domains = view.domains();
  if (!domains) return domains.error();
  for (const auto& [name, domain] : *domains)
    text += fmt::format("domain {} {} {}\n", name, domain.accepted, domain.supplied);
  const auto hold = view.hold();
  if (!hold) return hold.error();
  if (*hold) text += fmt::format("hold {}\n", (*hold)->reason);
  walked = view.each_held([&](std::string_view address, const HeldRecord& record) {
    text += fmt::format("held {} {} {}\n", address, record.reject, record.by_configuration);
    return true;
  });
  if (!walked) return walked.error();
  walked = view.each_refused([&](std::string_view address, const Digest& digest) {
    text += fmt::format("refused {} {}\n", address, digest.hex());
    return true;
  });
  if (!walked) return walked.error();
  const auto refusals = view.refusals();
  if (!refusals) return refusals.error();
  for (const auto& refusal : *refusals)
    text += fmt::format("refusal {} {} {} {}\n", refusal.digest.hex(), rfc3339(refusal.time),
                        refusal.by, refusal.count);
  walked = view.each_grace([&](std::string_view address, WallTime gone) {
    text += fmt::format("grace {} {}\n", address, rfc3339(gone));
    return true;
  });
  if (!walked) return walked.error();
  walked = view.each_pending([&](const Change& change) {
    text += text_of("pending", change);
    return true;
  });
  if (!walked) return walked.error();
  const auto generations = view.generations(1000000);
  if (!generations) return generations.error();
  for (const auto& generation : *generations) {
    text += fmt::format("generation {} {} {}\n", generation.number, generation.total,
                        generation.digest.hex());
    walked = view.each_change(generation.number, [&](const Change& change) {
      text += text_of("change", change);
      return true;
    });
    if (!walked) return walked.error();
  }
  const auto targets = view.targets();
  if (!targets) return targets.error();
  for (const auto& target : *targets) {
    text += fmt::format("target {} {} {} {}\n", target.name, target.generation, target.last_error,
                        target.approved.hex());
    walked = view.each_loss(target.name, [&](std::string_view address) {
      text += fmt::format("loss {} {}\n", target.name, address);
      return true;
    });
    if (!walked) return walked.error();
  }
  return text;
}

Result<bool> fill(Store& store, std::uint64_t size) {
  return store.write([size](Transaction& transaction) -> Result<bool> {
    auto meta = transaction.meta();
    if (!meta) return meta.error();
    SourceRecord source;
    source.id = 1;
    source.name = "corp";
    source.type = "active-directory";
    source.objects = source.recipients = size;
    if (auto put = transaction.put_source(source); !put) return put.error();
    std::vector<Change> changes;
    for (std::uint64_t i = 0; i < size; ++i) {
      const auto key = fmt::format("{:016x}", i);
      const auto address = fmt::format("user{:08}@example.com", i);
      ObjectRecord object;
      object.hash = {i, ~i};
      object.origin = fmt::format("CN=User {},OU=People,DC=example,DC=com", i);
      object.kind = recipient::ObjectClass::user;
      object.values.push_back({"proxyAddresses", "SMTP:" + address, address, {}, {}, 0});
      if (auto put = transaction.put_object(1, key, object); !put) return put.error();
      if (auto put = transaction.put_owner(address, {1, key, object.kind}); !put)
        return put.error();
      if (auto put = transaction.put_recipient(address, {{}, 1, true, 1, object.kind}); !put)
        return put.error();
      changes.push_back({Operation::added, address, {}, {}, 1, object.kind});
    }
    if (auto put = transaction.put_domain("example.com", {size, size}); !put) return put.error();
    Generation generation;
    generation.number = 1;
    generation.added = generation.total = size;
    if (auto put = transaction.put_generation(generation, changes); !put) return put.error();
    meta->generation = 1;
    meta->accepted = meta->supplied = size;
    if (auto put = transaction.put_meta(*meta); !put) return put.error();
    return true;
  });
}

Result<bool> advance(Store& store, Random& random, std::uint64_t size) {
  return store.write([&](Transaction& transaction) -> Result<bool> {
    auto meta = transaction.meta();
    if (!meta) return meta.error();
    const auto number = ++meta->generation;
    Generation generation;
    generation.number = number;
    std::map<std::string, Change> changes;
    for (auto left = 1 + random.next() % size; left > 0; --left) {
      const auto address = fmt::format("u{}@example.com", random.next() % (4 * size));
      if (changes.contains(address)) continue;
      const auto known = transaction.recipient(address);
      if (!known) return known.error();
      Change change{Operation::added, address, {}, {}, 1, user};
      const auto was_accepted = *known && (*known)->reject.empty();
      const auto choice = random.next() % 4;
      Result<> done;
      if (*known && choice < 2) {
        change.operation = Operation::removed;
        change.before = (*known)->reject;
        done = transaction.erase_recipient(address);
        if (done) done = transaction.erase_owner(address, 1, "k" + address);
        if (done) done = transaction.erase_object(1, "k" + address);
        ++generation.removed;
        if (was_accepted) --meta->accepted;
      } else {
        if (choice == 3) change.reject = std::string(random.next() % 600, 'r');
        change.operation = *known ? Operation::changed : Operation::added;
        if (*known) change.before = (*known)->reject;
        ObjectRecord object;
        object.origin = std::string(random.next() % 9000, 'o');  // some on overflow pages
        done = transaction.put_recipient(address, {change.reject, number, true, 1, user});
        if (done) done = transaction.put_owner(address, {1, "k" + address, user, change.reject});
        if (done) done = transaction.put_object(1, "k" + address, object);
        ++(*known ? generation.changed : generation.added);
        meta->accepted += change.reject.empty() ? 1 : 0;
        meta->accepted -= was_accepted ? 1 : 0;
      }
      if (!done) return done.error();
      changes.emplace(address, change);
    }
    std::vector<Change> sorted;
    for (auto& [address, change] : changes) sorted.push_back(change);
    generation.total = meta->accepted;
    if (auto put = transaction.put_generation(generation, sorted); !put) return put.error();
    if (auto put = transaction.put_domain("example.com", {meta->accepted, 0}); !put)
      return put.error();
    if (auto put = transaction.put_meta(*meta); !put) return put.error();
    return true;
  });
}

std::string inconsistency(Store& store) {
  std::string fault;
  auto read = store.read([&](View& view) -> Result<> {
    const auto meta = view.meta();
    if (!meta) return meta.error();
    const auto generations = view.generations(1000000);
    if (!generations) return generations.error();
    std::map<std::string, std::string> expected;
    for (auto i = generations->rbegin(); i != generations->rend(); ++i) {
      const auto generation_number = static_cast<std::uint64_t>(i - generations->rbegin()) + 1;
      if (i->number != generation_number)
        fault = fmt::format("no generation {}", generation_number);
      std::uint64_t seen = 0;
      auto walked = view.each_change(i->number, [&](const Change& change) {
        ++seen;
        if (change.operation == Operation::removed)
          expected.erase(change.address);
        else
          expected[change.address] = change.reject;
        return true;
      });
      if (!walked) return walked;
      if (seen != i->added + i->removed + i->changed)
        fault = fmt::format("generation {} has {} changes", i->number, seen);
    }
    if (meta->generation != generations->size()) fault = "the current generation is not the last";
    std::map<std::string, std::string> present;
    std::uint64_t accepted = 0;
    auto walked = view.each_recipient([&](std::string_view address, const RecipientRecord& record) {
      present.emplace(address, record.reject);
      accepted += record.reject.empty() ? 1 : 0;
      return true;
    });
    if (!walked) return walked;
    if (present != expected) fault = "the recipients are not what the changes make";
    if (accepted != meta->accepted) fault = "the count of recipients is wrong";
    if (!generations->empty() && generations->front().total != accepted)
      fault = "the last generation counts other recipients";
    const auto domain = view.domain("example.com");
    if (!domain) return domain.error();
    if ((*domain ? (*domain)->accepted : 0) != accepted) fault = "the domain counts others";
    for (const auto& [address, reject] : present) {
      const auto owners = view.owners(address);
      if (!owners) return owners.error();
      if (owners->size() != 1 || owners->front().reject != reject)
        fault = address + " has not its one owner";
    }
    return {};
  });
  return read ? fault : read.error().message;
}

}  // namespace store_test
