"""Doorbells: a change in the directory is in force at once, long before the schedule would ask."""

import re
import shutil
import signal
import statistics
import tempfile
import time
import unittest
from pathlib import Path

from company import Company
from daemon import Daemon, ldap_source
from gate import Gate
from told import Told
from whole_system import PROGRAMS

PATIENCE = 60


class Doorbell(unittest.TestCase):
    """A daemon that polls once an hour."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-doorbell-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.company = Company(self.folder / "directory").open(20)
        self.addCleanup(self.company.stop)
        self.daemon = Daemon(self.folder, PROGRAMS, [ldap_source(self.company)], [],
                             schedule={"poll": "1h", "jitter": "0%"})
        self.addCleanup(lambda: self.daemon.process and self.daemon.kill())
        self.daemon.start()
        self.wait_watch("connected")

    def wait_watch(self, state):
        self.daemon.wait(lambda status: status["sources"][0]["watch"] == state, PATIENCE, f"watch {state}")

    def wait_table(self):
        """Until the table in force is that of the directory; the seconds it took."""
        began = time.monotonic()
        self.daemon.wait(lambda _: self.daemon.table().encode() == self.company.table(), PATIENCE, "the table")
        return time.monotonic() - began

    def test_a_change_is_in_force_without_a_poll(self):
        next_poll = self.daemon.wait(lambda status: status["next_poll"], PATIENCE)
        for name in ("ada", "bob", "cyd"):
            self.company.hire(name)
            self.wait_table()
        source = self.daemon.status()["sources"][0]
        self.assertEqual(source["mode"], "incremental")
        self.assertRegex(self.daemon.text(), r"generation \d+ is in force: .* \(notification\)")
        self.assertEqual(self.daemon.status()["next_poll"], next_poll)  # rings do not move the schedule

    def test_many_changes_are_few_cycles(self):
        at = len(self.daemon.text())
        began = time.monotonic()
        for number in range(40):
            self.company.hire(f"many{number:02}")
        self.wait_table()
        took = time.monotonic() - began
        cycles = len(re.findall(r"event=poll-(?:un)?changed", self.daemon.text()[at:]))
        self.assertGreaterEqual(cycles, 1)
        self.assertLessEqual(cycles, took + 3)  # the first at once, then at most one each second

    def test_the_directory_goes_away_and_comes_back(self):
        self.company.kill()
        self.wait_watch("lost")
        at = len(self.daemon.text())
        self.daemon.signal(signal.SIGUSR1)
        self.daemon.wait_line("event=poll-failed", PATIENCE, after=at)
        self.company.start()
        self.company.hire("ada")
        self.wait_watch("connected")
        self.wait_table()  # what was missed meanwhile
        self.company.hire("bob")
        self.wait_table()
        lines = self.daemon.text().splitlines()
        self.assertEqual(len([line for line in lines if " does not tell of changes, " in line]), 1)
        self.assertEqual(len([line for line in lines if " tells of changes again" in line]), 1)
        self.daemon.signal(signal.SIGUSR1)
        self.daemon.wait_line("nothing changed", PATIENCE)

    def test_stop_and_reload_end_the_watch(self):
        self.daemon.settings["sources"][0]["incremental"] = "off"
        self.daemon.write()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_line("event=reloaded", PATIENCE)
        self.wait_watch(None)
        self.daemon.settings["sources"][0]["incremental"] = "auto"
        self.daemon.write()
        self.daemon.signal(signal.SIGHUP)
        self.wait_watch("connected")
        self.company.hire("ada")
        self.wait_table()
        self.daemon.stop()
        self.assertEqual(self.daemon.code, 0)

    def test_a_reload_does_not_wait_for_a_directory_that_hangs(self):
        self.daemon.settings["sources"][0].update(read_timeout="1h", connect_timeout="1h")
        self.daemon.write()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_line("event=reloaded", PATIENCE)
        self.wait_watch("connected")
        self.company.pause()
        at = len(self.daemon.text())
        self.daemon.signal(signal.SIGUSR1)
        # The read hangs for an hour now. A second directory that answers takes its place.
        other = Company(self.folder / "other").open(5)
        self.addCleanup(other.stop)
        self.daemon.settings["sources"] = [ldap_source(other)]
        self.daemon.write()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_line("event=reloaded", PATIENCE, after=at)
        self.daemon.wait(lambda status: status["sources"][0]["objects"] == 5, PATIENCE, "the other directory")
        self.assertNotIn("event=poll-failed", self.daemon.text()[at:])


class HowSoon(unittest.TestCase):
    def test_the_daemon_asks_as_soon_as_a_plain_client_is_told(self):
        """Beside ldapsearch with the same doorbell, because seconds alone are those of a busy machine."""
        folder = Path(tempfile.mkdtemp(prefix="rcptsync-doorbell-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        company = Company(folder / "directory").open(20)
        self.addCleanup(company.stop)
        gate = Gate(company.ldaps_port)
        self.addCleanup(gate.close)
        daemon = Daemon(folder, PROGRAMS, [ldap_source(company, servers=[f"ldaps://127.0.0.1:{gate.port}"])], [],
                        schedule={"poll": "1h", "jitter": "0%"})
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        daemon.wait(lambda status: status["sources"][0]["watch"] == "connected", PATIENCE, "the doorbell")
        client = Told(company)
        self.addCleanup(client.close)
        client.wait_ready(lambda: company.hire("first"), "cn=first,")
        known, told = [], []
        for number in range(7):
            daemon.wait(lambda _: daemon.table().encode() == company.table(), PATIENCE, "the table")
            time.sleep(1.2)  # rings start at most one cycle each second: that is not what is measured
            connections = len(gate.accepted)
            began = time.monotonic()
            company.hire(f"hasty{number}")
            known.append(gate.wait_accepted(connections + 1, PATIENCE) - began)
            told.append(client.wait(f"cn=hasty{number},", PATIENCE) - began)
        print("seconds from a change until the daemon asks what it was, and until ldapsearch is told:",
              *(f"{ours:.3f}/{theirs:.3f}" for ours, theirs in zip(known, told)))
        self.assertLess(statistics.median(known), statistics.median(told) + 1)


if __name__ == "__main__":
    unittest.main()
