"""The daemon, from the directory to what Postfix answers, with real slapd, sshd and Postfix."""

import fcntl
import os
import re
import signal
import time
import unittest
from pathlib import Path

from company import postfix_table
from whole_system import PEOPLE, WholeSystem

STDERR_LINE = re.compile(r"^(error|warning|notice|info|debug): [^\x00-\x1f\x7f]+$")


class Changes(WholeSystem):
    """What happens by itself."""

    def test_a_change_in_the_directory_reaches_both_gateways(self):
        daemon = self.daemon(schedule={"poll": "1s", "jitter": "0%"})
        generation = daemon.wait_current()
        self.assert_answers("ada@example.com", 550)

        self.company.hire("ada")
        daemon.wait(lambda status: status["generation"] > generation)
        daemon.wait_current()
        self.assert_answers("ada@example.com", 250)
        self.assert_answers("Ada@EXAMPLE.COM", 250)
        self.assert_answers("person007@example.com", 250)
        self.assert_tables(self.company.table())

        self.company.leave("ada")
        daemon.wait(lambda status: status["generation"] > generation + 1)
        daemon.wait_current()
        self.assert_answers("ada@example.com", 550)
        self.assert_tables(self.company.table())

    def test_an_unchanged_poll_writes_and_sends_nothing(self):
        daemon = self.daemon()
        daemon.wait_current()
        data = daemon.state / "data.mdb"

        def seen():
            status = data.stat()
            return status.st_mtime_ns, status.st_size, status.st_ino, data.read_bytes()

        self.poll(daemon)
        before, sessions = seen(), [gateway.sessions_served() for gateway in self.gateways.values()]
        last = daemon.status()["sources"][0]["last_success"]
        for _ in range(3):
            self.poll(daemon)
        self.assertEqual(seen(), before)
        self.assertEqual([gateway.sessions_served() for gateway in self.gateways.values()], sessions)
        # It did read: the time of the read stands outside of data.mdb.
        self.assertGreaterEqual(daemon.status()["sources"][0]["last_success"], last)

    def test_a_restart_sends_nothing_to_a_target_that_is_current(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2")
        daemon.wait_current()
        daemon.stop()
        inodes = [gateway.path.stat().st_ino for gateway in self.gateways.values()]
        at = len(daemon.text())
        daemon.start()
        daemon.wait_line("nothing changed", after=at)
        daemon.wait_current()
        self.assertEqual([gateway.path.stat().st_ino for gateway in self.gateways.values()], inodes)
        self.assertNotIn(" serves generation", daemon.text()[at:])

    def test_a_restart_with_other_domains_for_a_target_gives_it_another_table(self):
        self.company.hire("ada", domain="example.net")
        self.mx2.install(b"")
        narrow = [self.mx1.target(), self.mx2.target(domains=["example.net"])]
        daemon = self.daemon(targets=narrow)
        daemon.wait_current()
        self.assertNotIn(b"@example.com", self.mx2.table())
        daemon.stop()
        del narrow[1]["domains"]
        daemon.write()
        daemon.start()
        daemon.wait_current()
        self.assert_tables(self.company.table())

    def test_no_value_of_the_directory_adds_a_line_a_wildcard_or_a_domain(self):
        self.company.add_raw(
            "mallory", b"smtp:x@example.com\n*\tOK", b"smtp:x@example.com\nintruder@example.com",
            b"smtp:a\x00b@example.com", b"smtp:*", b"smtp:@example.com", b"smtp:@",
            b"smtp:intruder@evil.example", b"smtp:intruder@example.com OK", b"smtp:intruder@example.com\t550",
            b"smtp:/intruder/@example.com\r\nintruder@example.com", b"smtp:#intruder@example.com",
            b"smtp:intruder@example.com,other@example.com", b"smtp:in truder@example.com",
            b"smtp:<intruder@example.com>", b"smtp:intruder@[127.0.0.1]", b"smtp:$(touch /tmp/x)@example.com;id",
            b"smtp:intruder@example.com\x1b[2J")
        self.company.hire("brien", addresses=["o'brien+tag@example.com"])
        daemon = self.daemon()
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_answers("o'brien+tag@example.com", 250)
        for address in ("intruder@example.com", "other@example.com", "x@example.com", "nobody@example.com",
                        '"#intruder"@example.com'):
            self.assert_answers(address, 550)
        # Each is named with its place, and nothing of it reaches a terminal as it is.
        named = [line for line in daemon.text().splitlines() if " is no recipient: " in line]
        self.assertEqual(len(named), 15)
        for line in named:
            self.assertTrue(line.startswith(f"notice: {self.company.dn('mallory')} proxyAddresses: "), line)
        self.assertIn("#intruder@example.com cannot stand in a table of format postfix", daemon.text())
        for line in daemon.text().splitlines():
            self.assertRegex(line, STDERR_LINE)

    def test_stderr_has_one_line_for_each_event_with_its_fields(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2")
        daemon.wait_line("mx2 serves generation 2")
        daemon.stop()
        text = daemon.text()
        for line in text.splitlines():
            self.assertRegex(line, STDERR_LINE)
        digest = "[0-9a-f]{64}"
        for expected in (
                r"^notice: rcptsyncd \S+ started with 1 source and 2 targets event=started$",
                rf"^notice: generation 2 is in force: {PEOPLE + 1} recipients, 1 added, 0 removed \(\S+\) "
                rf"event=committed generation=2 added=1 removed=0 total={PEOPLE + 1} digest={digest} duration_usec=\d+$",
                rf"^info: mx1 serves generation 2 with {PEOPLE + 1} entries \(lmdb, \d+ bytes sent\) "
                rf"event=push-done target=mx1 generation=2 total={PEOPLE + 1} digest={digest} duration_usec=\d+$",
                rf"^info: mx2 serves generation 2 with {PEOPLE + 1} entries \(cdb, ",
                r"^notice: stopping event=stopping$"):
            self.assertRegex(text, re.compile(expected, re.MULTILINE))
        self.assertNotIn(self.company.reader_password, text)

    def test_a_table_edited_by_hand_is_called_drifted_and_mended(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.mx1.install(self.company.table() + b"smuggled@example.com\tOK\n")
        self.assert_answers("smuggled@example.com", 250, "mx1")
        self.company.hire("ada")
        self.poll(daemon, "mx1 held a table that was not pushed from here")
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_answers("smuggled@example.com", 550)
        self.assertNotIn("mx2 held a table", daemon.text())

    def test_a_first_push_that_would_empty_a_gateway_is_held(self):
        locals_only = [f"local{number}@example.com" for number in range(30)]
        larger = postfix_table(*self.company.addresses(), *locals_only)
        self.mx1.install(larger)
        daemon = self.daemon()
        status = daemon.wait(lambda status: {t["name"]: t["state"] for t in status["targets"]} ==
                             {"mx1": "held", "mx2": "current"} and status)
        self.assertIn("first push: 30 of the 90 addresses", daemon.target("mx1")["last_error"])
        self.assertEqual(daemon.ctl("status").returncode, 3)
        self.assertEqual(self.mx1.table(), larger)
        self.assert_answers("local7@example.com", 250, "mx1")
        line = daemon.wait_line("mx1 keeps its table: first push: 30 of the 90 addresses")
        self.assertTrue(line.startswith("warning: "), line)
        # Neither a new generation nor a restart lets it through or tells of it again, and the other target goes on.
        self.company.hire("ada")
        self.poll(daemon, "mx2 serves generation 2")
        daemon.wait(lambda status: status["targets"][0]["state"] == "held")
        daemon.stop()
        at = len(daemon.text())
        daemon.start()
        daemon.wait_line("pushing to mx1", after=at)
        daemon.wait(lambda status: status["targets"][0]["state"] == "held" and
                    status["targets"][1]["state"] == "current")
        self.assertEqual(self.mx1.table(), larger)
        self.assertIsNone(status["held"])
        self.assertEqual(daemon.text().count("mx1 keeps its table"), 1)
        # A target that is held and does not answer is failing, until it answers again.
        self.mx1.sshd.stop()
        self.company.hire("bob")
        self.poll(daemon, "push to mx1 failed")
        daemon.wait(lambda status: status["targets"][0]["state"] == "failing")
        daemon.wait(lambda status: status["targets"][1]["state"] == "current")
        self.assertEqual(daemon.ctl("status").returncode, 1)
        self.mx1.sshd.start()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: status["targets"][0]["state"] == "held")
        self.assertEqual(daemon.text().count("mx1 keeps its table"), 1)

    def test_reject_texts_and_wildcards_reach_the_access_table_and_go_again(self):
        static = ["@partner.example", "person001@example.com 550 5.1.1 Has left the company"]
        daemon = self.daemon(recipients={"domains": ["example.com"], "static": static})
        daemon.wait_current()
        expected = [a for a in self.company.addresses() if a != "person001@example.com"] + ["@partner.example"]
        self.assert_tables(postfix_table(*expected))
        for gateway in self.gateways.values():
            self.assertEqual(gateway.access_table(), b"person001@example.com\t550 5.1.1 Has left the company\n")
            code, text = gateway.answer("person001@example.com")
            self.assertEqual(code, 550)
            self.assertIn("5.1.1", text)
            self.assertIn("Has left the company", text)
        self.assert_answers("anybody@partner.example", 250)
        self.assert_answers("person002@example.com", 250)

        daemon.settings["recipients"]["static"] = []
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: status["generation"] == 2)
        daemon.wait_current()
        self.assert_tables(self.company.table())
        for gateway in self.gateways.values():
            self.assertEqual(gateway.access_table(), b"")
        self.assert_answers("person001@example.com", 250)
        self.assert_answers("anybody@partner.example", 550)


class Signals(WholeSystem):
    def test_sigusr1_polls_at_once(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.company.hire("ada")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        self.assert_answers("ada@example.com", 250)

    def test_what_is_asked_while_it_starts_waits(self):
        daemon = self.daemon()
        daemon.wait_current()
        daemon.stop()
        # A reader without lock.mdb makes the owner wait in the middle of its start.
        (daemon.state / "lock.mdb").unlink()
        reader = os.open(daemon.state, os.O_RDONLY)
        fcntl.flock(reader, fcntl.LOCK_SH)
        daemon.start()
        lock = f":{(daemon.state / 'daemon.lock').stat().st_ino} "
        while lock not in Path("/proc/locks").read_text():
            self.assertIsNone(daemon.process.poll(), daemon.tail())
        daemon.signal(signal.SIGUSR1)
        daemon.signal(signal.SIGHUP)
        os.close(reader)
        daemon.wait_line("configuration read again")
        daemon.wait_line("mx2 serves generation 1 ")
        daemon.wait_current()

    def test_a_cron_schedule(self):
        daemon = self.daemon(schedule={"poll": "*/10 * * * *"})
        daemon.wait_current()
        next_poll = daemon.wait(lambda status: status["next_poll"])
        self.assertRegex(next_poll, r"^\d{4}-\d\d-\d\dT\d\d:\d0:\d\d(\.\d+)?Z$")

    def test_sighup_pushes_to_every_target_even_if_nothing_changed(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.poll(daemon)
        inodes = {name: gateway.path.stat().st_ino for name, gateway in self.gateways.items()}
        daemon.signal(signal.SIGHUP)
        for name in self.gateways:
            daemon.wait_line(f"{name} serves generation 1 ")
        daemon.wait_current()
        for name, gateway in self.gateways.items():
            self.assertNotEqual(gateway.path.stat().st_ino, inodes[name])
        self.assert_tables(self.company.table())
        self.assert_answers("person001@example.com", 250)

    def test_sighup_takes_a_new_configuration(self):
        daemon = self.daemon()
        daemon.wait_current()
        daemon.settings["recipients"] |= {"always": ["postmaster"], "exclude": ["person003@example.com"]}
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: status["generation"] == 2)
        daemon.wait_current()
        self.assert_answers("postmaster@example.com", 250)
        self.assert_answers("person003@example.com", 550)

    def test_sighup_refuses_a_faulty_configuration_and_the_old_one_stays(self):
        daemon = self.daemon()
        daemon.wait_current()
        good = daemon.file.read_text()
        daemon.settings["recipients"]["domians"] = ["example.com"]
        daemon.settings["targets"] = daemon.settings["targets"][:1]
        daemon.write()
        lines = daemon.file.read_text().splitlines()
        number = next(number for number, line in enumerate(lines, 1) if "domians" in line)
        daemon.signal(signal.SIGHUP)
        line = daemon.wait_line("the old configuration stays")
        self.assertTrue(line.startswith("error: "), line)
        self.assertIn(f"{daemon.file}:{number}: ", line)
        self.assertIn("domians", line)
        # The resync happens all the same, with the configuration that is in force.
        daemon.wait_line("mx2 serves generation 1 ")
        self.company.hire("ada")
        self.poll(daemon, "mx2 serves generation 2 ")
        daemon.file.write_text(good)
        daemon.wait_current()
        self.assert_tables(self.company.table())

    def test_a_target_that_is_not_enabled_is_left_alone(self):
        daemon = self.daemon(targets=[self.mx1.target(), self.mx2.target(enabled=False)])
        daemon.wait(lambda status: [target["state"] for target in status["targets"]] == ["current", "disabled"])
        sessions = self.mx2.sessions_served()
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2 ")
        self.assertEqual(self.mx2.sessions_served(), sessions)
        daemon.settings["targets"][1]["enabled"] = True
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait_current()
        self.assert_tables(self.company.table())

    def test_a_target_for_whose_domains_there_is_nobody_keeps_its_table(self):
        table = self.mx2.table()
        daemon = self.daemon(targets=[self.mx1.target(), self.mx2.target(domains=["example.net"])])
        daemon.wait_line("push to mx2 failed, it keeps its table: its table would be empty")
        daemon.wait(lambda status: [target["state"] for target in status["targets"]] == ["current", "failing"])
        self.assertEqual(self.mx2.table(), table)

    def test_sighup_adds_changes_and_removes_a_target(self):
        targets = [gateway.target() for gateway in self.gateways.values()]
        daemon = self.daemon(targets=targets[:1])
        daemon.wait_current()
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2 ")
        self.assertNotIn(b"ada@", self.mx2.table())

        daemon.settings["targets"] = targets
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: len(status["targets"]) == 2)
        daemon.wait_line("mx2 serves generation 2 ")
        daemon.wait_current()
        self.assert_tables(self.company.table())

        other = self.mx2.tables / "other_name"
        targets[1]["path"] = str(other)
        daemon.write()
        at = len(daemon.text())
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("mx2 serves generation 2 ", after=at)
        daemon.wait_current()
        self.assertEqual(other.read_bytes(), self.company.table())
        for file in self.mx2.tables.glob("other_name*"):
            file.unlink()

        daemon.settings["targets"] = targets[:1]
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: [target["name"] for target in status["targets"]] == ["mx1"])
        daemon.wait_line("1 source, 1 target")
        sessions = self.mx2.sessions_served()
        self.company.hire("bob")
        self.poll(daemon, "mx1 serves generation 3 ")
        self.assertEqual(self.mx2.sessions_served(), sessions)


