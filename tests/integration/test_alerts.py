"""Alerts to a program of the administrator's, and the metrics file, from the running daemon. The program is a real one;
the sources are files, the target is a real sshd."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import time
import unittest
from pathlib import Path

from daemon import Daemon, scp_target
from sshd import Sshd
from whole_system import PROGRAMS

KEYS = ["version", "event", "condition", "state", "time", "since", "host", "summary", "text", "details"]
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
DETAILS = {  # what docs/ALERTS.md promises
    "change-held": ["digest", "removed", "recipients", "reason"],
    "source-failing": ["source", "type", "polls", "last_success", "error"],
    "target-behind": ["target", "host", "generation", "wanted", "attempts", "last_success", "error"],
    "target-drifted": ["target", "host", "mended"],
    "change-approved": ["digest", "removed"],
    "rolled-back": ["generation"],
}


def people(count):
    return "".join(f"person{number:03}@example.com\n" for number in range(count))


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Alerts(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-alerts-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.told_file = self.folder / "told"
        self.list = self.folder / "people.txt"
        self.write_list(40)
        self.script("cat >>told")

    def write_list(self, count):
        """A whole list, as if it had been there for a minute: nothing has to be waited for."""
        new = self.folder / "people.new"
        new.write_text(people(count))
        os.utime(new, (time.time() - 60, time.time() - 60))
        new.rename(self.list)

    def script(self, body):
        program = self.folder / "alert"
        program.write_text(f"#!/bin/sh\ncd {self.folder}\n{body}\n")
        program.chmod(0o755)

    def daemon(self, targets=(), **notify):
        daemon = Daemon(self.folder / "daemon", PROGRAMS,
                        [{"name": "list", "type": "table", "path": str(self.list)}], list(targets),
                        recipients={"domains": ["example.com"]}, stop_timeout="4s",
                        notify={"command": str(self.folder / "alert"), **notify})
        self.addCleanup(lambda: daemon.process is None or daemon.kill())
        return daemon

    def told(self):
        text = self.told_file.read_text() if self.told_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def names(self):
        return [(alert["event"], alert["state"]) for alert in self.told()]

    def wait_told(self, *names, seconds=30):
        """Until exactly these were told, in this order."""
        deadline = time.monotonic() + seconds
        while self.names() != list(names):
            if time.monotonic() > deadline:
                self.fail(f"told: {self.names()}, not {list(names)}")
            time.sleep(0.05)
        for alert in self.told():
            self.check(alert)

    def check(self, alert):
        self.assertEqual(list(alert), KEYS)
        self.assertEqual(alert["version"], 1)
        self.assertIn(alert["state"], ("raised", "cleared"))
        self.assertTrue(alert["condition"].startswith(alert["event"]))
        self.assertRegex(alert["time"], RFC3339)
        self.assertRegex(alert["since"], RFC3339)
        self.assertLessEqual(alert["since"], alert["time"])
        self.assertEqual(alert["host"], socket.gethostname())
        self.assertTrue(0 < len(alert["summary"]) < 100, alert["summary"])
        self.assertEqual([c for c in alert["summary"] + alert["text"] if ord(c) < 32], [])
        self.assertEqual(list(alert["details"]), DETAILS.get(alert["event"], list(alert["details"])))

    def wait_polls(self, daemon, count):
        """So many polls later: a poll that changes nothing is one line at debug priority."""
        begin = daemon.text().count("event=poll-")
        deadline = time.monotonic() + 30
        while daemon.text().count("event=poll-") < begin + count:
            self.assertLess(time.monotonic(), deadline, daemon.tail())
            time.sleep(0.05)

    def test_held_removals_are_told_once_and_when_they_are_over(self):
        daemon = self.daemon().start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.write_list(20)
        self.wait_told(("change-held", "raised"))
        held = daemon.status()["held"]
        alert = self.told()[0]
        self.assertEqual(alert["condition"], f"change-held:{held['digest']}")
        self.assertEqual(alert["details"]["removed"], 20)
        self.assertEqual(alert["details"]["recipients"], 40)
        self.wait_polls(daemon, 3)
        daemon.stop()
        daemon.start()
        self.wait_polls(daemon, 2)
        daemon.kill()
        daemon.start()
        self.wait_polls(daemon, 2)
        self.assertEqual(len(self.told()), 1)
        self.write_list(40)
        self.wait_told(("change-held", "raised"), ("change-held", "cleared"))
        self.assertEqual(self.told()[1]["condition"], alert["condition"])
        self.assertEqual(self.told()[1]["details"], alert["details"])

    def test_a_lost_memory_repeats_once_what_holds(self):
        daemon = self.daemon().start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.write_list(20)
        self.wait_told(("change-held", "raised"))
        daemon.stop()
        (daemon.state / "alerts.json").unlink()
        for _ in range(2):
            daemon.start()
            self.wait_polls(daemon, 2)
            daemon.stop()
        self.assertEqual(len(self.told()), 2)

    def test_a_source_is_told_after_the_configured_number_of_polls(self):
        daemon = self.daemon(failing_polls=3).start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.list.rename(self.folder / "away")
        self.wait_told(("source-failing", "raised"))
        self.assertEqual(self.told()[0]["details"]["polls"], 3)
        self.assertIn("people.txt", self.told()[0]["details"]["error"])
        self.wait_polls(daemon, 2)
        (self.folder / "away").rename(self.list)
        self.wait_told(("source-failing", "raised"), ("source-failing", "cleared"))

    def test_a_target_is_told_after_its_time_and_again_when_it_is_current(self):
        server = self.enterContext(Sshd(self.folder / "sshd", host_keys=["ed25519"]).start())
        (self.folder / "target").mkdir()
        good = scp_target(server, "mx1", self.folder / "target" / "table", format="list")
        daemon = self.daemon([{**good, "port": closed_port()}], behind="2s").start()
        self.wait_told(("target-behind", "raised"))
        alert = self.told()[0]
        self.assertEqual((alert["details"]["target"], alert["details"]["generation"],
                          alert["details"]["wanted"]), ("mx1", 0, 1))
        self.assertTrue(alert["details"]["error"])
        daemon.settings["targets"] = [good]
        daemon.write()
        daemon.signal(signal.SIGHUP)
        self.wait_told(("target-behind", "raised"), ("target-behind", "cleared"))

    def test_drift_that_is_mended_is_told(self):
        server = self.enterContext(Sshd(self.folder / "sshd", host_keys=["ed25519"]).start())
        table = self.folder / "target" / "table"
        table.parent.mkdir()
        daemon = self.daemon([scp_target(server, "mx1", table, format="list")]).start()
        daemon.wait_current()
        daemon.wait_line("event=push-done")
        table.write_text("somebody@example.com\n")
        daemon.signal(signal.SIGHUP)
        self.wait_told(("target-drifted", "raised"))
        self.assertEqual(self.told()[0]["details"], {"target": "mx1", "host": "127.0.0.1", "mended": True})
        self.assertEqual(table.read_text(), people(40))

    def test_what_a_person_decides_is_told(self):
        daemon = self.daemon().start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.write_list(20)
        self.wait_told(("change-held", "raised"))
        digest = self.told()[0]["details"]["digest"]
        self.assertEqual(daemon.ctl("approve", digest).returncode, 0)
        approved = [("change-held", "raised"), ("change-held", "cleared"), ("change-approved", "raised")]
        self.wait_told(*approved)
        self.assertEqual(self.told()[2]["condition"], f"change-approved:{digest}")
        self.assertEqual(self.told()[2]["details"], {"digest": digest, "removed": 20})
        self.assertEqual(daemon.ctl("rollback", "1").returncode, 0)
        self.wait_told(*approved, ("rolled-back", "raised"))
        self.assertEqual(self.told()[3]["condition"], "rolled-back:1")

    def test_once_tells_before_it_ends(self):
        daemon = self.daemon()
        daemon.run("--once")
        self.write_list(20)
        self.assertEqual(daemon.run("--once").returncode, 3)
        self.assertEqual(self.names(), [("change-held", "raised")])
        self.assertEqual(daemon.run("--once").returncode, 3)
        self.assertEqual(len(self.told()), 1)

    def test_a_dry_run_tells_nobody(self):
        daemon = self.daemon()
        daemon.run("--once")
        self.write_list(20)
        daemon.run("--once", "--dry-run")
        self.assertEqual(self.told(), [])

    def test_a_program_that_hangs_stops_neither_polls_nor_the_daemon(self):
        self.script("trap '' TERM; touch started; while :; do sleep 60; done")
        daemon = self.daemon().start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.write_list(20)
        deadline = time.monotonic() + 30
        while not (self.folder / "started").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.wait_polls(daemon, 3)
        self.assertLess(daemon.stop(), 4)
        self.assertEqual(daemon.code, 0)
        # What it never heard to its end is told after the next start.
        self.script("cat >>told")
        daemon.start()
        self.wait_told(("change-held", "raised"))

    def test_what_the_program_says_and_how_it_fails_is_in_the_journal(self):
        self.script("echo cannot reach $RCPTSYNC_EVENT >&2; exit 7")
        daemon = self.daemon().start()
        daemon.wait(lambda status: status["recipients"] == 40)
        self.write_list(20)
        daemon.wait_line("notify.command says: cannot reach change-held")
        daemon.wait_line("notify.command: exit status 7; it is tried again: 20 removals are held")

    def test_check_names_a_program_that_cannot_be_run(self):
        daemon = self.daemon()
        self.assertEqual(daemon.run("--check").returncode, 0)
        (self.folder / "alert").chmod(0o644)
        done = daemon.run("--check")
        self.assertEqual(done.returncode, 78)
        self.assertRegex(done.stdout, r":\d+: notify\.command: /.*/alert may not be run; run: chmod \+x")
        (self.folder / "alert").unlink()
        self.assertRegex(daemon.run("--check").stdout, "notify.command: .*No such file")

    def test_the_metrics_follow_what_holds(self):
        daemon = self.daemon([{"name": "mx1", "host": "127.0.0.1", "port": closed_port(), "path": "/x",
                               "host_key": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
                               "key_file": "/nonexistent"}])
        metrics = self.folder / "metrics.prom"
        daemon.settings["metrics_file"] = str(metrics)
        daemon.write()
        daemon.start()

        def sample(name):
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            return next((line.rsplit(" ", 1)[1] for line in lines if line.rsplit(" ", 1)[0] == name), None)

        def wait_sample(name, value):
            deadline = time.monotonic() + 30
            while sample(name) != value:
                self.assertLess(time.monotonic(), deadline, f"{name} is {sample(name)}, not {value}")
                time.sleep(0.05)

        wait_sample("rcptsync_recipients", "40")
        wait_sample('rcptsync_target_state{target="mx1",state="failing"}', "1")
        self.assertEqual(sample("rcptsync_generation"), "1")
        self.assertEqual(stat.S_IMODE(metrics.stat().st_mode), 0o644)
        self.write_list(20)
        wait_sample("rcptsync_held_removals", "20")
        self.list.unlink()
        wait_sample('rcptsync_source_up{source="list"}', "0")
        wait_sample('rcptsync_source_failed_polls{source="list"}', "2")


if __name__ == "__main__":
    unittest.main()
