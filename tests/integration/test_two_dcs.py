"""Two domain controllers (Samba): one dies at any moment, one lags. Nothing is ever read in part."""

import os
import random
import shutil
import tempfile
import time
import unittest
from pathlib import Path

import source_read
from active_directory import ActiveDirectory
from source_state import SourceState, differences

OBJECTS = 500
SEED = int(os.environ.get("RCPTSYNC_SEED", "1"))
# How long controllers are killed, and how often at least.
SECONDS, ROUNDS = 12, 4


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


class Dying(TwoControllers):
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


if __name__ == "__main__":
    unittest.main()
