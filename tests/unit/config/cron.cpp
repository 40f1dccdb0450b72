#include "config/cron.hpp"

#include <fmt/format.h>

#include <string>

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::config;

namespace {

template <std::size_t N>
std::string members(const std::bitset<N>& set) {
  std::string out;
  for (std::size_t i = 0; i < N; ++i)
    if (set[i]) out += (out.empty() ? "" : " ") + std::to_string(i);
  return out;
}

std::string fault(std::string_view text) {
  const auto cron = parse_cron(text);
  REQUIRE_FALSE(cron);
  CHECK(cron.error().code == Errc::invalid);
  return cron.error().message;
}

}  // namespace

TEST_CASE("cron: the contract's example") {
  const auto cron = parse_cron("*/10 7-19 * * mon-fri");
  REQUIRE(cron);
  CHECK(cron->text == "*/10 7-19 * * mon-fri");
  CHECK(members(cron->minutes) == "0 10 20 30 40 50");
  CHECK(members(cron->hours) == "7 8 9 10 11 12 13 14 15 16 17 18 19");
  CHECK(cron->days.count() == 31);
  CHECK_FALSE(cron->days[0]);
  CHECK(cron->months.count() == 12);
  CHECK_FALSE(cron->months[0]);
  CHECK(members(cron->weekdays) == "1 2 3 4 5");
  CHECK_FALSE(cron->days_restricted);
  CHECK(cron->weekdays_restricted);
}

TEST_CASE("cron: lists, ranges, steps and names") {
  CHECK(members(parse_cron("5,1,3-9/3,59 * * * *")->minutes) == "1 3 5 6 9 59");
  CHECK(members(parse_cron("0 *,3 1 * *")->hours).size() > 50);
  CHECK(members(parse_cron("0 0 1-31/10 * *")->days) == "1 11 21 31");
  CHECK(members(parse_cron("0 0 1 JAN,Mar,oct-dec *")->months) == "1 3 10 11 12");
  CHECK(members(parse_cron("\t0   0\t1 2-12/5  * ")->months) == "2 7 12");
}

TEST_CASE("cron: Sunday is 0 and 7") {
  CHECK(members(parse_cron("0 0 * * 7")->weekdays) == "0");
  CHECK(members(parse_cron("0 0 * * 0")->weekdays) == "0");
  CHECK(members(parse_cron("0 0 * * 5-7")->weekdays) == "0 5 6");
  CHECK(members(parse_cron("0 0 * * fri-sun")->weekdays) == "0 5 6");
  CHECK(members(parse_cron("0 0 * * sun-tue")->weekdays) == "0 1 2");
  CHECK(members(parse_cron("0 0 * * */2")->weekdays) == "0 2 4 6");
  CHECK(members(parse_cron("0 0 * * *")->weekdays) == "0 1 2 3 4 5 6");
}

TEST_CASE("cron: a day field that begins with a star is not restricted") {
  CHECK_FALSE(parse_cron("0 0 */2 * mon")->days_restricted);
  CHECK(members(parse_cron("0 0 */10 * *")->days) == "1 11 21 31");
  CHECK(parse_cron("0 0 1-31 * *")->days_restricted);
  CHECK_FALSE(parse_cron("0 0 1 * */2")->weekdays_restricted);
  CHECK(parse_cron("0 0 1 * 0-7")->weekdays_restricted);
}

TEST_CASE("cron: a date that never comes is refused, one that comes rarely is not") {
  CHECK(parse_cron("0 0 29 2 *"));
  CHECK(parse_cron("0 0 31 1,2 *"));
  CHECK(parse_cron("0 0 31 2 mon"));  // either day field is enough
  CHECK(fault("0 0 31 2 *") == "cron fields day of month `31` and month `2`: no date has both");
  CHECK(fault("0 0 30-31 feb */2").find("no date has both") != std::string::npos);
  CHECK(fault("0 0 31 4,6,9,nov *").find("no date has both") != std::string::npos);
}

TEST_CASE("cron: what is wrong is named with its field") {
  CHECK(fault("60 * * * *") == "cron field minute `60`: is outside 0 to 59");
  CHECK(fault("* 24 * * *") == "cron field hour `24`: is outside 0 to 23");
  CHECK(fault("* * 0 * *") == "cron field day of month `0`: is outside 1 to 31");
  CHECK(fault("* * * 13 *") == "cron field month `13`: is outside 1 to 12");
  CHECK(fault("* * * * 8") == "cron field day of week `8`: is outside 0 to 7");
  CHECK(fault("5/10 * * * *") == "cron field minute `5/10`: a step needs a range; write 5-59/10");
  CHECK(fault("9-5 * * * *") ==
        "cron field minute `9-5`: ends before it begins; write two ranges with a comma");
  CHECK(fault("* * * foo *") == "cron field month `foo`: is neither a number nor a name");
}

TEST_CASE("cron: hostile and incomplete expressions are refused") {
  for (const std::string text : {"",
                                 " ",
                                 "*",
                                 "* * * *",
                                 "* * * * * *",
                                 "@hourly",
                                 "*/0 * * * *",
                                 "*/60 * * * *",
                                 "*/ * * * *",
                                 "-5 * * * *",
                                 "1- * * * *",
                                 "1,,2 * * * *",
                                 ",1 * * * *",
                                 "1, * * * *",
                                 "+1 * * * *",
                                 "1.5 * * * *",
                                 "0x5 * * * *",
                                 "99999999999999999999 * * * *",
                                 "? * * * *",
                                 "* * L * *",
                                 "* * * * 1#2",
                                 "mon * * * *",
                                 "* * * janu *",
                                 "1-2-3 * * * *",
                                 "** * * * *",
                                 "*/5/5 * * * *",
                                 "1 2 3 4 5\n"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_cron(text));
  }
  CHECK_FALSE(parse_cron(std::string(100'000, '*')));
  CHECK_FALSE(parse_cron(std::string("0 0 * * \0", 9)));
}
