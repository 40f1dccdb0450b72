"""Two directory servers, one of which lags: failing over to it and back loses nobody, and additions flow."""

import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from company import Company
from daemon import Daemon, ldap_source
from whole_system import PROGRAMS

PATIENCE = 60


class Server(Company):
    """One of several servers of one directory."""

    def copy_of(self, other):
        """Starts as a replica that got what `other` has now, and nothing since. `other` is stopped."""
        # slapd makes its file as large as it may ever become, and nearly all of that is a hole.
        subprocess.run(["cp", "-r", "--sparse=always", other.folder / "db", self.folder / "db"], check=True)
        self.people = dict(other.people)
        self._founders = dict(other.people)
        return self.start()


class Lag(unittest.TestCase):
    options = {}

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-lag-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.first = Server(self.folder / "first", server_id=1).open(30)
        self.addCleanup(self.first.stop)
        self.first.stop()
        self.replica = Server(self.folder / "replica", server_id=2).copy_of(self.first)
        self.addCleanup(self.replica.stop)
        self.first.start()
        trusted = self.folder / "ca.pem"
        trusted.write_text(Path(self.first.ca_file).read_text() + Path(self.replica.ca_file).read_text())
        source = ldap_source(self.first, servers=[self.first.ldaps_uri, self.replica.ldaps_uri], ca_file=str(trusted),
                             **self.options)
        self.daemon = Daemon(self.folder, PROGRAMS, [source], [], schedule={"poll": "1s", "jitter": "0%"})
        self.addCleanup(lambda: self.daemon.process and self.daemon.kill())
        self.daemon.start()
        self.wait_table(self.first)

    def wait_table(self, company):
        self.daemon.wait(lambda _: self.daemon.table().encode() == company.table(), PATIENCE, "the table")

    def wait_address(self, name):
        self.daemon.wait(lambda _: f"{name}@example.com\t" in self.daemon.table(), PATIENCE, name)

    def wait_server(self, company):
        self.daemon.wait(lambda status: status["sources"][0]["server"] == company.ldaps_uri, PATIENCE, "the server")

    def wait_polls(self, count):
        """So many cycles that ended well from now on."""
        at = len(self.daemon.text())

        def enough(_):
            return len(re.findall("event=poll-(?:un)?changed", self.daemon.text()[at:])) >= count
        self.daemon.wait(enough, PATIENCE, f"{count} polls")

    def assert_listed(self, *names):
        table = self.daemon.table()
        for name in names:
            self.assertIn(f"{name}@example.com\t", table)

    def test_to_a_lagging_replica_and_back(self):
        everybody = list(self.first.people)
        for round_number in range(2):
            late, early = f"late{round_number}", f"early{round_number}"
            self.first.hire(late)
            self.wait_address(late)
            everybody.append(late)

            # Not killed: that makes slapd forget how far it was, until its next change.
            self.first.stop()
            self.wait_server(self.replica)
            behind = self.daemon.wait(lambda status: status["sources"][0]["behind"], PATIENCE, "behind")
            self.assertIn(self.replica.ldaps_uri, behind)
            self.wait_polls(3)
            self.assert_listed(*everybody)
            held = self.daemon.status()["held"]
            self.assertIn("is no longer behind: corp (", held["reason"])
            text = self.daemon.ctl("status").stdout
            self.assertIn("behind, removals wait: ", text)
            # What the replica has and the first server has not is believed at once.
            self.replica.hire(early)
            self.wait_address(early)
            self.wait_polls(2)
            self.assert_listed(*everybody, early)
            self.daemon.kill()  # and a restart changes nothing of that
            self.daemon.start()
            self.wait_polls(2)
            self.assert_listed(*everybody, early)

            self.first.start()
            self.wait_server(self.first)
            self.wait_table(self.first)
            self.assert_listed(*everybody)
        # Said once a round, not with every poll.
        self.assertLess(self.daemon.text().count("event=change-held"), 8)

    def test_a_removal_goes_out_when_a_second_read_of_the_other_server_confirms_it(self):
        self.replica.leave("person003")
        self.first.kill()
        self.daemon.wait(lambda _: "person003@" not in self.daemon.table(), PATIENCE, "the removal")
        self.assertIn("changed the server", self.daemon.text())
        self.daemon.signal(signal.SIGUSR1)
        self.wait_polls(1)
        self.assertIsNone(self.daemon.status()["held"])


class LagOfFullReads(Lag):
    """Nothing of it depends on incremental reads."""

    options = {"incremental": "off"}


if __name__ == "__main__":
    unittest.main()
