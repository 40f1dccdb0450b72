#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "lines.hpp"
#include "service/status_report.hpp"

using namespace rcptsync;
using namespace rcptsync::service;
using namespace rcptsync::service::test;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

const WallTime noon{std::chrono::seconds(1772366400)};

std::string text(const StatusReport& report) {
  std::ostringstream out;
  print_status_text(out, report, {});
  check_fits(out.str());
  return out.str();
}

json document(const StatusReport& report) {
  std::ostringstream out;
  print_status_json(out, report);
  return json::parse(out.str());
}

/// One of everything that can be.
StatusReport eventful() {
  StatusReport report;
  report.running = true;
  report.now = noon;
  report.next_poll = noon + 4min;
  report.generation = 12;
  report.recipients = 1234567;
  report.pinned = 10;
  report.pending = StatusReport::Pending{3, 1, 0};
  report.last =
      store::Generation{12, noon - 3h, store::Cause::rollback, 0, 1, 0, 1234567, sha256("table")};
  report.held = store::Hold{sha256("hold"),
                            noon - 2h,
                            0,
                            15,
                            "15 of 20 recipients of example.com would go, that is more than "
                            "guard.max_removal_percent: 5; canary boss@example.com would go",
                            3};
  report.refused.push_back({sha256("refusal"), noon - 26h, "alice", 12});
  report.in_grace = {2, noon + 90min};
  Order order;
  order.kind = Order::Kind::approve;
  order.by = "bob";
  order.given = noon - 3s;
  order.digest = sha256("hold");
  report.orders.push_back(order);
  StatusReport::Source corp;
  corp.name = "corp";
  corp.type = "active-directory";
  corp.objects = 1000000;
  corp.recipients = 2100000;
  corp.runtime.mode = "incremental";
  corp.runtime.server = "ldaps://dc1.corp.example.com";
  corp.runtime.last_success = noon - 5min;
  corp.runtime.last_full = noon - 3h;
  corp.runtime.watch = "connected";
  corp.runtime.reading = noon - 12s;
  corp.runtime.so_far = 412000;
  report.sources.push_back(corp);
  StatusReport::Target mx1;
  mx1.name = "mx1";
  mx1.state = sync::TargetState::pushing;
  mx1.push = PushProgress{noon - 8s, 12'000'000, 48'000'000};
  mx1.record.generation = 11;
  mx1.record.last_success = noon - 1h;
  report.targets.push_back(mx1);
  StatusReport::Target mx2;
  mx2.name = "a-gateway-with-a-rather-long-name-in-the-far-north";
  mx2.state = sync::TargetState::held;
  mx2.record.hold = store::Hold{sha256("first"), noon - 1h, 0, 5, "reason", 0};
  mx2.record.last_error = "first push: 5 of the 40 addresses that it accepts now would go: reason";
  report.targets.push_back(mx2);
  return report;
}

}  // namespace

