"""whole_system: the case that whole-system tests start from: a directory, two gateways, and a daemon for each test.

The servers are those of the class. A test may do to them what it likes: before each test the directory has its first
people and the gateways hold exactly their table.
"""

import os
import shutil
import signal
import tempfile
import unittest
from pathlib import Path

from company import Company
from daemon import Daemon, polled_source
from gateway import Gateway

PROGRAMS = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "bin"
DOMAINS = ("example.com", "example.net", "partner.example")
PEOPLE = 60


class WholeSystem(unittest.TestCase):
    gateway_kinds = {"mx1": "lmdb", "mx2": "cdb"}
    people = PEOPLE
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-system-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.folder.chmod(0o755)  # Postfix and the accounts on the gateways are other users
        cls.company = Company(cls.folder / "directory").open(cls.people)
        cls.addClassCleanup(cls.company.stop)
        cls.gateways = {}
        for name, kind in cls.gateway_kinds.items():
            gateway = Gateway(cls.folder, name, kind, domains=DOMAINS, access=True)
            cls.addClassCleanup(gateway.close)
            gateway.install(cls.company.table(), access=b"")
            gateway.postfix.start()
            cls.gateways[name] = gateway
        cls.mx1, cls.mx2 = (list(cls.gateways.values()) + [None])[:2]

    def setUp(self):
        # Cleanups run in reverse: the daemon ends before the servers are put right.
        self.addCleanup(self._put_right)
        for gateway in self.gateways.values():
            if gateway.table() != self.company.table() or gateway.access_table():
                gateway.install(self.company.table(), access=b"")

    def daemon(self, sources=None, targets=None, start=True, **sections):
        """A daemon with a state of its own that ends with the test. Without `poll` it polls when it is told to."""
        sections.setdefault("schedule", {"poll": "1h", "jitter": "0%"})
        sections.setdefault("recipients", {"domains": ["example.com", "example.net"]})
        folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=self.folder))
        daemon = Daemon(folder, PROGRAMS,
                        [polled_source(self.company)] if sources is None else sources,
                        [gateway.target() for gateway in self.gateways.values()] if targets is None else targets,
                        **sections)
        self.addCleanup(lambda: daemon.process and daemon.kill())
        return daemon.start() if start else daemon

    def _put_right(self):
        if self.company.process is None:
            self.company.start()
        self.company.resume()
        self.company.restore()
        for gateway in self.gateways.values():
            if gateway.sshd.process is None:
                gateway.sshd.start()
            gateway.sshd.resume()

    # ---- what a test does and sees ----------------------------------------------------------------------------------

    def poll(self, daemon, line="nothing changed"):
        """One poll, until the line that says how it went."""
        at = len(daemon.text())
        daemon.signal(signal.SIGUSR1)
        return daemon.wait_line(line, after=at)

    def assert_tables(self, expected, *names):
        for name in names or self.gateways:
            self.assertEqual(self.gateways[name].table().decode(), expected.decode(), name)

    def assert_answers(self, address, code, *names):
        for name in names or self.gateways:
            self.assertEqual(self.gateways[name].ask(address), code, f"{name}: RCPT TO:<{address}>")
