// A command is split like systemd's ExecStart=, and never read by a shell.
#include "config/command_line.hpp"

#include "catch.hpp"

using rcptsync::config::split_command;
using Words = std::vector<std::string>;

TEST_CASE("a command is split at blanks outside of quotes") {
  CHECK(split_command("/bin/alert").value() == Words{"/bin/alert"});
  CHECK(split_command("  /bin/alert \t --to  me@example.com\n").value() ==
        Words{"/bin/alert", "--to", "me@example.com"});
  CHECK(split_command(R"(/bin/alert "two words" 'and "more"' pre"fix"ed)").value() ==
        Words{"/bin/alert", "two words", "and \"more\"", "prefixed"});
  CHECK(split_command("/bin/alert \"\" ''").value() == Words{"/bin/alert", "", ""});
  CHECK(split_command(R"("/opt/our tools/alert" a\ b \\ \" \')").value() ==
        Words{"/opt/our tools/alert", "a b", "\\", "\"", "'"});
}

TEST_CASE("nothing in a command is special to a shell") {
  CHECK(split_command("/bin/alert $HOME `id` $(id) *.txt | cat > /x; rm ~ && # %n").value() ==
        Words{"/bin/alert", "$HOME", "`id`", "$(id)", "*.txt", "|", "cat", ">", "/x;", "rm", "~",
              "&&", "#", "%n"});
}

TEST_CASE("no command is no words") {
  CHECK(split_command("").value().empty());
  CHECK(split_command(" \t\n").value().empty());
}

TEST_CASE("a command that cannot be meant is refused with what to write") {
  const auto why = [](std::string_view text) { return split_command(text).error().message; };
  CHECK(why("mail root") ==
        "must begin with the absolute path of a program, not mail; a line for the shell is written "
        "/bin/sh -c \"…\"");
  CHECK(why("-/bin/alert").find("not -/bin/alert") != std::string::npos);
  CHECK(why("\"\" /bin/alert").find("absolute path") != std::string::npos);
  CHECK(why("/bin/alert 'open") == "has a ' that is not closed");
  CHECK(why("/bin/alert \"open'") == "has a \" that is not closed");
  CHECK(why("/bin/alert \\n") == "has a backslash before n; write \\\\ for a backslash");
  CHECK(why("/bin/alert \\") == "has a backslash before the end; write \\\\ for a backslash");
}