TEST_CASE("a status says first what needs a person, and what to type") {
  CHECK(text(eventful()) ==
        fmt::format(
            "rcptsync {}, daemon running, next poll in 4m\n"
            "generation 12 of 2026-03-01T09:00:00Z: 1234567 recipients\n"
            "digest {}\n"
            "\n"
            "HELD since 2026-03-01T10:00:00Z: 15 removals, 3 by the configuration\n"
            "  {}\n"
            "  15 of 20 recipients of example.com would go, that is more than\n"
            "  guard.max_removal_percent: 5\n"
            "  canary boss@example.com would go\n"
            "  rcptsyncctl diff                    shows it\n"
            "  rcptsyncctl approve {}    lets these addresses go\n"
            "  rcptsyncctl reject {}     keeps them\n"
            "\n"
            "REFUSED by alice 1d 2h ago: 12 addresses stay\n"
            "  {}\n"
            "  rcptsyncctl approve {}    lets them go after all\n"
            "\n"
            "IN GRACE: 2 vanished addresses, the first of them goes in 1h 30m\n"
            "\n"
            "PINNED to generation 10 by a rollback; pending: 3 added, 1 removed, 0 changed\n"
            "  rcptsyncctl diff                    shows what is pending\n"
            "  rcptsyncctl resync                  returns to what the sources say\n"
            "\n"
            "ORDERS that wait for the daemon\n"
            "  approve {} by bob, 3s ago\n"
            "\n"
            "SOURCE  TYPE              OBJECTS  RECIPIENTS  LAST READ\n"
            "corp    active-directory  1000000     2100000  5m ago\n"
            "  incremental read, from ldaps://dc1.corp.example.com, full read 3h 0m ago,\n"
            "  tells of changes\n"
            "  being read for 12s: 412000 objects so far, 41 % of the last read\n"
            "\n"
            "TARGET  STATE    GENERATION  LAST SUCCESS  NEXT ATTEMPT\n"
            "mx1     pushing          11  1h 0m ago     -\n"
            "  pushing for 8s: 12.0 MB of 48.0 MB, 25 %\n"
            "a-gateway-with-a-rather-long-name-in-the-far-north\n"
            "        held              0  never         -\n"
            "  first push: 5 of the 40 addresses that it accepts now would go: reason\n"
            "  {}\n"
            "  rcptsyncctl diff --target a-gateway-with-a-rather-long-name-in-the-far-north\n"
            "                                      shows what it would lose\n"
            "  rcptsyncctl approve {}    lets it go there\n",
            RCPTSYNC_VERSION, sha256("table").hex(), sha256("hold").hex(), sha256("hold").brief(),
            sha256("hold").brief(), sha256("refusal").hex(), sha256("refusal").brief(),
            sha256("hold").brief(), sha256("first").hex(), sha256("first").brief()));
}

TEST_CASE("a status with long names and great numbers fits") {
  auto report = eventful();
  report.pending = StatusReport::Pending{1234567, 1234567, 1234567};
  report.generation = report.pinned = 1234567;
  report.refused[0].by = "an.administrator.of.the.mail.gateways@corp.example.com";
  report.refused[0].count = 1234567;
  CHECK(text(report).find("rollback; pending: 1234567 added, 1234567\n"
                          "removed, 1234567 changed\n") != std::string::npos);
}

TEST_CASE("a quiet status is short") {
  StatusReport report;
  report.now = noon;
  CHECK(text(report) == fmt::format("rcptsync {}, daemon not running\n"
                                    "no table yet\n"
                                    "\n"
                                    "SOURCE  TYPE  OBJECTS  RECIPIENTS  LAST READ\n"
                                    "\n"
                                    "TARGET  STATE  GENERATION  LAST SUCCESS  NEXT ATTEMPT\n",
                                    RCPTSYNC_VERSION));
}

TEST_CASE("the keys of a status stay, and new ones stand beside them") {
  const auto status = document(eventful());
  const auto keys = [](const json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    return names;
  };
  using Keys = std::vector<std::string>;
  CHECK(keys(status["held"]) == Keys{"added", "digest", "reason", "removed", "since"});
  CHECK(keys(status["targets"][0]) == Keys{"attempts", "digest", "generation", "last_error",
                                           "last_success", "name", "next_attempt", "state"});
  for (const auto* key : {"version", "generation", "recipients", "digest", "next_poll", "pinned",
                          "held", "sources", "targets"})
    CHECK(status.contains(key));
  CHECK(status["held_by_configuration"] == 3);
  CHECK(status["refused"] == json::array({{{"digest", sha256("refusal").hex()},
                                           {"time", "2026-02-28T10:00:00Z"},
                                           {"by", "alice"},
                                           {"count", 12}}}));
  CHECK(status["in_grace"] == 2);
  CHECK(status["next_grace_end"] == "2026-03-01T13:30:00Z");
  CHECK(status["pending"] == json{{"added", 3}, {"removed", 1}, {"changed", 0}});
  CHECK(status["orders"][0] ==
        json{{"kind", "approve"}, {"by", "bob"}, {"given", "2026-03-01T11:59:57Z"}});
  CHECK(status["reading"][0] == json{{"source", "corp"},
                                     {"since", "2026-03-01T11:59:48Z"},
                                     {"objects", 412000},
                                     {"objects_before", 1000000}});
  CHECK(status["pushing"][0]["sent"] == 12'000'000);
  CHECK(status["first_tables_held"][0]["removed"] == 5);
  CHECK(document({})["pending"] == nullptr);
}