class Targets(WholeSystem):
    """One target in trouble is nobody else's."""

    def targets(self, timeout="3s"):
        return [gateway.target(timeout=timeout) for gateway in self.gateways.values()]

    def test_a_target_that_hangs_delays_nobody_and_catches_up(self):
        daemon = self.daemon(targets=self.targets(), schedule={"poll": "1s", "jitter": "0%"})
        generation = daemon.wait_current()
        self.mx2.sshd.pause()
        for name in ("ada", "bob", "cyd"):
            began = time.monotonic()
            self.company.hire(name)
            generation = daemon.wait(
                lambda status: status["generation"] > generation and status["targets"][0]["state"] == "current" and
                status["targets"][0]["generation"] == status["generation"] and status["generation"], what="mx1 current")
            self.assert_answers(f"{name}@example.com", 250, "mx1")
            self.assertLess(time.monotonic() - began, 20)
        self.assert_answers("ada@example.com", 550, "mx2")
        failing = daemon.wait(lambda status: status["targets"][1]["state"] == "failing" and status["targets"][1])
        self.assertIn("mx2", failing["name"])
        self.assertRegex(failing["last_error"], r"127\.0\.0\.1: .*\(3 s\)")
        self.mx2.sshd.resume()
        daemon.wait_current(60)
        self.assert_tables(self.company.table())
        self.assert_answers("cyd@example.com", 250)

    def test_backoff_is_seen_survives_a_restart_and_ends_with_a_new_generation(self):
        daemon = self.daemon(targets=self.targets())
        daemon.wait_current()
        self.mx2.sshd.stop()
        self.company.hire("ada")
        self.poll(daemon, "push to mx2 failed, it keeps its table")

        def failing(attempts):
            return daemon.wait(lambda status: status["targets"][1]["state"] == "failing" and
                               status["targets"][1]["attempts"] >= attempts and status["targets"][1])

        first = failing(1)
        self.assertIsNotNone(first["next_attempt"])
        self.assertIn("refused", first["last_error"])
        for _ in range(2):
            before = failing(1)["attempts"]
            daemon.stop()
            self.assertEqual(daemon.target("mx2")["attempts"], before)
            daemon.start()
            failing(before + 1)
        self.assertIn("mx2", daemon.ctl("status").stdout)
        self.assertEqual(daemon.ctl("status").returncode, 1)

        self.company.hire("bob")
        self.poll(daemon, "generation 3 is in force")
        daemon.wait(lambda status: status["targets"][1]["state"] == "failing" and status["targets"][1]["attempts"] == 1)
        daemon.wait_line("mx1 serves generation 3 ")
        self.assert_tables(self.company.table(), "mx1")
        self.mx2.sshd.start()
        daemon.wait_current()
        self.assertEqual(daemon.target("mx2")["attempts"], 0)
        self.assertIsNone(daemon.target("mx2")["last_error"])
        daemon.wait_line("mx2 is current at generation 3")
        self.assert_tables(self.company.table())


if __name__ == "__main__":
    unittest.main()
