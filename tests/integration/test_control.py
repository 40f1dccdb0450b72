"""The operator's orders and the control socket: real daemon, real gateways, other accounts, kill -9, hostile clients."""

import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from sshd import Account
from whole_system import PROGRAMS, WholeSystem

LEAVERS = range(1, 31)
GUARD = {"max_removals": 5}


class Control(WholeSystem):
    gateway_kinds = {"mx1": "lmdb"}

    def held(self, **sections):
        """A daemon that holds 30 removals; its digest."""
        daemon = self.daemon(guard=GUARD, **sections)
        daemon.wait_current()
        for number in LEAVERS:
            self.company.leave(f"person{number:03}")
        self.poll(daemon, "are held")
        return daemon, daemon.status()["held"]["digest"]

    def orders(self, daemon):
        folder = daemon.state / "orders"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def assert_carried_out(self, daemon):
        self.assertEqual(self.orders(daemon), [])

    # ---- each order with a running daemon ---------------------------------------------------------------------------

    def test_approve_lets_through_at_once_and_exactly_that(self):
        daemon, digest = self.held()
        done = daemon.ctl("approve", digest[:12])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"30 removals held, digest {digest}", done.stdout)
        self.assertIn("30 removals let through", done.stdout)
        status = daemon.status()
        self.assertEqual((status["generation"], status["held"]), (2, None))
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_answers("person001@example.com", 550)
        self.assert_carried_out(daemon)
        self.assertIn("approve by root: 30 removals let through", daemon.text())
        # An old digest names nothing any more.
        done = daemon.ctl("approve", digest)
        self.assertEqual(done.returncode, 1)
        self.assertIn("names nothing that is held or refused; nothing is held or refused now", done.stderr)

    def test_a_digest_that_names_nothing_is_refused_with_what_is_held(self):
        daemon, digest = self.held()
        other = ("0" if digest[0] != "0" else "1") + digest[1:]
        for wrong, words in ((other, digest), (digest[:11], "at least the first 12"), ("x" * 64, "is no digest"),
                             (digest + "0", "is no digest")):
            for command in ("approve", "reject"):
                done = daemon.ctl(command, wrong)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(words, done.stderr)
        self.assertEqual(daemon.status()["held"]["digest"], digest)
        self.assert_carried_out(daemon)

    def test_reject_keeps_them_until_they_are_approved(self):
        daemon, digest = self.held()
        done = daemon.ctl("reject", digest.upper())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("30 removals rejected", done.stdout)
        self.poll(daemon)
        self.assertIsNone(daemon.status()["held"])
        self.assert_answers("person001@example.com", 250)
        done = daemon.ctl("reject", digest)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is refused already", done.stderr)
        done = daemon.ctl("approve", digest[:20])
        self.assertEqual(done.returncode, 0, done.stderr)
        daemon.wait_current()
        self.assert_answers("person001@example.com", 550)

    def test_rollback_pins_and_resync_ends_it(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.company.hire("ada")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        done = daemon.ctl("rollback", "9")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("generation 9 is not kept", done.stderr)

        done = daemon.ctl("rollback", "1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("- ada@example.com", done.stdout)
        self.assertIn("in force as generation 3", done.stdout)
        daemon.wait_current()
        self.assert_answers("ada@example.com", 550)
        self.assertEqual(daemon.status()["pinned"], 1)
        self.company.hire("bob")
        self.poll(daemon)
        self.assert_answers("bob@example.com", 550)
        daemon.stop()
        daemon.start()
        daemon.wait_current()
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("configuration read again")
        self.assertEqual(daemon.status()["pinned"], 1)

        done = daemon.ctl("resync")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the table follows its sources again", done.stdout)
        daemon.wait_current()
        self.assertIsNone(daemon.status()["pinned"])
        self.assert_answers("ada@example.com", 250)
        self.assert_answers("bob@example.com", 250)
        self.assert_carried_out(daemon)

    def test_poll_and_resync_say_what_they_brought(self):
        daemon = self.daemon()
        daemon.wait_current()
        done = daemon.ctl("poll")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("nothing changed", done.stdout)
        self.company.hire("ada")
        self.assertIn("generation 2 is in force: 1 added", daemon.ctl("poll").stdout)
        daemon.wait_current()
        inode = self.mx1.path.stat().st_ino
        self.assertEqual(daemon.ctl("resync").returncode, 0)
        daemon.wait_line("mx1 serves generation 2 ", after=daemon.text().index("configuration read again"))
        daemon.wait_current()
        self.assertNotEqual(self.mx1.path.stat().st_ino, inode)
        self.company.stop()
        done = daemon.ctl("poll")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not everything could be read", done.stderr)
        self.assert_carried_out(daemon)

    def test_push_ends_a_pause_and_looks_at_one_that_is_current(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.assertIn("every target is current", daemon.ctl("push").stdout)
        sessions = self.mx1.sessions_served()
        done = daemon.ctl("push", "mx1")
        self.assertEqual((done.returncode, done.stdout), (0, "mx1: current, generation 1\n"))
        self.assertGreater(self.mx1.sessions_served(), sessions)
        # A drifted one is mended.
        right = self.mx1.table()
        self.mx1.path.write_bytes(b"")
        self.assertEqual(daemon.ctl("push", "mx1").returncode, 0)
        self.assertEqual(self.mx1.table(), right)

        self.mx1.sshd.stop()
        self.company.hire("ada")
        self.poll(daemon, "push to mx1 failed")
        daemon.wait(lambda status: status["targets"][0]["attempts"] > 0)
        done = daemon.ctl("push")
        self.assertEqual(done.returncode, 1)
        self.assertIn("mx1: failing: ", done.stderr)
        self.mx1.sshd.start()
        done = daemon.ctl("push")
        self.assertEqual((done.returncode, done.stdout), (0, "mx1: current, generation 2\n"))
        done = daemon.ctl("push", "mx9")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no target is named mx9", done.stderr)
        self.assert_carried_out(daemon)

    def test_the_first_table_of_a_target_is_approved_by_its_digest(self):
        self.mx1.install(b"".join(b"old%d@example.com\tOK\n" % number for number in range(50)), access=b"")
        daemon = self.daemon()
        daemon.wait_line("mx1 keeps its table")
        done = daemon.ctl("approve", "0" * 12)
        self.assertEqual(done.returncode, 1)
        digest = next(word for word in done.stderr.replace(",", " ").split() if len(word) == 64)
        self.assertIn("first table of mx1, 50 removals", done.stderr)
        done = daemon.ctl("reject", digest)
        self.assertEqual(done.returncode, 1)
        self.assertIn("it stays held", done.stderr)
        done = daemon.ctl("approve", digest)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the first table of mx1 is let through", done.stdout)
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_carried_out(daemon)

    def test_an_order_does_not_wait_for_a_directory_that_hangs(self):
        daemon, digest = self.held()
        self.company.pause()
        self.addCleanup(self.company.resume)
        daemon.signal(signal.SIGUSR1)
        time.sleep(0.5)  # into the read; there is nothing to see of that from outside
        began = time.monotonic()
        done = daemon.ctl("approve", digest)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(time.monotonic() - began, 3)
        self.company.resume()
        daemon.wait_current()
        self.assert_answers("person001@example.com", 550)

    # ---- without a daemon, and killed -------------------------------------------------------------------------------

    def test_without_a_daemon_it_takes_effect_at_the_next_start(self):
        daemon, digest = self.held()
        daemon.stop()
        done = daemon.ctl("approve", digest)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("No rcptsyncd runs: the order is kept", done.stdout)
        self.assertEqual(len(self.orders(daemon)), 1)
        daemon.start()
        daemon.wait(lambda status: status["generation"] == 2)
        daemon.wait_current()
        self.assert_answers("person001@example.com", 550)
        self.assert_carried_out(daemon)

    def test_without_a_daemon_it_takes_effect_with_once_which_says_so(self):
        daemon, digest = self.held()
        daemon.stop()
        self.assertEqual(daemon.ctl("approve", digest).returncode, 0)
        self.assertEqual(daemon.ctl("push", "mx1").returncode, 0)
        self.assertEqual(daemon.ctl("poll").returncode, 0)
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("approve by root: 30 removals let through", done.stderr)
        self.assert_answers("person001@example.com", 550)
        self.assert_carried_out(daemon)

    def test_killed_between_order_and_commit(self):
        daemon, digest = self.held()
        daemon.signal(signal.SIGSTOP)
        waiting = subprocess.Popen(daemon.command("rcptsyncctl", "approve", digest), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while not any(name.endswith(".json") for name in self.orders(daemon)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        time.sleep(0.3)  # until the tool has told of it; what matters is that the file is there
        daemon.kill()
        out, errors = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0, errors)
        self.assertIn("The order is kept", out)
        self.assertEqual(daemon.status()["generation"], 1)
        daemon.start()
        daemon.wait(lambda status: status["generation"] == 2)
        daemon.wait_current()
        self.assert_answers("person001@example.com", 550)
        self.assert_carried_out(daemon)

    def test_killed_after_the_commit_before_the_file_is_removed(self):
        daemon, digest = self.held()
        daemon.stop()
        self.assertEqual(daemon.ctl("approve", digest).returncode, 0)
        (order,) = (daemon.state / "orders").iterdir()
        kept = order.read_bytes()
        daemon.start()
        daemon.wait(lambda status: status["generation"] == 2)
        daemon.wait_current()
        daemon.kill()
        order.write_bytes(kept)  # as it would be found
        daemon.start()
        daemon.wait_line("names nothing that is held", after=daemon.text().rindex("started with"))
        self.assertEqual(daemon.status()["generation"], 2)
        self.assert_answers("person031@example.com", 250)
        deadline = time.monotonic() + 10
        while self.orders(daemon) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assert_carried_out(daemon)

    def test_a_damaged_order_is_moved_aside_and_named(self):
        daemon = self.daemon(start=False)
        daemon.state.mkdir(mode=0o700)
        (daemon.state / "orders").mkdir(mode=0o700)
        (daemon.state / "orders" / "1.json").write_text("{")
        daemon.start()
        daemon.wait_line("an order is damaged and not carried out")
        daemon.wait_current()
        self.assertEqual(self.orders(daemon), ["1.bad"])


class Accounts(WholeSystem):
    """The daemon as an account of its own, its group's members, and strangers."""

    gateway_kinds = {"mx1": "lmdb"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service, cls.member, cls.stranger = (cls.enterClassContext(Account()) for _ in range(3))
        subprocess.run(["usermod", "-aG", str(cls.service.gid), cls.member.name], check=True)

    def run_as(self, account, daemon, *arguments, member=False):
        groups = ["--groups", str(self.service.gid)] if member else ["--clear-groups"]
        return subprocess.run(
            ["setpriv", "--reuid", str(account.uid), "--regid", str(account.gid), *groups,
             *daemon.command("rcptsyncctl", *arguments)],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/", env=daemon.environment)

    def confined(self, **sections):
        """A daemon that runs as the service account, with a runtime folder as systemd makes it."""
        daemon = self.daemon(start=False, **sections)
        daemon.folder.chmod(0o755)
        daemon.file.chmod(0o644)
        daemon.state.mkdir(mode=0o700)
        run = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        run.chmod(0o750)
        secrets = Path(tempfile.mkdtemp(prefix="secrets-", dir=self.folder))
        for number, name in enumerate(("key", "password")):
            source = [self.mx1.sshd.key(), self.company.password_file][number]
            (secrets / name).write_bytes(Path(source).read_bytes())
            (secrets / name).chmod(0o600)
            self.service.own(secrets / name)
        daemon.settings["targets"][0]["key_file"] = [str(secrets / "key")]
        daemon.settings["sources"][0]["bind"]["password_file"] = str(secrets / "password")
        daemon.write()
        self.service.own(daemon.state, run, secrets)
        daemon.environment = {**os.environ, "RUNTIME_DIRECTORY": str(run)}
        daemon.socket = run / "control.sock"
        log = daemon.log.open("ab")
        self.addCleanup(log.close)
        daemon.process = subprocess.Popen(
            ["setpriv", "--reuid", str(self.service.uid), "--regid", str(self.service.gid), "--clear-groups",
             *daemon.command("rcptsyncd", "--verbose")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env=daemon.environment, cwd="/")
        return daemon

    def test_members_get_what_root_gets_and_strangers_nothing(self):
        daemon = self.confined()
        daemon.wait_current()
        self.assertEqual((daemon.socket.stat().st_mode & 0o777, daemon.socket.stat().st_gid), (0o660, self.service.gid))
        questions = (["--json", "status"], ["history"], ["--json", "history", "-n", "1"], ["diff"], ["diff", "1"], ["--json", "diff", "1"], ["table"],
                     ["table", "--target", "mx1"], ["why", "person001@example.com"], ["why", "nobody@example.com"],
                     ["table", "--target", "mx9"], ["diff", "99"], ["bogus"], ["--version"], ["verify"],
                     ["target", "setup", "mx1"])
        for words in questions:
            with self.subTest(words):
                mine = self.run_as(self.member, daemon, *words, member=True)
                roots = subprocess.run(daemon.command("rcptsyncctl", *words), capture_output=True, text=True,
                                       stdin=subprocess.DEVNULL, env=daemon.environment)
                owners = self.run_as(self.service, daemon, *words)
                self.assertEqual((mine.returncode, mine.stdout, mine.stderr),
                                 (roots.returncode, roots.stdout, roots.stderr))
                self.assertEqual((mine.returncode, mine.stdout), (owners.returncode, owners.stdout))
        self.assertEqual(self.run_as(self.member, daemon, "target", "test", "mx1", member=True).returncode, 0)
        for words in (["status"], ["table"], ["approve", "0" * 12], ["poll"]):
            done = self.run_as(self.stranger, daemon, *words)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("members of its group", done.stderr)
        done = self.run_as(self.member, daemon, "prune-directory", "--apply", "--yes", member=True)
        self.assertNotEqual(done.returncode, 0)

    def test_a_stranger_who_gets_to_the_socket_is_refused_by_the_daemon(self):
        daemon = self.confined()
        daemon.wait_current()
        daemon.socket.chmod(0o666)
        daemon.socket.parent.chmod(0o755)
        done = self.run_as(self.stranger, daemon, "status")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("is not in the group of the control socket", done.stderr)

    def test_orders_of_a_member_carry_his_name(self):
        daemon = self.confined(guard=GUARD)
        daemon.wait_current()
        for number in LEAVERS:
            self.company.leave(f"person{number:03}")
        done = self.run_as(self.member, daemon, "poll", member=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        digest = daemon.status()["held"]["digest"]
        done = self.run_as(self.member, daemon, "approve", "0" * 12, member=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(digest, done.stderr)
        done = self.run_as(self.member, daemon, "approve", digest, member=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("30 removals let through", done.stdout)
        self.assertIn(f"approve by {self.member.name}: 30 removals", daemon.text())
        daemon.wait_current()
        self.assert_answers("person001@example.com", 550)

    def test_an_order_that_root_saved_belongs_to_the_service(self):
        daemon = self.confined(guard=GUARD)
        daemon.wait_current()
        daemon.stop()
        self.assertEqual(daemon.ctl("poll").returncode, 0)
        (order,) = (daemon.state / "orders").iterdir()
        self.assertEqual((order.stat().st_uid, order.stat().st_mode & 0o777), (self.service.uid, 0o600))
        self.assertEqual(order.parent.stat().st_uid, self.service.uid)
        self.assertFalse(daemon.socket.exists())
        done = self.run_as(self.member, daemon, "status", member=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no rcptsyncd listens here", done.stderr)

    def test_a_daemon_of_another_state_refuses(self):
        daemon = self.confined()
        daemon.wait_current()
        other = self.daemon(start=False)
        other.folder.chmod(0o755)
        other.file.chmod(0o644)
        other.state.mkdir(mode=0o700)
        other.environment = daemon.environment
        done = self.run_as(self.member, other, "status", member=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"has the state {daemon.state}", done.stderr)


class Hostile(WholeSystem):
    """Clients that send garbage, hang, flood or go away; the daemon polls and pushes on, and others are served."""

    gateway_kinds = {"mx1": "lmdb"}

    def connect(self, daemon):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(30)
        client.connect(str(daemon.state / "control.sock"))
        return client

    def request(self, daemon, words, **more):
        return json.dumps({"protocol": 1, "state_dir": str(daemon.state), "config_file": str(daemon.file),
                           "words": words, "order": "", "width": 80, "colour": False, **more}).encode()

    @staticmethod
    def framed(content, kind=b"Q"):
        return kind + struct.pack(">I", len(content)) + content

    @staticmethod
    def drain(client):
        """All that comes until the other side closes, which it has to."""
        content = b""
        try:
            while piece := client.recv(65536):
                content += piece
        except ConnectionResetError:
            pass
        return content

    def assert_alive(self, daemon, name):
        self.company.hire(name)
        self.poll(daemon, "serves generation")
        self.assert_answers(f"{name}@example.com", 250)
        self.assertEqual(daemon.ctl("poll").returncode, 0)

    def test_garbage_and_lengths(self):
        daemon = self.daemon()
        daemon.wait_current()
        good = self.request(daemon, ["status"])
        for content in (b"GET / HTTP/1.0\r\n\r\n", b"Q" + struct.pack(">I", 1 << 30), b"Q\xff\xff\xff\xff" + b"x" * 9,
                        b"O\0\0\0\0", self.framed(b""), self.framed(b"{}"), self.framed(b"[" * 60000),
                        self.framed(b'{"protocol": 1}'), self.framed(b'{"protocol": 99}'), self.framed(b"\xff\0\xfe"),
                        self.framed(good.replace(b'"words": ["status"]', b'"words": [1, null]')),
                        self.framed(good.replace(b'"width": 80', b'"width": -1')),
                        self.framed(self.request(daemon, [])), self.framed(self.request(daemon, ["\0" * 100] * 100)),
                        self.framed(self.request(daemon, ["--config"])), self.framed(good) + b"more" * 1000,
                        self.framed(self.request(daemon, ["prune-directory", "--apply", "--yes"])),
                        self.framed(self.request(daemon, ["keygen", "--file", str(self.folder / "stolen")])),
                        self.framed(self.request(daemon, ["table"], state_dir="/etc"))):
            with self.subTest(content[:40]):
                client = self.connect(daemon)
                try:
                    client.sendall(content)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.drain(client)
        self.assertFalse((self.folder / "stolen").exists())
        self.assert_alive(daemon, "ada")

    def test_an_order_that_nobody_gave_is_not_waited_for_by_one_that_left(self):
        daemon = self.daemon()
        daemon.wait_current()
        for _ in range(40):
            client = self.connect(daemon)
            client.sendall(self.framed(self.request(daemon, [], order="../../etc/passwd")))
            client.close()
        began = time.monotonic()
        self.assertEqual(daemon.ctl("poll").returncode, 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_clients_that_hang_or_vanish(self):
        daemon = self.daemon()
        daemon.wait_current()
        silent = [self.connect(daemon) for _ in range(40)]
        for client in silent[::3]:
            client.sendall(b"Q\0\0")
        for client in silent[1::3]:
            client.close()
        self.company.hire("ada")
        daemon.signal(signal.SIGUSR1)
        daemon.wait_line("serves generation 2")  # whatever they do
        began = time.monotonic()
        self.assertEqual(daemon.ctl("verify").returncode, 0)  # waits for its place, and gets one
        self.assertLess(time.monotonic() - began, 25)
        for client in silent[::3] + silent[2::3]:
            self.assertEqual(self.drain(client), b"")
        self.assert_alive(daemon, "bob")

    def test_one_that_asks_and_never_reads(self):
        daemon = self.daemon()
        daemon.wait_current()
        readers = []
        for _ in range(8):
            client = self.connect(daemon)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.sendall(self.framed(self.request(daemon, ["table"])))
            readers.append(client)
        self.assert_alive(daemon, "ada")
        self.assertEqual(daemon.stop() < 5, True)

    def test_a_hundred_at_the_same_time(self):
        daemon = self.daemon()
        daemon.wait_current()
        expected = daemon.table().encode()
        wrong = []

        def ask():
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(60)
            client.connect(str(daemon.state / "control.sock"))
            client.sendall(self.framed(self.request(daemon, ["table"])))
            content = self.drain(client)
            client.close()
            if content[:5] != b"O" + struct.pack(">I", len(expected)) or content[5:5 + len(expected)] != expected:
                wrong.append(content[:200])

        threads = [threading.Thread(target=ask) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assert_alive(daemon, "ada")

    def test_what_a_dead_daemon_left_is_replaced_and_a_living_one_is_not(self):
        daemon = self.daemon()
        daemon.wait_current()
        daemon.kill()
        self.assertTrue((daemon.state / "control.sock").exists())
        daemon.start()
        daemon.wait_current()
        self.assertEqual(daemon.ctl("poll").returncode, 0)
        inode = (daemon.state / "control.sock").stat().st_ino
        self.assertEqual(daemon.run().returncode, 75)
        self.assertEqual((daemon.state / "control.sock").stat().st_ino, inode)
        daemon.stop()
        self.assertFalse((daemon.state / "control.sock").exists())

    def test_a_path_that_is_longer_than_an_address(self):
        deep = Path(tempfile.mkdtemp(dir=self.folder)) / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True)
        daemon = self.daemon(start=False)
        daemon.settings["state_dir"] = str(deep / "state")
        daemon.state = deep / "state"
        daemon.write()
        daemon.start()
        daemon.wait_current()
        self.assertEqual(daemon.ctl("poll").returncode, 0)
        self.assertIn("nothing changed", daemon.ctl("poll").stdout)


if __name__ == "__main__":
    unittest.main()
