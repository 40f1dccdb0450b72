"""lib/push against real OpenSSH servers and real Postfix: what is served before, during and after
a push, and what every kind of failure says and leaves behind."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from postfix import Postfix
from push_once import finish, push, start
from sshd import Account, Sshd

STAYS, LEAVES, COMES = "stays@example.org", "leaves@example.org", "comes@example.org"


def table(*addresses):
    return "".join(f"{address}\tOK\n" for address in sorted(addresses)).encode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


FIRST, SECOND = table(STAYS, LEAVES), table(STAYS, COMES)
LARGE = "".join(f"user{n:07}.name@example.org\tOK\n" for n in range(1000000)).encode()


class Case(unittest.TestCase):
    def folder(self):
        folder = Path(tempfile.mkdtemp(prefix="rcptsync-push-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        return folder

    def sshd(self, **options):
        server = Sshd(self.folder(), **options)
        self.addCleanup(server.stop)
        return server.start()

    def listing(self, **options):
        """A target of format `list`, which needs no Postfix, and the path of its table."""
        server = options.pop("server", None) or self.sshd(**options)
        path = self.folder() / "recipients"
        return server.target(path=str(path), format="list"), path

    def assertKind(self, kind, answer):
        self.assertEqual(answer.get("kind"), kind, answer)
        return answer

    def assertFails(self, code, words, answer):
        self.assertEqual(answer.get("error"), code, answer)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, answer["message"])
        self.assertIn("127.0.0.1: ", answer["message"])
        self.assertNotIn("\n", answer["message"])

    def assertClean(self, folder):
        left = [name for name in os.listdir(folder)
                if ".new." in name or name.endswith((".work", ".installing"))]
        self.assertEqual(left, [])


class ServedByPostfix(Case):
    """An account without privileges pushes; Postfix, under its own account, serves the result."""

    def gateway(self, map_type="lmdb", access=False, settings=""):
        self.account = Account()
        self.addCleanup(self.account.close)
        folder = self.folder()
        self.account.own(folder)
        self.path = folder / "relay_recipients"
        postfix = Postfix(self.folder(), maps=f"{map_type}:{self.path}", settings=settings,
                          access=f"{map_type}:{self.path}_access" if access else None)
        self.addCleanup(postfix.stop)
        postfix.start()
        server = self.sshd(user=self.account.name)
        self.target = server.target(path=str(self.path), postfix_config=postfix.config)
        return postfix

    def push(self, data, **options):
        return push(self.target, data, **options)

    def story(self, map_type, configured):
        postfix = self.gateway(map_type)
        self.target["map_type"] = configured
        self.assertEqual(postfix.ask(STAYS), 451)  # no table yet

        first = self.assertKind("replaced", self.push(FIRST))
        self.assertEqual((first["map_type"], first["bytes_sent"]), (map_type, len(FIRST)))
        # An smtpd that found no table needs a reload, and this account cannot.
        self.assertIn("postfix reload", " ".join(first["warnings"]))
        postfix.reload()
        self.assertEqual([postfix.ask(who) for who in (STAYS, LEAVES, COMES)], [250, 250, 550])

        again = self.assertKind("unchanged", self.push(FIRST, believed=digest(FIRST)))
        self.assertEqual((again["bytes_sent"], again["drifted"]), (0, False))

        with postfix.session() as open_before:
            self.assertEqual(open_before.rcpt(STAYS), 250)
            second = self.assertKind("replaced", self.push(SECOND, believed=digest(FIRST)))
            self.assertFalse(second["drifted"])
            self.assertEqual(second["warnings"], [])
            self.assertEqual(open_before.rcpt(STAYS), 250)
            # It answers from one table as long as the session lasts, and that is the old one.
            self.assertEqual((open_before.rcpt(LEAVES), open_before.rcpt(COMES)), (250, 550))
            self.assertEqual([postfix.ask(who) for who in (STAYS, LEAVES, COMES)], [250, 550, 250])
        self.assertEqual(self.path.read_bytes(), SECOND)
        self.assertEqual(self.path.stat().st_uid, self.account.uid)

        forced = self.assertKind("replaced", self.push(SECOND, force=True))
        self.assertEqual(forced["bytes_sent"], len(SECOND))
        self.assertClean(self.path.parent)

    def test_lmdb(self):
        self.story("lmdb", "lmdb")

    def test_cdb(self):
        self.story("cdb", "cdb")

    def test_hash(self):
        self.story("hash", "hash")

    def test_auto_takes_what_main_cf_names(self):
        self.story("cdb", "auto")

    def test_main_cf_names_another_type(self):
        self.gateway("hash")
        self.target["map_type"] = "lmdb"
        self.assertFails("invalid", ["look at", "main.cf names hash:", "map_type: is lmdb"],
                         self.push(FIRST))

    def test_drift_is_seen_and_mended(self):
        postfix = self.gateway()
        self.push(FIRST)
        postfix.reload()
        self.path.write_bytes(table(STAYS))
        subprocess.run(["postmap", f"lmdb:{self.path}"], check=True)
        drifted = self.assertKind("replaced", self.push(FIRST, believed=digest(FIRST)))
        self.assertTrue(drifted["drifted"])
        self.assertEqual(postfix.ask(LEAVES), 250)

    def test_a_lost_index_is_mended(self):
        postfix = self.gateway()
        self.push(FIRST)
        os.unlink(f"{self.path}.lmdb")
        self.assertKind("replaced", self.push(FIRST))
        postfix.reload()
        self.assertEqual(postfix.ask(STAYS), 250)

    def test_reject_texts(self):
        postfix = self.gateway(access=True)
        self.push(table(STAYS), access=f"{LEAVES}\t550 5.1.1 Has left\n".encode())
        postfix.reload()
        with postfix.session() as session:
            self.assertEqual(session.rcpt(STAYS), 250)
            code, text = session.answer(LEAVES)
            self.assertEqual(code, 550)
            self.assertIn("Has left", text)
        # Back again: only what differs is sent.
        both = table(STAYS, LEAVES)
        answer = self.assertKind("replaced", self.push(both, access=b""))
        self.assertEqual(answer["bytes_sent"], len(both))
        self.assertEqual([postfix.ask(who) for who in (STAYS, LEAVES)], [250, 250])
        self.assertKind("unchanged", self.push(both, access=b""))

    def test_reject_texts_that_the_settings_no_longer_use_are_taken_back(self):
        postfix = self.gateway(access=True)
        self.push(FIRST, access=f"{LEAVES}\t550 5.1.1 Has left\n".encode())
        postfix.reload()
        self.assertEqual(postfix.ask(LEAVES), 550)
        self.assertKind("replaced", self.push(FIRST))
        self.assertEqual(postfix.ask(LEAVES), 250)

    def test_valid_recipients_are_never_refused_while_tables_change(self):
        postfix = self.gateway()
        self.push(FIRST)
        postfix.reload()
        answers, over = [], threading.Event()

        def ask():
            while not over.is_set():
                answers.append(postfix.ask(STAYS))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for data in (SECOND, FIRST) * 4:
                self.assertKind("replaced", self.push(data))
        finally:
            over.set()
            asking.join()
        self.assertGreater(len(answers), 20)
        self.assertEqual(set(answers), {250})

    def test_no_postfix_there(self):
        server = self.sshd(command=["unshare", "--mount", "sh", "-c",
                                    "mount --bind /dev/null /usr/sbin/postmap && exec \"$@\"", "sh"])
        path = self.folder() / "relay_recipients"
        self.assertFails("not_found", ["postmap is not installed", "rebuild:"],
                         push(server.target(path=str(path)), FIRST))


class FirstPush(Case):
    def test_a_table_is_judged_before_it_is_replaced(self):
        target, path = self.listing()
        path.write_bytes(FIRST)
        held = self.assertKind("held", push(target, SECOND, judge="refuse"))
        self.assertEqual((held["judged_bytes"], held["bytes_sent"]), (len(FIRST), 0))
        self.assertEqual(held["refusal"], "refused by --judge")
        self.assertEqual(path.read_bytes(), FIRST)
        accepted = self.assertKind("replaced", push(target, SECOND, judge="accept"))
        self.assertEqual(accepted["judged_bytes"], len(FIRST))

    def test_a_large_one_comes_over_whole(self):
        target, path = self.listing()
        path.write_bytes(LARGE)
        answer = self.assertKind("held", push(target, SECOND, judge="refuse"))
        self.assertEqual(answer["judged_bytes"], len(LARGE))

    def test_nothing_there_nothing_to_judge(self):
        target, _ = self.listing()
        self.assertEqual(push(target, FIRST, judge="refuse").get("kind"), "replaced")
        self.assertEqual(push(target, FIRST, judge="refuse").get("kind"), "unchanged")


class HostKeys(Case):
    def test_unknown_host(self):
        server = self.sshd()
        Path(server.known_hosts).write_text("elsewhere " + server.host_key() + "\n")
        target, path = self.listing(server=server)
        self.assertFails("untrusted", ["host is unknown", f"[127.0.0.1]:{server.port}",
                                       "ssh-keyscan"], push(target, FIRST))
        self.assertFalse(path.exists())

    def test_no_known_hosts_file(self):
        target, _ = self.listing()
        target["known_hosts"] = "/nonexistent/known_hosts"
        self.assertFails("not_found", "/nonexistent/known_hosts", push(target, FIRST))

    def test_changed_host_key(self):
        server = self.sshd(host_keys=["ed25519"])
        key = (server.folder / "id_ed25519.pub").read_text().split()
        Path(server.known_hosts).write_text(f"[127.0.0.1]:{server.port} {key[0]} {key[1]}\n")
        target, path = self.listing(server=server)
        self.assertFails("untrusted", ["has changed", "line 1", server.fingerprint()],
                         push(target, FIRST))
        self.assertFalse(path.exists())

    def test_revoked_host_key(self):
        server = self.sshd(host_keys=["ed25519"])
        with open(server.known_hosts, "a") as file:
            file.write(f"@revoked * {server.host_key()}\n")
        target, path = self.listing(server=server)
        self.assertFails("untrusted", ["@revoked", "line 2"], push(target, FIRST))
        target["host_key"] = [server.fingerprint()]
        self.assertFails("untrusted", "@revoked", push(target, FIRST))
        self.assertFalse(path.exists())

    def test_a_key_of_another_type_is_no_alarm(self):
        server = self.sshd(host_keys=["ed25519", "ecdsa"])
        server.know("ecdsa")
        target, _ = self.listing(server=server)
        self.assertKind("replaced", push(target, FIRST))

    def test_hashed_names(self):
        server = self.sshd()
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", server.known_hosts], check=True,
                       capture_output=True)
        target, _ = self.listing(server=server)
        self.assertKind("replaced", push(target, FIRST))

    def test_the_server_has_no_key_of_a_known_type(self):
        server = self.sshd(host_keys=["ed25519"])
        server.know("ecdsa")
        target, _ = self.listing(server=server)
        self.assertFails("untrusted", ["ecdsa-sha2-nistp256", "offers ssh-ed25519"],
                         push(target, FIRST))

    def test_pins(self):
        server = self.sshd(host_keys=["ed25519", "ecdsa"])
        target, _ = self.listing(server=server)
        target["known_hosts"] = "/nonexistent/known_hosts"
        for kind in ("ed25519", "ecdsa"):
            target["host_key"] = [server.fingerprint(kind)]
            self.assertKind("replaced", push(target, FIRST, force=True))
        target["host_key"] = ["SHA256:" + "A" * 43]
        self.assertFails("untrusted", [server.fingerprint("ed25519"), server.fingerprint("ecdsa")],
                         push(target, FIRST))


class Keys(Case):
    def test_refused(self):
        server = self.sshd()
        server.authorize("ecdsa")
        target, _ = self.listing(server=server)
        self.assertFails("credentials", ["log in", "authorized_keys", "user root", "id_ed25519"],
                         push(target, FIRST))

    def test_each_that_works(self):
        server = self.sshd()
        target, _ = self.listing(server=server)
        for kind in ("ed25519", "ecdsa"):
            target["key_file"] = [server.key(kind)]
            self.assertKind("replaced", push(target, FIRST, force=True))

    def test_pem(self):
        server = self.sshd()
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-m", "PEM", "-f", server.key("ecdsa")],
                       check=True, capture_output=True)
        self.assertIn("BEGIN EC PRIVATE KEY", Path(server.key("ecdsa")).read_text())
        target, _ = self.listing(server=server)
        target["key_file"] = [server.key("ecdsa")]
        self.assertKind("replaced", push(target, FIRST))
        pkcs8 = server.folder / "pkcs8"
        subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", server.key("ecdsa"), "-out",
                        pkcs8], check=True)
        pkcs8.chmod(0o600)
        target["key_file"] = [str(pkcs8)]
        self.assertKind("unchanged", push(target, FIRST))

    def test_rsa(self):
        server = self.sshd()
        target, _ = self.listing(server=server)
        target["key_file"] = [server.key("rsa")]
        answer = push(target, FIRST)
        if "kind" not in answer:  # libssh2 before 1.11
            self.assertFails("credentials", ["RSA key", "SHA-1", "ssh-keygen -t ed25519"], answer)

    def test_open_to_others(self):
        server = self.sshd()
        target, _ = self.listing(server=server)
        os.chmod(server.key(), 0o644)
        self.assertFails("permission", ["0644", "chmod 600"], push(target, FIRST))

    def test_the_next_one_is_tried(self):
        server = self.sshd()
        target, _ = self.listing(server=server)
        server.authorize("ecdsa")
        target["key_file"] = [server.key(), "/nonexistent/key", server.key("ecdsa")]
        answer = self.assertKind("replaced", push(target, FIRST))
        self.assertIn("/nonexistent/key", answer["warnings"][0])


@contextlib.contextmanager
def peer(behave):
    """A TCP server; `behave(connection)` runs for each connection until it returns."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve(connection):
            with connection, contextlib.suppress(OSError):
                behave(connection, over)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


