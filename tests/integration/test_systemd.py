"""The installed daemon under a real systemd: unit, account, credentials, journal, reload, watchdog.

The machine has systemd as pid 1, journald and a loopback of its own. A slapd, an sshd and a name
server run on that loopback, outside of the machine's file system.
"""

import contextlib
import os
import tempfile
import time
import unittest
from pathlib import Path

from name_server import NameServer
from slapd import Slapd
from sshd import Sshd
from systemd import Machine

BUILD = os.environ["RCPTSYNC_BUILD"]
SOURCE = Path(os.environ["RCPTSYNC_SOURCE"])
UNIT = "rcptsyncd.service"
OBJECTS = 200

CONFIG = """\
schedule: {{poll: 1h}}
sources:
  - name: corp
    type: active-directory
    servers: ["ldaps://dc1.lab.test:{ldaps_port}"]
    ca_file: /etc/rcptsync/ca.pem
    bind: {{method: simple, user: "{reader}", password_file: credential:ad-password}}
    bases: ["{suffix}"]
targets:
  - name: mx1
    host: mx1.lab.test
    port: {ssh_port}
    user: root
    path: {table}
    format: list
    host_key: "{fingerprint}"
"""


def wait_for(what, condition, timeout=30):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.1)


class MachineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rcptsync-")))
        cls.machine = cls.enterClassContext(Machine(cls.folder))
        cls.machine.install(BUILD)
        cls.prepare()
        cls.machine.boot()

    @classmethod
    def prepare(cls):
        """Before the boot."""

    def events(self, name, since=0):
        return [entry for entry in self.machine.journal(UNIT, RCPTSYNC_EVENT=name)
                if int(entry["__REALTIME_TIMESTAMP"]) > since]

    def wait_event(self, name, since=0):
        return wait_for(f"event {name}", lambda: self.events(name, since))[-1]

    @staticmethod
    def now():
        return time.time_ns() // 1000


class Installation(MachineTest):
    def test_unit_has_no_faults(self):
        self.assertEqual(self.machine.run("systemd-analyze", "verify", UNIT), "")

    def test_unit_is_confined(self):
        """`systemd-analyze security` gives at most 1.5 of 10."""
        self.machine.run("systemd-analyze", "security", "--offline=true", "--threshold=15",
                         f"/usr/lib/systemd/system/{UNIT}")

    def test_account_has_no_login(self):
        name, _, _, _, _, home, shell = self.machine.run("getent", "passwd",
                                                         "rcptsync").strip().split(":")
        self.assertEqual((name, home, shell),
                         ("rcptsync", "/var/lib/rcptsync", "/usr/sbin/nologin"))

    def test_folders_belong_to_whom_they_should(self):
        for folder, wanted in (("/etc/rcptsync", "755 root root"),
                               ("/etc/rcptsync/credentials", "700 root root"),
                               ("/var/lib/rcptsync", "700 rcptsync rcptsync")):
            with self.subTest(folder):
                self.assertEqual(
                    self.machine.run("stat", "--format=%a %U %G", folder).strip(), wanted)

    def test_programs_find_their_libraries(self):
        for program in ("/usr/sbin/rcptsyncd", "/usr/bin/rcptsyncctl"):
            self.assertRegex(self.machine.run(program, "--version"), r"^\d+\.\d+\.\d+\n$")

    def test_manual_and_example_are_there(self):
        for section, page in (("8", "rcptsyncd"), ("1", "rcptsyncctl"), ("5", "rcptsync.yaml"),
                              ("7", "rcptsync")):
            self.assertIn(f"/usr/share/man/man{section}/{page}.",
                          self.machine.run("man", "--where", section, page))
        self.machine.run("test", "-s", "/usr/share/rcptsync/rcptsync.yaml")

    def test_catalog_is_found(self):
        self.machine.run("journalctl", "--update-catalog")
        listed = self.machine.run("journalctl", "--list-catalog").splitlines()
        self.assertEqual(sum("rcptsync: " in line for line in listed), 19)

    def test_without_a_configuration_it_gives_up_at_once(self):
        self.machine.run("systemctl", "start", UNIT, check=False)
        self.assertNotEqual(self.machine.status, 0)
        wait_for("the unit fails",
                 lambda: self.machine.show(UNIT, "ActiveState")["ActiveState"] == "failed")
        shown = self.machine.show(UNIT, "ExecMainStatus", "NRestarts")
        self.assertEqual(shown, {"ExecMainStatus": "78", "NRestarts": "0"})
        said = [entry["MESSAGE"] for entry in self.machine.journal(UNIT, PRIORITY="3")]
        self.assertTrue(any("/etc/rcptsync/rcptsync.yaml" in message for message in said), said)


