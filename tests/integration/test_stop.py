"""SIGTERM ends the daemon within ten seconds at every moment, and the next start finds all in order."""

import shutil
import signal
import tempfile
import unittest
from pathlib import Path

import make_ldif
from daemon import Daemon, polled_source
from gate import Gate
from slapd import Slapd
from whole_system import PROGRAMS, WholeSystem


class Stopping(WholeSystem):
    """SIGTERM, at every moment."""

    def assert_stops(self, daemon):
        seconds = daemon.stop()
        self.assertEqual(daemon.code, 0, daemon.tail())
        self.assertLess(seconds, 10)
        self.assertIn(daemon.ctl("status").returncode, (0, 1, 3))
        return seconds

    def test_idle(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.assertLess(self.assert_stops(daemon), 3)

    def test_reading_a_directory_that_hangs(self):
        with Gate(self.company.ldaps_port) as gate:
            self.company.pause()
            daemon = self.daemon(sources=[polled_source(self.company, servers=[f"ldaps://127.0.0.1:{gate.port}"],
                                                      read_timeout="1h", connect_timeout="1h")])
            gate.wait_open()
            self.assert_stops(daemon)

    def test_reading_a_directory_that_hangs_in_the_middle(self):
        with Gate(self.company.ldaps_port) as gate:
            gate.after(6000, self.company.pause)
            daemon = self.daemon(sources=[polled_source(self.company, servers=[f"ldaps://127.0.0.1:{gate.port}"],
                                                      read_timeout="1h", page_size=5)])
            self.assertTrue(gate.done.wait(30))
            self.assert_stops(daemon)

    def test_pushing_to_a_target_that_hangs(self):
        daemon = self.daemon(targets=[gateway.target(timeout="1h") for gateway in self.gateways.values()])
        daemon.wait_current()
        self.mx2.sshd.pause()
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2 ")
        daemon.wait(lambda status: status["targets"][1]["state"] == "pushing")
        self.assert_stops(daemon)
        self.mx2.sshd.resume()
        daemon.start()
        daemon.wait_current()
        self.assert_tables(self.company.table())

    def test_twice(self):
        daemon = self.daemon()
        daemon.wait_current()
        daemon.signal(signal.SIGTERM)
        self.assert_stops(daemon)


class LargeFirstLoad(unittest.TestCase):
    """SIGTERM in the middle of the first read and the first commit of a large directory."""

    def test_sigterm(self):
        folder = Path(tempfile.mkdtemp(prefix="rcptsync-large-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        slapd = Slapd(folder / "directory").start(objects=50000)
        self.addCleanup(slapd.stop)
        gate = Gate(slapd.ldaps_port)
        self.addCleanup(gate.close)
        source = polled_source(slapd, servers=[f"ldaps://127.0.0.1:{gate.port}"], read_timeout="60s")
        daemon = Daemon(folder / "daemon", PROGRAMS, [source], [], schedule={"poll": "1h"},
                        recipients={"domains": list(make_ldif.DOMAINS)})
        self.addCleanup(lambda: daemon.process and daemon.kill())

        def stop():
            seconds = daemon.stop()
            self.assertEqual(daemon.code, 0)
            self.assertLess(seconds, 10)

        gate.after(2_000_000, lambda: None)
        daemon.start()
        self.assertTrue(gate.done.wait(60))
        stop()
        self.assertEqual(daemon.status()["generation"], 0)
        # The read is over when the connection is closed: what follows is the commit.
        daemon.start()
        gate.wait_open()
        gate.wait_closed()
        stop()
        self.assertIn(daemon.status()["generation"], (0, 1))
        daemon.start()
        status = daemon.wait(lambda status: status["generation"] == 1 and status["next_poll"] and status, 60)
        self.assertGreater(status["recipients"], 50000)
        self.assertEqual(len(daemon.table().splitlines()), status["recipients"])
        stop()


if __name__ == "__main__":
    unittest.main()