class BadPeers(Case):
    def target(self, port, timeout=3):
        """Knows the host by any name, so that the talk begins."""
        folder = self.folder()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"],
                       check=True)
        key = (folder / "key.pub").read_text().split()
        (folder / "known_hosts").write_text(f"* {key[0]} {key[1]}\n")
        return {"host": "127.0.0.1", "port": port, "timeout": timeout, "format": "list",
                "path": "/nonexistent/recipients", "known_hosts": str(folder / "known_hosts"),
                "key_file": [str(folder / "key")]}

    def assertEnds(self, behave, code, words):
        with peer(behave) as port:
            answer = push(self.target(port), FIRST)
        self.assertFails(code, words, answer)
        self.assertLess(answer["seconds"], 6)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.assertFails("unreachable", ["connect", "refused"], push(self.target(port), FIRST))

    def test_no_such_host(self):
        answer = push({**self.target(22), "host": "no-such-host.invalid"}, FIRST)
        self.assertIn(answer["error"], ("not_found", "unreachable"))
        self.assertIn("no-such-host.invalid: connect: cannot find the address", answer["message"])

    def test_silence(self):
        self.assertEnds(lambda connection, over: over.wait(), "timeout", ["connect", "(3 s)"])

    def test_a_closed_door(self):
        self.assertEnds(lambda connection, over: None, "protocol", "no SSH server")

    def test_another_protocol(self):
        self.assertEnds(lambda connection, over: connection.sendall(b"220 mx ESMTP\r\n"),
                        "protocol", "220 mx ESMTP")

    def test_a_flood_of_lines(self):
        def flood(connection, over):
            while not over.is_set():
                connection.sendall(b"line\r\n" * 10000)
        self.assertEnds(flood, "protocol", "no SSH server")

    def test_a_flood_without_lines(self):
        def flood(connection, over):
            while not over.is_set():
                connection.sendall(b"\0" * 65536)
        self.assertEnds(flood, "protocol", "no SSH server")

    def test_a_flood_after_the_version(self):
        def flood(connection, over):
            connection.sendall(b"SSH-2.0-Flood\r\n")
            while not over.is_set():
                connection.sendall(b"\0\0\0\x0c\x0a\x02" + b"\0" * 10)
        with peer(flood) as port:
            answer = push(self.target(port), FIRST)
        self.assertIn(answer["error"], ("protocol", "timeout", "unreachable"))
        self.assertLess(answer["seconds"], 6)

    def test_a_drip(self):
        def drip(connection, over):
            connection.sendall(b"SSH-2.0-Drip\r\n\0\0\x40\0")  # a packet of 16 KiB
            while not over.wait(0.1):
                connection.sendall(b"\0")
        self.assertEnds(drip, "timeout", "(3 s)")

    def test_only_macs_that_the_library_may_lack(self):
        server = self.sshd(settings="MACs hmac-sha2-256-etm@openssh.com\nCiphers aes128-ctr")
        target, _ = self.listing(server=server)
        answer = push(target, FIRST)
        if "kind" not in answer:  # libssh2 before 1.11
            self.assertFails("protocol", ["no MAC in common", "hmac-sha2-256-etm@openssh.com",
                                          "sshd_config"], answer)

    def test_only_ciphers_that_the_library_may_lack(self):
        server = self.sshd(settings="Ciphers chacha20-poly1305@openssh.com")
        target, _ = self.listing(server=server)
        answer = push(target, FIRST)
        if "kind" not in answer:
            self.assertFails("protocol", ["no cipher in common", "chacha20"], answer)

    def test_one_that_hangs_delays_no_other(self):
        server = self.sshd()
        targets = [self.listing(server=server)[0] for _ in range(19)]
        alone = push(targets[0], FIRST)
        with peer(lambda connection, over: over.wait()) as port:
            targets.insert(7, self.target(port, timeout=60))
            running = start(targets, SECOND)
            began = time.monotonic()
            lines = [running.process.stdout.readline() for _ in range(19)]
            took = time.monotonic() - began
            running.process.kill()
            running.process.communicate()
        self.assertEqual([line for line in lines if '"replaced"' not in line], [])
        self.assertLess(took, 20 * alone["seconds"] + 5)
        self.assertLess(took, 50)