class Service(MachineTest):
    """One daemon with a directory and a target, both reached by names that the DNS knows."""

    @classmethod
    def prepare(cls):
        cls.directory = Slapd(cls.folder / "slapd", names=["dc1.lab.test"])
        cls.server = Sshd(cls.folder / "sshd", host_keys=["ed25519"])
        cls.table = cls.folder / "target" / "relay_recipients"
        cls.table.parent.mkdir()
        cls.key = Path(cls.server.key()).read_text(encoding="ascii")
        cls.config = CONFIG.format(
            ldaps_port=cls.directory.ldaps_port, reader=cls.directory.reader_dn,
            suffix=cls.directory.suffix, ssh_port=cls.server.port, table=cls.table,
            fingerprint=cls.server.fingerprint())
        machine = cls.machine
        machine.write("/etc/rcptsync/rcptsync.yaml", cls.config)
        machine.write("/etc/rcptsync/ca.pem", Path(cls.directory.ca_file).read_text("ascii"))
        (machine.root / "etc/rcptsync/credentials").mkdir(0o700, exist_ok=True)
        machine.write("/etc/rcptsync/credentials/ssh-key", cls.key, 0o600)
        machine.write("/etc/rcptsync/credentials/ad-password",
                      cls.directory.reader_password + "\n", 0o600)
        machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
        machine.write("/etc/nsswitch.conf",
                      "passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files dns\n")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.machine.network():
            cls.dns = cls.enterClassContext(
                NameServer({"dc1.lab.test": "127.0.0.1", "mx1.lab.test": "127.0.0.1"}, port=53))
            cls.enterClassContext(cls.directory.start(objects=OBJECTS))
            cls.enterClassContext(cls.server.start())

    def setUp(self):
        """Every test begins with a running daemon that has brought its target up to date."""
        self.machine.run("systemctl", "reset-failed", UNIT, check=False)  # counts restarts anew
        self.machine.run("systemctl", "restart", UNIT)
        self.pid = self.machine.show(UNIT, "MainPID")["MainPID"]
        try:
            wait_for("the target is current", self.is_current)
        except AssertionError as error:
            said = [entry["MESSAGE"] for entry in self.machine.journal(UNIT)[-20:]]
            raise AssertionError("\n".join([str(error), self.last_status, *said])) from None

    def is_current(self):
        status = self.machine.run("rcptsyncctl", "status", check=False)
        self.last_status = status
        return self.machine.status == 0 and self.table.exists()

    def test_the_recipients_are_on_the_target(self):
        lines = self.table.read_text(encoding="utf-8").splitlines()
        self.assertGreater(len(lines), OBJECTS)
        self.assertEqual(self.machine.run("rcptsyncctl", "table", "--target", "mx1").splitlines(),
                         lines)
        self.assertLessEqual({"dc1.lab.test", "mx1.lab.test"}, set(self.dns.asked))

    def test_events_have_their_fields_in_the_journal(self):
        self.wait_event("started")
        entry = self.wait_event("committed")
        self.assertEqual(entry["_TRANSPORT"], "journal")
        self.assertEqual(entry["SYSLOG_IDENTIFIER"], "rcptsyncd")
        self.assertEqual(entry["PRIORITY"], "5")
        self.assertEqual(entry["RCPTSYNC_GENERATION"], "1")
        self.assertEqual(int(entry["RCPTSYNC_TOTAL"]), int(entry["RCPTSYNC_ADDED"]))
        self.assertRegex(entry["RCPTSYNC_DIGEST"], "^[0-9a-f]{64}$")
        self.assertRegex(entry["MESSAGE_ID"], "^[0-9a-f]{32}$")
        self.assertEqual(self.wait_event("push-done")["RCPTSYNC_TARGET"], "mx1")
        self.machine.run("journalctl", "--update-catalog")
        explained = self.machine.run("journalctl", "--quiet", "--no-pager", "--catalog",
                                     f"MESSAGE_ID={entry['MESSAGE_ID']}")
        self.assertIn("Subject: Generation 1 is in force", explained)
        self.assertIn("rcptsyncctl diff 1", explained)

    def test_the_manager_shows_how_the_daemon_is(self):
        shown = self.machine.show(UNIT, "ActiveState", "SubState", "StatusText", "WatchdogUSec")
        self.assertEqual((shown["ActiveState"], shown["SubState"]), ("active", "running"))
        self.assertTrue(wait_for("a status line",
                                 lambda: self.machine.show(UNIT, "StatusText")["StatusText"]))

    def test_the_process_can_do_little(self):
        status = dict(line.split(":\t", 1) for line in
                      self.machine.run("cat", f"/proc/{self.pid}/status").splitlines()
                      if ":\t" in line)
        self.assertEqual(status["CapEff"].strip("0"), "")
        self.assertEqual(status["CapBnd"].strip("0"), "")
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assertNotIn("0", status["Uid"].split())
        self.assertRegex(self.machine.run("cat", f"/proc/{self.pid}/limits"),
                         r"Max core file size\s+0\s+0\s")

    def test_secrets_are_nowhere_to_be_seen(self):
        secrets = (self.directory.reader_password, self.key.splitlines()[1])
        seen = "".join(self.machine.run("cat", f"/proc/{self.pid}/{name}")
                       for name in ("environ", "cmdline"))
        seen += self.machine.run("journalctl", "--no-pager", "--output=verbose", "--all")
        seen += self.machine.run("systemctl", "show", UNIT)
        for secret in secrets:
            self.assertNotIn(secret, seen)
        self.machine.run("setpriv", "--reuid=nobody", "--clear-groups", "cat",
                         f"/run/credentials/{UNIT}/ad-password", check=False)
        self.assertNotEqual(self.machine.status, 0)

    def test_state_is_for_its_owner_only(self):
        modes = self.machine.run("find", "/var/lib/rcptsync", "-printf", "%u %m %p\n").splitlines()
        self.assertGreater(len(modes), 1)
        for line in modes:
            self.assertRegex(line, r"^rcptsync [67]00 ")

    def test_members_of_the_group_are_served_by_the_socket_and_named(self):
        shown = self.machine.run("stat", "--format=%a %U %G", "/run/rcptsync", "/run/rcptsync/control.sock")
        self.assertEqual(shown.splitlines(), ["750 rcptsync rcptsync", "660 rcptsync rcptsync"])
        self.machine.run("useradd", "mel", check=False)
        self.machine.run("usermod", "-aG", "rcptsync", "mel")
        self.machine.run("useradd", "sam", check=False)
        for words in (("table",), ("--json", "diff", "1"), ("why", "nobody@lab.test")):
            root = self.machine.run("rcptsyncctl", *words, check=False)
            status = self.machine.status
            self.assertEqual(self.machine.run("runuser", "-u", "mel", "--", "rcptsyncctl", *words, check=False), root)
            self.assertEqual(self.machine.status, status)
        self.assertIn("is ready for a push",
                      self.machine.run("runuser", "-u", "mel", "--", "rcptsyncctl", "target", "test", "mx1"))
        self.machine.run("runuser", "-u", "mel", "--", "rcptsyncctl", "rollback", "1")
        rolled_back = self.wait_event("rolled-back")
        self.assertIn("rollback by mel: ", rolled_back["MESSAGE"])
        self.machine.run("runuser", "-u", "mel", "--", "rcptsyncctl", "resync")
        self.machine.run("runuser", "-u", "sam", "--", "rcptsyncctl", "status", check=False)
        self.assertEqual(self.machine.status, 1)

    def test_reload_reads_everything_and_pushes_to_everybody(self):
        before = self.now()
        self.machine.run("systemctl", "reload", UNIT)
        self.wait_event("reloaded", before)
        self.assertEqual(self.wait_event("push-done", before)["RCPTSYNC_TARGET"], "mx1")
        shown = self.machine.show(UNIT, "ActiveState", "MainPID", "NRestarts")
        self.assertEqual((shown["ActiveState"], shown["MainPID"]), ("active", self.pid))

    def test_reload_refuses_a_bad_configuration_and_goes_on(self):
        before = self.now()
        self.machine.write("/etc/rcptsync/rcptsync.yaml", self.config + "nonsense: 1\n")
        try:
            self.machine.run("systemctl", "reload", UNIT)
            entry = self.wait_event("reload-refused", before)
        finally:
            self.machine.write("/etc/rcptsync/rcptsync.yaml", self.config)
        self.assertIn("nonsense", entry["RCPTSYNC_ERROR"])
        self.assertEqual(entry["PRIORITY"], "3")
        wait_for("active again",
                 lambda: self.machine.show(UNIT, "ActiveState")["ActiveState"] == "active")
        self.assertEqual(self.machine.show(UNIT, "MainPID")["MainPID"], self.pid)

    def test_stop_is_orderly_and_quick(self):
        before = self.now()
        began = time.monotonic()
        self.machine.run("systemctl", "stop", UNIT)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.machine.show(UNIT, "Result", "ExecMainStatus"),
                         {"Result": "success", "ExecMainStatus": "0"})
        self.wait_event("stopping", before)

    def test_killed_it_comes_back_with_its_state(self):
        self.machine.run("kill", "-KILL", self.pid)
        wait_for("started again", lambda: self.machine.show(UNIT, "MainPID", "ActiveState")
                 not in ({"MainPID": self.pid, "ActiveState": "active"},)
                 and self.machine.show(UNIT, "ActiveState")["ActiveState"] == "active")
        self.assertEqual(self.machine.show(UNIT, "NRestarts")["NRestarts"], "1")
        wait_for("the target is current", self.is_current)
        self.assertEqual(len(self.events("committed")), 1)

    def test_a_daemon_that_hangs_is_restarted_without_a_core_file(self):
        with self.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=0\n"):
            self.machine.run("systemctl", "restart", UNIT)
            pid = self.machine.show(UNIT, "MainPID")["MainPID"]
            time.sleep(5)  # more than two intervals: a daemon that answers is left alone
            self.assertEqual(self.machine.show(UNIT, "MainPID", "NRestarts"),
                             {"MainPID": pid, "NRestarts": "0"})
            self.machine.run("kill", "-STOP", pid)
            wait_for("the watchdog", lambda: self.machine.show(UNIT, "NRestarts")["NRestarts"] == "1")
        self.assertEqual(self.machine.run("find", "/var/lib/rcptsync", "/", "-maxdepth", "1",
                                          "-name", "*core*"), "")

    def test_a_missing_credential_costs_only_what_needs_it(self):
        before = self.now()
        with self.without_ssh_key():
            entry = self.wait_event("push-failed", before)
        self.assertEqual(entry["RCPTSYNC_TARGET"], "mx1")
        self.assertIn("ssh-key", entry["RCPTSYNC_ERROR"])
        self.assertEqual(self.events("poll-failed", before), [])
        self.assertEqual(self.machine.show(UNIT, "ActiveState")["ActiveState"], "active")
        # Mended: a restart hands out the key, a reload asks for a push to everybody.
        before = self.now()
        self.machine.run("systemctl", "restart", UNIT)
        self.machine.run("systemctl", "reload", UNIT)
        self.wait_event("push-done", before)

    def test_a_target_that_failed_is_tried_again_after_a_restart(self):
        before = self.now()
        with self.without_ssh_key():
            self.wait_event("push-failed", before)
        before = self.now()
        self.machine.run("systemctl", "restart", UNIT)
        try:
            self.wait_event("target-current", before)
            wait_for("the target is current", self.is_current)
        finally:
            self.machine.run("systemctl", "reload", UNIT)
            wait_for("the target is current", self.is_current)

    @contextlib.contextmanager
    def without_ssh_key(self):
        """A daemon that lacks the key and is to push to everybody."""
        self.machine.run("mv", "/etc/rcptsync/credentials/ssh-key", "/root/ssh-key")
        try:
            self.machine.run("systemctl", "restart", UNIT)
            self.machine.run("systemctl", "reload", UNIT)
            yield
        finally:
            self.machine.run("mv", "/root/ssh-key", "/etc/rcptsync/credentials/ssh-key")

    def test_a_second_daemon_is_refused(self):
        said = self.machine.run("runuser", "-u", "rcptsync", "--", "rcptsyncd", check=False)
        self.assertEqual(self.machine.status, 75, said)
        self.assertTrue(said.startswith("error: "), said)

    @contextlib.contextmanager
    def drop_in(self, text):
        """The unit has these lines as well."""
        path = f"/run/systemd/system/{UNIT}.d/test.conf"
        self.machine.run("mkdir", "-p", os.path.dirname(path))
        self.machine.run("tee", path, stdin=text)
        self.machine.run("systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.machine.run("rm", path)
            self.machine.run("systemctl", "daemon-reload")


if __name__ == "__main__":
    unittest.main()
