"""SIGKILL at random moments, full disks and damaged files: the state is one whole generation, or says why not."""

import hashlib
import itertools
import os
import random
import shutil
import subprocess
import threading
import time
import unittest

from whole_system import WholeSystem

ROUNDS = 25
STAYERS = [f"person{number:03}" for number in range(40)]


class Senders:
    """Asks every gateway all the time for people who never leave. `wrong`: every answer but 250."""

    def __init__(self, gateways, addresses):
        self.answers, self.wrong = 0, []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(gateway, addresses)) for gateway in gateways]

    def _ask(self, gateway, addresses):
        for address in itertools.cycle(addresses):
            if self._over.wait(0.05):
                return
            try:
                answer = gateway.answer(address)
            except OSError as error:
                answer = (0, str(error))
            self.answers += 1
            if answer[0] != 250:
                self.wrong.append((gateway.name, address, *answer))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


class Killed(WholeSystem):
    """rcptsyncd dies at random moments while the directory changes. RCPTSYNC_SEED repeats a run."""

    def test_the_state_is_whole_after_each_kill_and_all_is_right_in_the_end(self):
        seed = int(os.environ.get("RCPTSYNC_SEED", random.randrange(1 << 32)))
        chance = random.Random(seed)
        with self.subTest(f"RCPTSYNC_SEED={seed}"):
            with Senders(self.gateways.values(), [f"{name}@example.com" for name in STAYERS]) as senders:
                self.kill_again_and_again(chance)
            self.assertEqual(senders.wrong, [])
            self.assertGreater(senders.answers, 200)

    def kill_again_and_again(self, chance):
        daemon = self.daemon(schedule={"poll": "1s", "jitter": "0%"})
        daemon.wait_current()
        generation = 0
        for number in range(ROUNDS):
            for _ in range(chance.randrange(1, 4)):
                self.change(chance, number)
                time.sleep(chance.random() * 0.3)
            time.sleep(chance.random() * 1.2)
            daemon.kill()
            generation = self.assert_whole(daemon, at_least=generation)
            daemon.start()
        # A poll that began after the last change has to end before the targets say anything about it.
        self.company.hire("last")
        daemon.wait(lambda _: b"last@example.com" in daemon.table().encode(), 60)
        daemon.wait_current(60)
        self.assert_whole(daemon, at_least=generation)
        self.assert_tables(self.company.table())
        self.assertEqual(daemon.table().encode(), self.company.table())
        for address in self.company.addresses():
            self.assertEqual(self.mx1.ask(address), 250)
        self.assert_answers("last@example.com", 250)
        self.assert_answers("nobody@example.com", 550)
        for gateway in self.gateways.values():
            self.assertFalse((gateway.tables / "relay_recipients.installing").exists())
        daemon.stop()

    def change(self, chance, number):
        leavers = [name for name in self.company.people if name not in STAYERS]
        if leavers and chance.random() < 0.3:
            self.company.leave(chance.choice(leavers))
        else:
            self.company.hire(f"round{number}-{chance.getrandbits(40):x}")

    def assert_whole(self, daemon, at_least):
        """What rcptsyncctl says without a daemon is one generation."""
        status = daemon.status()
        self.assertIsNotNone(status, daemon.ctl("status").stderr)
        self.assertGreaterEqual(status["generation"], at_least)
        table = daemon.table().encode()
        self.assertEqual(hashlib.sha256(table).hexdigest(), status["digest"])
        self.assertEqual(len(table.splitlines()), status["recipients"])
        for name, gateway in self.gateways.items():
            self.assertEqual(daemon.table(name).encode(), table)
            self.assertTrue(all(line.endswith(b"\tOK") for line in gateway.table().splitlines()))
        return status["generation"]


class FullDisk(WholeSystem):
    gateway_kinds = {"mx1": "lmdb"}

    def test_a_full_state_folder_is_told_and_the_daemon_goes_on_when_there_is_room(self):
        daemon = self.daemon(start=False)
        daemon.state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", daemon.state], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", daemon.state], check=True)
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        daemon.wait_current()
        before = self.company.table()
        filler = daemon.state / "filler"
        with open(filler, "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass
        many = [f"new{number:04}" for number in range(1500)]
        self.company.hire(*many)
        line = self.poll(daemon, "the state cannot be written, the table in force stays")
        self.assertTrue(line.startswith("error: "), line)
        self.assertRegex(line, r"No space left|full")
        self.assertIn("data.mdb", line)
        self.assert_tables(before)
        self.assert_answers("person001@example.com", 250)
        status = daemon.status()
        self.assertEqual(status["generation"], 1)
        self.assertEqual(len(daemon.table().encode()), len(before))

        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", daemon.state], check=True)
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_answers("new0007@example.com", 250)
        daemon.stop()


class Damaged(WholeSystem):
    """A state that cannot be believed is refused: to start from nothing would look like "everything was added"."""

    gateway_kinds = {"mx1": "lmdb"}

    def setUp(self):
        super().setUp()
        self.broken = self.daemon()
        self.broken.wait_current()
        self.company.hire("ada")
        self.poll(self.broken, "mx1 serves generation 2 ")
        self.broken.wait_current()
        self.broken.stop()
        self.data = self.broken.state / "data.mdb"
        self.sessions = self.mx1.sessions_served()

    def assert_refused(self, *words):
        """By the daemon, by --once, by --dry-run and by rcptsyncctl, naming the file and what to do."""
        table = self.mx1.table()
        for arguments in ([], ["--once"], ["--once", "--dry-run"]):
            done = self.broken.run(*arguments, timeout=20)
            self.assertNotIn(done.returncode, (0, 3, 75, 78), done.stderr)
            self.assertRegex(done.stderr, r"^error: [^\n]*\n$")
            for word in (str(self.data), *words):
                self.assertIn(word, done.stderr)
        for arguments in (["status"], ["table"], ["diff"]):
            done = self.broken.ctl(*arguments)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(str(self.data), done.stderr)
        self.assertEqual(self.mx1.table(), table)
        self.assertEqual(self.mx1.sessions_served(), self.sessions)
        self.assert_answers("ada@example.com", 250)

    def test_cut_off(self):
        os.truncate(self.data, self.data.stat().st_size // 2)
        self.assert_refused("restore")

    def test_cut_to_nothing(self):
        os.truncate(self.data, 0)
        self.assert_refused("restore")

    def test_overwritten(self):
        with open(self.data, "r+b") as stream:
            stream.write(random.Random(1).randbytes(self.data.stat().st_size))
        self.assert_refused()

    def test_overwritten_in_the_middle(self):
        with open(self.data, "r+b") as stream:
            stream.seek(8192)
            stream.write(random.Random(1).randbytes(self.data.stat().st_size - 8192))
        self.assert_refused("restore")

    def test_gone(self):
        self.data.unlink()
        self.assert_refused("restore")

    def test_another_programs_file(self):
        # slapd makes its file as large as it may ever become, and nearly all of that is a hole.
        subprocess.run(["cp", "--sparse=auto", self.company.folder / "db" / "data.mdb", self.data], check=True)
        self.assert_refused("another program")

    def test_a_backup_helps(self):
        saved = self.broken.folder / "saved.mdb"
        shutil.copy2(self.data, saved)
        self.data.unlink()
        self.assert_refused()
        shutil.copy2(saved, self.data)
        self.broken.start()
        self.broken.wait_current()
        self.broken.stop()


if __name__ == "__main__":
    unittest.main()