class Cut(Case):
    """The connection ends, or nothing moves, in the middle of things."""

    def test_a_server_that_stops(self):
        server = self.sshd()
        server.pause()
        target, path = self.listing(server=server)
        target["timeout"] = 2
        answer = push(target, FIRST)
        self.assertFails("timeout", "(2 s)", answer)
        self.assertLess(answer["seconds"], 5)
        server.resume()
        target["timeout"] = 60
        self.assertKind("replaced", push(target, FIRST))

    def during_upload(self, path, action):
        """Runs `action` when a part of the new table has arrived."""
        for _ in range(2000):
            sizes = []
            for file in path.parent.glob("*.new.*"):
                with contextlib.suppress(FileNotFoundError):
                    sizes.append(file.stat().st_size)
            if sizes and max(sizes) > 0:
                return action()
            time.sleep(0.005)
        self.fail("no upload began")

    def test_stopped_during_the_upload(self):
        server = self.sshd()
        target, path = self.listing(server=server)
        path.write_bytes(FIRST)
        target["timeout"] = 5
        running = start([target], LARGE)
        sessions = []

        def stop():
            sessions.extend(server.sessions())
            for pid in sessions:
                os.kill(pid, 19)

        self.during_upload(path, stop)
        answer = finish(running)[0]
        self.assertFails("timeout", "send", answer)
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.assertEqual(path.read_bytes(), FIRST)

    def test_killed_during_the_upload(self):
        server = self.sshd()
        target, path = self.listing(server=server)
        path.write_bytes(FIRST)
        running = start([target], LARGE)
        self.during_upload(path, lambda: [os.kill(pid, 9) for pid in server.sessions()])
        answer = finish(running)[0]
        self.assertFails("unreachable", ["send", "closed the connection"], answer)
        self.assertEqual(path.read_bytes(), FIRST)
        self.assertKind("replaced", push(target, LARGE))
        self.assertEqual(digest(path.read_bytes()), digest(LARGE))

    def test_scp_killed_during_the_upload(self):
        server = self.sshd()
        target, path = self.listing(server=server)
        path.write_bytes(FIRST)
        running = start([target], LARGE)
        self.during_upload(path, lambda: subprocess.run(
            ["pkill", "-KILL", "-x", "-f", f"scp -t {path}.new.*"], check=True))
        answer = finish(running)[0]
        self.assertFails("remote", ["send", "ended early"], answer)
        self.assertEqual(path.read_bytes(), FIRST)
        self.assertClean(path.parent)

    def test_we_are_killed_during_the_upload(self):
        server = self.sshd()
        target, path = self.listing(server=server)
        path.write_bytes(FIRST)
        running = start([target], LARGE)
        self.during_upload(path, running.process.kill)
        running.process.communicate()
        self.assertEqual(path.read_bytes(), FIRST)
        self.assertKind("replaced", push(target, SECOND))


