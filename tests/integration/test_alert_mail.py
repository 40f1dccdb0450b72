"""Alerts by mail under the real unit with its whole confinement: by SMTP submission from inside it, and through the
local sendmail by a unit of its own. A real systemd, a real Postfix."""

import email
import email.policy
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from postfix import Postfix
from systemd import Machine

BUILD = os.environ["RCPTSYNC_BUILD"]
UNIT = "rcptsyncd.service"
EXAMPLES = "/usr/share/rcptsync/examples"
LIST = "/var/lib/rcptsync/people.txt"

CONFIG = """\
schedule: {{poll: 1s, jitter: 0%}}
sources: [{{name: list, type: table, path: {list}}}]
recipients: {{domains: [example.com]}}
targets: []
notify: {{command: "{command}"}}
"""


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.1)
    return found


class AlertMail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="rcptsync-")))
        cls.folder.chmod(0o755)  # Postfix has accounts of its own
        cls.machine = cls.enterClassContext(Machine(cls.folder, packages=("python3", "postfix")))
        cls.machine.install(BUILD)
        cls.machine.write("/etc/postfix/main.cf", "compatibility_level = 3.6\nmyhostname = admin1.lab.test\n"
                          "mydestination = admin1.lab.test, localhost\ninet_interfaces = loopback-only\n")
        cls.machine.boot()

    def setUp(self):
        self.addCleanup(self.machine.run, "systemctl", "stop", UNIT)

    def write_list(self, count):
        people = "".join(f"person{number:03}@example.com\n" for number in range(count))
        self.machine.run("tee", LIST + ".new", stdin=people)
        self.machine.run("touch", "--date=-1min", LIST + ".new")
        self.machine.run("chmod", "644", LIST + ".new")
        self.machine.run("mv", LIST + ".new", LIST)

    def hold_removals(self, command):
        """A daemon with that command, and twenty removals that it holds."""
        self.machine.run("sh", "-c", "rm -rf /var/lib/rcptsync/*")
        self.machine.write("/etc/rcptsync/rcptsync.yaml", CONFIG.format(list=LIST, command=command))
        self.write_list(40)
        self.machine.run("systemctl", "start", UNIT)
        wait_for("a first table", lambda: self.events("committed"))
        self.write_list(20)
        wait_for("a hold", lambda: self.events("change-held"))

    def events(self, name):
        began = self.machine.show(UNIT, "InvocationID")["InvocationID"]
        return self.machine.journal(UNIT, RCPTSYNC_EVENT=name, _SYSTEMD_INVOCATION_ID=began)

    def said(self):
        return [entry["MESSAGE"] for entry in self.machine.journal(UNIT)]

    def assert_mail(self, mail, sender):
        self.assertEqual(str(mail["From"]), sender)
        self.assertRegex(str(mail["Subject"]), r"^\[rcptsync .+\] 20 removals are held$")
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        text = mail.get_content()
        self.assertIn("rcptsyncctl approve ", text)
        self.assertIn("event: change-held\n", text)
        self.assertIn("removed: 20\n", text)

    def test_by_smtp_from_inside_the_confinement(self):
        with self.machine.network():
            postfix = Postfix(self.folder / "postfix", maps="static:all",
                              settings="smtpd_end_of_data_restrictions = check_client_access static:HOLD")
            self.enterContext(postfix)
            postfix.start()
        self.hold_removals(f"{EXAMPLES}/notify-mail --smtp 127.0.0.1:{postfix.port} --from rcptsync@example.net "
                           "--to postmaster@example.org")
        held = self.folder / "postfix" / "queue" / "hold"
        queued = wait_for(f"a mail; {self.said()[-5:]}", lambda: list(held.iterdir()))
        raw = subprocess.run(["postcat", "-c", postfix.config, "-bh", queued[0]], check=True, capture_output=True).stdout
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        self.assert_mail(mail, "rcptsync@example.net")
        self.assertEqual(str(mail["To"]), "postmaster@example.org")
        # The daemon that ran it has the unit's confinement, so the program had.
        pid = self.machine.show(UNIT, "MainPID")["MainPID"]
        status = self.machine.run("cat", f"/proc/{pid}/status")
        self.assertRegex(status, r"NoNewPrivs:\s1")
        self.assertRegex(status, r"Seccomp:\s2")

    def test_sendmail_cannot_work_inside_the_confinement(self):
        """What docs/ALERTS.md says, and why there is a second way."""
        self.hold_removals(f"{EXAMPLES}/notify-mail --sendmail /usr/sbin/sendmail --to root")
        wait_for("a failure", lambda: any("notify.command: exit status 1" in line for line in self.said()))

    def test_through_sendmail_by_a_unit_of_its_own(self):
        machine = self.machine
        for name in ("rcptsync-alerts.path", "rcptsync-alerts.service"):
            machine.run("install", "-m", "644", f"{EXAMPLES}/{name}", "/etc/systemd/system/")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemd-analyze", "verify", "rcptsync-alerts.path")
        machine.run("systemctl", "enable", "--now", "rcptsync-alerts.path")
        self.hold_removals(f"{EXAMPLES}/notify-spool /var/lib/rcptsync/alerts")
        box = machine.root / "var/mail/root"
        raw = wait_for(f"a mail; {self.said()[-5:]}", lambda: box.exists() and box.read_bytes())
        mail = email.message_from_bytes(raw.split(b"\n", 1)[1], policy=email.policy.default)
        self.assert_mail(mail, str(mail["From"]))
        self.assertEqual(machine.run("find", "/var/lib/rcptsync/alerts", "-type", "f"), "")


if __name__ == "__main__":
    unittest.main()
