// The metrics are what Prometheus reads, whatever the names.
#include "service/metrics.hpp"

#include <map>
#include <set>
#include <sstream>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::service;

namespace {

const WallTime noon = parse_rfc3339("2026-03-01T12:00:00Z").value();

StatusReport a_report() {
  StatusReport report;
  report.now = noon;
  report.generation = 7;
  report.recipients = 1000;
  report.sources.push_back({"corp", "active-directory", {}, 900, 1000, false});
  report.sources[0].runtime.complete = true;
  report.sources[0].runtime.last_success = noon;
  report.targets.push_back({"mx1", "mx1.example.net", sync::TargetState::failing, {}});
  report.targets[0].record.generation = 6;
  report.targets[0].record.attempts = 4;
  return report;
}

std::map<std::string, std::string> samples(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const auto end = line.rfind(' ');
    REQUIRE(end != std::string::npos);
    CHECK(found.emplace(line.substr(0, end), line.substr(end + 1)).second);
  }
  return found;
}

}  // namespace

TEST_CASE("every figure is there, with its labels") {
  auto report = a_report();
  report.held = store::Hold{};
  report.held->removed = 12;
  AlertMemory memory;
  memory.failing["corp"].polls = 2;
  const auto found = samples(metrics_text(report, memory, noon));
  CHECK(found.at("rcptsync_build_info{version=\"" RCPTSYNC_VERSION "\"}") == "1");
  CHECK(found.at("rcptsync_start_time_seconds") == "1772366400");
  CHECK(found.at("rcptsync_written_time_seconds") == "1772366400");
  CHECK(found.at("rcptsync_generation") == "7");
  CHECK(found.at("rcptsync_recipients") == "1000");
  CHECK(found.at("rcptsync_held") == "1");
  CHECK(found.at("rcptsync_held_removals") == "12");
  CHECK(found.at("rcptsync_source_up{source=\"corp\"}") == "1");
  CHECK(found.at("rcptsync_source_objects{source=\"corp\"}") == "900");
  CHECK(found.at("rcptsync_source_failed_polls{source=\"corp\"}") == "2");
  CHECK(found.at("rcptsync_source_last_success_time_seconds{source=\"corp\"}") == "1772366400");
  CHECK(found.at("rcptsync_target_state{target=\"mx1\",state=\"failing\"}") == "1");
  CHECK(found.at("rcptsync_target_state{target=\"mx1\",state=\"current\"}") == "0");
  CHECK(found.at("rcptsync_target_generation{target=\"mx1\"}") == "6");
  CHECK(found.at("rcptsync_target_failed_pushes{target=\"mx1\"}") == "4");
  CHECK(found.at("rcptsync_target_last_success_time_seconds{target=\"mx1\"}") == "0");
}

TEST_CASE("each family has one head, before its samples") {
  const auto text = metrics_text(a_report(), {}, noon);
  CHECK(text.ends_with('\n'));
  std::set<std::string> helps, types;
  std::string family;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, second, third;
    words >> first >> second >> third;
    if (second == "HELP") {
      CHECK(helps.insert(third).second);
      family = third;
    } else if (second == "TYPE") {
      CHECK(types.insert(third).second);
      CHECK(third == family);
    } else {
      CHECK(first.substr(0, first.find('{')) == family);
    }
  }
  CHECK(helps == types);
}

TEST_CASE("a label cannot end its line") {
  auto report = a_report();
  report.sources[0].name = "a\"} 1\nb\\";
  const auto found = samples(metrics_text(report, {}, noon));
  CHECK(found.contains("rcptsync_source_up{source=\"a\\\"} 1\\nb\\\\\"}"));
}