class FullDisk(Case):
    def target(self, kilobytes, **options):
        folder = self.folder()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        self.path = folder / "recipients"
        return self.sshd(**options).target(path=str(self.path), map_type="lmdb")

    def test_seen_beforehand(self):
        target = self.target(1000)
        self.assertKind("replaced", push(target, FIRST))
        answer = push(target, LARGE)
        self.assertFails("no_space", ["look at", "KiB left"], answer)
        self.assertKind("unchanged", push(target, FIRST))

    def test_during_the_upload(self):
        shims = self.folder()
        (shims / "df").write_text("#!/bin/sh\nexit 1\n")
        (shims / "df").chmod(0o755)
        target = self.target(1000, settings=f"SetEnv PATH={shims}:/usr/bin:/bin")
        self.assertKind("replaced", push(target, FIRST))
        self.assertFails("no_space", ["send", "No space left on device"], push(target, LARGE))
        self.assertEqual(self.path.read_bytes(), FIRST)
        self.assertClean(self.path.parent)
        self.assertKind("unchanged", push(target, FIRST))

    def test_during_the_rebuild(self):
        for map_type in ("lmdb", "cdb", "hash"):
            with self.subTest(map_type=map_type):
                target = {**self.target(4600), "map_type": map_type}
                self.assertKind("replaced", push(target, FIRST))
                answer = push(target, LARGE[:2200000].rpartition(b"\n")[0] + b"\n")
                self.assertEqual(answer.get("error"), "no_space", answer)
                self.assertIn("install", answer["message"])
                self.assertEqual(self.path.read_bytes(), FIRST)
                self.assertClean(self.path.parent)
                self.assertKind("unchanged", push(target, FIRST))


