"""Two domain controllers (Samba): one dies at any moment, one lags. Nothing is ever read in part."""

import os
import random
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import source_read
from active_directory import ActiveDirectory
from daemon import Daemon
from source_state import SourceState, differences

PROGRAMS = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "bin"
OBJECTS = 500
SEED = int(os.environ.get("RCPTSYNC_SEED", "1"))
# How long controllers are killed, and how often at least.
SECONDS, ROUNDS = 8, 3


class TwoControllers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Samba's sockets have short names.
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-dcs-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.first = ActiveDirectory(cls.folder / "a").start(objects=OBJECTS)
        cls.addClassCleanup(cls.first.stop)
        cls.first.stop()
        cls.second = cls.first.copy(cls.folder / "b")
        cls.addClassCleanup(cls.second.stop)
        cls.first.start()
        cls.second.start()
        began = time.monotonic()
        cls.everybody = cls.state(cls.read(cls.first))
        cls.duration = time.monotonic() - began

    def setUp(self):
        for domain in (self.first, self.second):
            if domain.process is None:
                domain.start()

    @classmethod
    def start_reading(cls, *domains, **options):
        defaults = {"ca_file": cls.first.ca_file, "user": cls.first.reader,
                    "password_file": cls.first.password_file, "page_size": 50, "connect_timeout": 10}
        return source_read.start(*(domain.ldaps_uri for domain in domains), **(defaults | options))

    @classmethod
    def read(cls, *domains, **options):
        return source_read.finish(cls.start_reading(*domains, **options))

    @staticmethod
    def state(answer):
        state = SourceState()
        state.take(answer)
        return state.objects

    def assert_whole(self, answer, wanted=None):
        self.assertTrue(answer.complete, f"seed {SEED}: {answer.output[-2000:]}")
        wrong = differences(self.state(answer), self.everybody if wanted is None else wanted)
        self.assertFalse(wrong, f"seed {SEED}: {wrong}")

    def person(self, number):
        return f"CN=Later {number},CN=Users,{self.first.base}"

    def add_people(self, domain, numbers):
        for number in numbers:
            domain.add(f"dn: {self.person(number)}\nobjectClass: user\nsAMAccountName: later{number}\n"
                       f"mail: later{number}@example.com\nproxyAddresses: SMTP:later{number}@example.com\n")
        self.addCleanup(lambda: [domain.delete(self.person(number)) for number in self.there(domain, numbers)])

    def there(self, domain, numbers):
        """Those of them that are (still) in the directory."""
        found = {origin for origin, _ in self.state(self.read(domain)).values()}
        return [number for number in numbers if self.person(number) in found]

    # ---- one dies ---------------------------------------------------------------------------------------------------

    def test_one_is_killed_at_any_moment(self):
        chooser = random.Random(SEED)
        deadline, rounds = time.monotonic() + SECONDS, 0
        while time.monotonic() < deadline or rounds < ROUNDS:
            rounds += 1
            domains = [self.first, self.second]
            chooser.shuffle(domains)
            process = self.start_reading(*domains)
            time.sleep(chooser.uniform(0, self.duration))
            victim = chooser.choice(domains)
            victim.kill()
            answer = source_read.finish(process)
            self.assert_whole(answer)
            victim.start()

    def test_both_are_killed(self):
        chooser = random.Random(SEED)
        process = self.start_reading(self.first, self.second, page_size=5)
        time.sleep(chooser.uniform(0, self.duration / 2))
        self.first.kill()
        self.second.kill()
        answer = source_read.finish(process)
        if answer.complete:             # it was faster
            self.assert_whole(answer)
        else:
            for domain in (self.first, self.second):
                self.assertIn(domain.ldaps_uri, answer.message)
        self.setUp()
        self.assert_whole(self.read(self.first, self.second))

    def test_one_hangs(self):
        process = self.start_reading(self.first, self.second, page_size=5, read_timeout=2, connect_timeout=2)
        self.first.pause()
        try:
            answer = source_read.finish(process)
        finally:
            self.first.resume()
        self.assert_whole(answer)

    # ---- one lags ---------------------------------------------------------------------------------------------------

    def test_an_old_copy_is_behind(self):
        self.add_people(self.first, range(5))
        now = self.state(self.read(self.first))
        self.assertEqual(len(now), len(self.everybody) + 5)
        cookie = Path(tempfile.mkdtemp(dir=self.folder)) / "cookie"
        both = (self.first, self.second)
        answer = self.read(*both, cookie=cookie)
        self.assert_whole(answer, now)
        self.assertEqual(answer.behind, "")
        self.first.kill()
        for kind in ({}, {"incremental": True}, {}):
            answer = self.read(*both, cookie=cookie, connect_timeout=2, **kind)
            self.assert_whole(answer)
            self.assertIn(self.second.ldaps_uri, answer.behind)
        self.first.start()
        answer = self.read(*both, cookie=cookie)
        self.assert_whole(answer, now)
        self.assertEqual((answer.behind, answer.fields["server"]), ("", self.first.ldaps_uri))

    def test_the_daemon_loses_nobody_to_an_old_copy(self):
        self.add_people(self.first, range(5))
        source = {"name": "corp", "type": "active-directory", "ca_file": self.first.ca_file,
                  "servers": [self.first.ldaps_uri, self.second.ldaps_uri], "connect_timeout": "5s",
                  "bind": {"method": "simple", "user": self.first.reader, "password_file": self.first.password_file}}
        daemon = Daemon(tempfile.mkdtemp(dir=self.folder), PROGRAMS, [source], [],
                        schedule={"poll": "1h", "jitter": "0%"}, recipients={"domains": ["example.com"]})
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        daemon.wait_line("generation 1 is in force", seconds=60)
        table = daemon.table()
        for number in range(5):
            self.assertIn(f"later{number}@example.com\t", table)
        self.first.kill()
        for _ in range(3):
            self.poll(daemon)
            self.assertEqual(daemon.table(), table)
        held = daemon.status()["held"]
        self.assertEqual(held["removed"], 5)
        self.assertIn("behind", held["reason"])
        self.assertIn(self.second.ldaps_uri, held["reason"])
        self.first.start()
        self.poll(daemon)
        self.assertEqual(daemon.table(), table)
        self.assertIsNone(daemon.status()["held"])
        self.first.delete(self.person(0))
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("generation 2 is in force", seconds=60)
        self.assertEqual(set(table.splitlines()) - set(daemon.table().splitlines()), {"later0@example.com\tOK"})

    def poll(self, daemon):
        """A poll, until its read is over."""
        source = daemon.status()["sources"][0]
        before = source["last_success"]
        time.sleep(1.1)                 # the times have seconds
        daemon.signal(signal.SIGUSR1)
        daemon.wait(lambda status: status["sources"][0]["last_success"] > before and status["next_poll"], seconds=60,
                    what="a poll")


if __name__ == "__main__":
    unittest.main()
