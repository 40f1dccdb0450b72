"""Incremental reads: when they are made, what they leave on disk, and that no kill makes them miss anything."""

import os
import random
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

from company import Company
from daemon import Daemon, ldap_source
from whole_system import PROGRAMS

PATIENCE = 60
ROUNDS = 12


class Incremental(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-incremental-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.company = Company(self.folder / "directory").open(30)
        self.addCleanup(self.company.stop)
        self.daemon = self.make("daemon")

    def make(self, name, **schedule):
        daemon = Daemon(self.folder / name, PROGRAMS, [ldap_source(self.company)], [],
                        schedule={"poll": "1h", "jitter": "0%", **schedule})
        self.addCleanup(lambda: daemon.process and daemon.kill())
        return daemon

    def source(self):
        return self.daemon.status()["sources"][0]

    def wait_table(self):
        self.daemon.wait(lambda _: self.daemon.table().encode() == self.company.table(), PATIENCE, "the table")

    def once(self):
        done = self.daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.daemon.table().encode(), self.company.table())
        return self.source()["mode"]

    def test_once_goes_on_where_the_last_read_ended_until_a_full_one_is_due(self):
        self.assertEqual(self.once(), "full")
        full = self.source()["last_full"]
        self.company.hire("ada", "bob")
        self.assertEqual(self.once(), "incremental")
        self.company.leave("ada")
        self.company.leave("person007")
        self.assertEqual(self.once(), "incremental")
        self.assertEqual(self.source()["last_full"], full)
        self.daemon.settings["schedule"]["full"] = "1s"
        self.daemon.write()
        time.sleep(1)  # the clock has to move: that is what is tested
        self.assertEqual(self.once(), "full")

    def test_without_its_files_beside_the_state_it_is_right_all_the_same(self):
        self.once()
        for name in ("cookies.json", "status.json"):
            self.company.hire(f"new-{name.partition('.')[0]}")
            (self.daemon.state / name).unlink(missing_ok=True)
            self.once()
            (self.daemon.state / name).write_text("{damaged")
            self.once()

    def test_an_unchanged_poll_does_not_write_the_state_though_the_directory_moved_on(self):
        self.once()
        before = (self.daemon.state / "data.mdb").read_bytes()
        # A change of no interest: an attribute that nobody asks for.
        self.company.modify(f"dn: {self.company.dn('person001')}\nchangetype: modify\n"
                            "replace: description\ndescription: moved\n")
        self.assertEqual(self.once(), "incremental")
        self.assertEqual((self.daemon.state / "data.mdb").read_bytes(), before)
        kept = (self.daemon.state / "cookies.json").read_bytes()
        self.assertEqual((self.daemon.state / "cookies.json").stat().st_mode & 0o777, 0o600)
        self.company.hire("ada")
        self.once()
        # Killed before the file was written anew: the old one belongs to no state any more.
        (self.daemon.state / "cookies.json").write_bytes(kept)
        self.company.leave("ada")
        self.assertEqual(self.once(), "incremental")

    def test_a_resync_is_full_and_a_poll_is_not(self):
        self.daemon.start()
        self.wait_table()
        self.daemon.wait(lambda status: status["sources"][0]["mode"] == "full", PATIENCE)
        self.daemon.signal(signal.SIGUSR1)
        self.daemon.wait(lambda status: status["sources"][0]["mode"] == "incremental", PATIENCE)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait(lambda status: status["sources"][0]["mode"] == "full", PATIENCE)

    def test_killed_again_and_again_it_ends_with_the_table_of_a_full_read(self):
        seed = int(os.environ.get("RCPTSYNC_SEED", random.randrange(1 << 32)))
        chance = random.Random(seed)
        self.daemon = self.make("killed", poll="1s")
        with self.subTest(f"RCPTSYNC_SEED={seed}"):
            self.daemon.start()
            self.wait_table()
            for number in range(ROUNDS):
                for _ in range(chance.randrange(1, 4)):
                    self.change(chance, number)
                    time.sleep(chance.random() * 0.2)
                time.sleep(chance.random() * 0.8)
                self.daemon.kill()
                self.daemon.start()
            self.company.hire("last")
            self.wait_table()
            # One read in full was the first; all those after it went on from where the killed ones were.
            self.daemon.wait(lambda status: status["sources"][0]["mode"] == "incremental", PATIENCE)
            self.daemon.stop()
            clean = self.make("clean")
            self.assertEqual(clean.run("--once").returncode, 0)
            self.assertEqual(clean.table(), self.daemon.table())

    def change(self, chance, number):
        leavers = [name for name in self.company.people if name.startswith("round")]
        if leavers and chance.random() < 0.4:
            self.company.leave(chance.choice(leavers))
        else:
            self.company.hire(f"round{number}-{chance.getrandbits(40):x}")


if __name__ == "__main__":
    unittest.main()