class Shells(Case):
    """The account's login shell and its start-up files are not ours."""

    def account_target(self, shell, profile=None):
        account = Account(shell)
        self.addCleanup(account.close)
        if profile is not None:
            (account.home / ".bashrc").write_text(profile)
            account.own(account.home / ".bashrc")
        server = self.sshd(user=account.name)
        target, path = self.listing(server=server)
        account.own(path.parent)
        return target, path

    def test_a_start_up_file_that_talks(self):
        target, path = self.account_target(
            "/bin/bash", "echo Welcome; echo end=ok; echo words >&2; printf 'no newline'\n")
        path.write_bytes(FIRST)
        answer = self.assertKind("replaced", push(target, SECOND, judge="accept"))
        self.assertEqual(answer["judged_bytes"], len(FIRST))
        self.assertEqual(path.read_bytes(), SECOND)

    def test_a_start_up_file_that_does_not_end_talking(self):
        target, _ = self.account_target("/bin/bash", "yes\n")
        answer = push(target, FIRST)
        self.assertFails("limit", "start-up file", answer)
        target, _ = self.account_target("/bin/bash", "yes >&2\n")
        self.assertFails("limit", "without end", push(target, FIRST))

    def test_no_shell(self):
        target, _ = self.account_target("/usr/sbin/nologin")
        self.assertFails("remote", "not available", push(target, FIRST))

    def test_a_folder_of_somebody_else(self):
        account = Account()
        self.addCleanup(account.close)
        target, path = self.listing(server=self.sshd(user=account.name))
        self.assertFails("permission", [account.name, "cannot write in", str(path.parent)],
                         push(target, FIRST))

    def test_no_scp(self):
        shims = self.folder()
        for name in ("sh", "flock", "id", "sha256sum", "rm", "find", "df", "awk", "sleep", "wc"):
            (shims / name).symlink_to(shutil.which(name))
        account = Account("/bin/bash")
        self.addCleanup(account.close)
        server = self.sshd(user=account.name, settings=f"SetEnv PATH={shims}")
        target, path = self.listing(server=server)
        account.own(path.parent)
        self.assertFails("remote", ["scp on the target ended early", "command not found"],
                         push(target, FIRST))


class TwoAtOnce(Case):
    def test_pushes_do_not_interleave(self):
        server = self.sshd()
        path = self.folder() / "relay_recipients"
        target = server.target(path=str(path), map_type="lmdb")
        self.assertKind("replaced", push(target, FIRST))
        large = LARGE[:3300000]
        for _ in range(3):
            running = [start([target], data, force=True) for data in (SECOND, large)]
            answers = [finish(one)[0] for one in running]
            kinds = sorted(answer.get("kind") or answer["error"] for answer in answers)
            self.assertIn(kinds, (["busy", "replaced"], ["replaced", "replaced"]), answers)
            text = path.read_bytes()
            self.assertIn(digest(text), (digest(SECOND), digest(large)))
            index = subprocess.run(["postmap", "-s", f"lmdb:{path}"], capture_output=True).stdout
            self.assertEqual(digest(index), digest(text))
            self.assertClean(path.parent)


class OwnCommand(Case):
    def test_it_gets_what_it_asks_for(self):
        target, path = self.listing()
        target["rebuild"] = (f"test {digest(FIRST)} = {{digest}} && mv {{new}} {{table}} && "
                             f"echo it\\'s done! > {path.parent}/done")
        self.assertKind("replaced", push(target, FIRST))
        self.assertEqual(path.read_bytes(), FIRST)
        self.assertEqual((path.parent / "done").read_text(), "it's done!\n")
        self.assertKind("unchanged", push(target, FIRST))

    def test_it_fails(self):
        target, path = self.listing()
        path.write_bytes(FIRST)
        target["rebuild"] = "echo 'exim: no such list' >&2; exit 4"
        self.assertFails("remote", ["exit status 4", "exim: no such list"], push(target, SECOND))
        self.assertEqual(path.read_bytes(), FIRST)


if __name__ == "__main__":
    unittest.main()
