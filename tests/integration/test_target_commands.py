"""keygen, target setup, target test and verify: the tool against real gateways, with each kind of fault."""

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from sshd import Account
from whole_system import PROGRAMS, WholeSystem


def ctl(*arguments, **variables):
    return subprocess.run([PROGRAMS / "rcptsyncctl", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, **variables})


def unwrapped(text):
    """Lines that were broken to fit, as one again; none is wider than 80 columns unless a word is."""
    for line in text.splitlines():
        assert len(line) <= 80 or " " not in line.lstrip(), line
    return re.sub(r"\n {9}", " ", text)


class Keygen(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-keygen-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.key = self.folder / "made" / "credentials" / "ssh-key"

    def test_a_pair_with_the_right_modes_that_openssh_reads(self):
        done = ctl("keygen", "--file", self.key, "--comment", "rcptsync@lab")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        public = Path(f"{self.key}.pub").read_text()
        self.assertTrue(done.stdout.startswith(public), done.stdout)
        self.assertRegex(public, r"^ssh-ed25519 AAAA[A-Za-z0-9+/]+ rcptsync@lab\n$")
        modes = [oct(path.stat().st_mode & 0o777) for path in (self.key.parent, self.key, Path(f"{self.key}.pub"))]
        self.assertEqual(modes, ["0o700", "0o600", "0o644"])
        self.assertEqual(sorted(path.name for path in self.key.parent.iterdir()), ["ssh-key", "ssh-key.pub"])
        derived = subprocess.run(["ssh-keygen", "-y", "-f", self.key], check=True, capture_output=True, text=True)
        self.assertEqual(derived.stdout, public)
        shown = subprocess.run(["ssh-keygen", "-lf", self.key], check=True, capture_output=True, text=True).stdout
        self.assertIn(shown.split()[1], done.stdout)

    def test_it_never_overwrites(self):
        self.assertEqual(ctl("keygen", "--file", self.key).returncode, 0)
        before = self.key.read_bytes()
        done = ctl("keygen", "--file", self.key)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not replaced", done.stderr)
        self.assertEqual(self.key.read_bytes(), before)
        # Nor where only one of the two is there, or a link that leads nowhere.
        self.key.unlink()
        self.assertEqual(ctl("keygen", "--file", self.key).returncode, 1)
        Path(f"{self.key}.pub").unlink()
        self.key.symlink_to(self.folder / "nowhere")
        self.assertEqual(ctl("keygen", "--file", self.key).returncode, 1)
        self.assertFalse((self.folder / "nowhere").exists())

    def test_the_default_is_where_the_credential_is_looked_up(self):
        done = ctl("--json", "keygen", CREDENTIALS_DIRECTORY=str(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(document["private_key"], str(self.folder / "ssh-key"))
        self.assertEqual(document["public_key"], (self.folder / "ssh-key.pub").read_text().strip())

    def test_a_folder_that_cannot_be_written(self):
        done = ctl("keygen", "--file", "/proc/rcptsync/key")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/proc/rcptsync", done.stderr)


class Targets(WholeSystem):
    gateway_kinds = {"mx1": "lmdb"}

    def setUp(self):
        super().setUp()
        self.addCleanup(self.company.restore)

    def target(self, **settings):
        return {**self.mx1.target(), **settings}

    def assert_unchanged(self, before):
        self.assertEqual({path: path.lstat().st_ino for path in self.mx1.tables.iterdir()}, before)

    def snapshot(self):
        return {path: path.lstat().st_ino for path in self.mx1.tables.iterdir()}

    def test_one_that_is_ready(self):
        daemon = self.daemon(targets=[self.mx1.target()], start=False)
        before = self.snapshot()
        done = daemon.ctl("target", "test", "mx1")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        for step in ("resolve", "key", "connect", "host key", "log in", "shell", "scp", "SHA-256", "path", "Postfix",
                     "map type", "main.cf", "space", "lock", "table"):
            self.assertRegex(done.stdout, rf"(?m)^ok       {step}: ")
        self.assertIn(f"names lmdb:{self.mx1.path}", unwrapped(done.stdout))
        self.assertIn("mx1 is ready for a push; nothing was changed", done.stdout)
        document = json.loads(daemon.ctl("--json", "target", "test", "mx1").stdout)
        self.assertTrue(document["ready"])
        self.assertEqual({step["result"] for step in document["steps"]}, {"ok"})
        self.assert_unchanged(before)

    def test_each_kind_of_fault_is_a_step_with_a_way_out(self):
        other = self.folder / "other"
        other.mkdir(exist_ok=True)
        unlisted = self.mx1.tables / "unlisted"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other / "key"], check=True)
        (other / "known_hosts").write_text("")
        faults = [
            ({"host": "no-such-host.invalid"}, "resolve", "no-such-host.invalid|name"),
            ({"port": 1, "host_key": self.mx1.sshd.fingerprint()}, "connect", "refused"),
            ({"known_hosts": str(other / "known_hosts")}, "host key", "unknown"),
            ({"host_key": "SHA256:" + "A" * 43}, "host key", "pinned"),
            ({"key_file": [str(other / "missing")]}, "key", "missing"),
            ({"key_file": [str(other / "key")]}, "log in", "refuses user"),
            ({"path": "/var/lib/rcptsync-no-such-folder/table"}, "path", "does not exist; create it"),
            ({"path": "/etc/relay_recipients"}, "path", "cannot write in /etc"),
            ({"postfix_config": "/nonexistent"}, "Postfix", "postfix_config"),
            ({"map_type": "hash"}, "map type", "make them agree|no map type"),
        ]
        for settings, step, words in faults:
            with self.subTest(settings):
                daemon = self.daemon(targets=[self.target(**settings)], start=False)
                before = self.snapshot()
                done = daemon.ctl("target", "test", "mx1")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                failed = [line for line in unwrapped(done.stdout).splitlines() if line.startswith("failed")]
                self.assertEqual(len(failed), 1, done.stdout)
                self.assertRegex(failed[0], rf"^failed   {step}: .*({words})")
                self.assertIn("is not ready for a push", done.stdout)
                self.assert_unchanged(before)
        daemon = self.daemon(targets=[self.target(path=str(unlisted))], start=False)
        done = daemon.ctl("target", "test", "mx1")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(unwrapped(done.stdout), r"(?m)^warning  main.cf: .*does not name")
        self.assertIn("is not there yet", unwrapped(done.stdout))

    def test_a_login_shell_that_is_none_and_a_server_that_hangs(self):
        daemon = self.daemon(targets=[self.target(timeout="2s")], start=False)
        self.mx1.sshd.pause()
        self.addCleanup(self.mx1.sshd.resume)
        done = daemon.ctl("target", "test", "mx1")
        self.assertRegex(unwrapped(done.stdout), r"(?m)^failed   connect: .*\(2 s\)$")
        self.mx1.sshd.resume()
        subprocess.run(["usermod", "-s", "/usr/sbin/nologin", self.mx1.account.name], check=True)
        self.addCleanup(subprocess.run, ["usermod", "-s", "/bin/sh", self.mx1.account.name], check=True)
        done = daemon.ctl("target", "test", "mx1")
        self.assertRegex(unwrapped(done.stdout), r"(?m)^failed   shell: .*POSIX shell")

    def test_no_such_target(self):
        daemon = self.daemon(targets=[self.mx1.target()], start=False)
        for words in (("target", "test", "mx9"), ("target", "setup", "mx9")):
            done = daemon.ctl(*words)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no target is named mx9; there are mx1", done.stderr)

    # ---- verify -----------------------------------------------------------------------------------------------------

    def test_verify_compares_what_is_served(self):
        daemon = self.daemon(targets=[self.mx1.target()])
        generation = daemon.wait_current()
        done = daemon.ctl("verify")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"mx1: serves generation {generation}: ", done.stdout)
        document = json.loads(daemon.ctl("--json", "verify", "mx1").stdout)["targets"][0]
        self.assertTrue(document["right"])
        self.assertEqual(document["entries"], document["served_entries"])
        self.assertEqual(document["digest"], document["served_digest"])
        before = self.snapshot()

        right = self.mx1.table()
        self.addCleanup(lambda: self.mx1.install(self.company.table(), access=b""))
        self.mx1.path.write_bytes(right[right.index(b"\n") + 1:])
        done = daemon.ctl("verify")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"mx1: does not serve generation {generation}; `rcptsyncctl push mx1` mends it", done.stdout)
        self.assertRegex(" ".join(done.stdout.split()), r"table: \d+ entries, digest \w+; it should be \d+, digest \w+")

        # The text is right and the index is of another table: only reading it shows that.
        self.mx1.path.write_bytes(right[right.index(b"\n") + 1:])
        subprocess.run(["postmap", "-c", self.mx1.postfix.config, f"lmdb:{self.mx1.path}"], check=True)
        self.mx1.path.write_bytes(right)
        done = daemon.ctl("verify")
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not say what", " ".join(done.stdout.split()))
        self.assert_unchanged(before)
        self.mx1.sshd.stop()
        done = daemon.ctl("verify")
        self.assertEqual(done.returncode, 1)
        self.assertIn("mx1: cannot be asked: 127.0.0.1: connect: ", " ".join(done.stdout.split()) + " ")

    def test_verify_without_a_daemon(self):
        daemon = self.daemon(targets=[self.mx1.target()])
        daemon.wait_current()
        daemon.stop()
        done = daemon.ctl("verify", "mx1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # ---- setup and a key of our own ---------------------------------------------------------------------------------

    def run_setup(self, daemon, *arguments):
        script = daemon.ctl("target", "setup", "mx1")
        self.assertEqual((script.returncode, script.stderr), (0, ""))
        self.assertEqual(subprocess.run(["shellcheck", "--shell=sh", "-"], input=script.stdout, text=True,
                                        capture_output=True).stdout, "")
        return subprocess.run(["sh", "-s", "--", *arguments], input=script.stdout, text=True, capture_output=True,
                              timeout=60)

    def postconf(self, name):
        return subprocess.run(["postconf", "-c", self.mx1.postfix.config, "-h", name], capture_output=True,
                              text=True).stdout.strip()

    def test_setup_twice_then_a_push_with_a_key_of_keygen(self):
        user = f"rcpt-setup-{os.getpid()}"
        self.addCleanup(subprocess.run, ["userdel", "--force", "--remove", user], capture_output=True)
        key = self.folder / "setup" / "ssh-key"
        self.assertEqual(ctl("keygen", "--file", key).returncode, 0)
        folder = self.mx1.folder / "setup"
        table = folder / "relay_recipients"
        target = self.target(user=user, path=str(table), key_file=[str(key)], source_address="127.0.0.1")
        daemon = self.daemon(targets=[target], start=False)

        first = self.run_setup(daemon)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertNotIn("rcptsync target setup", first.stderr)
        self.assertIn(f"done:  account {user}", first.stdout)
        account = pwd.getpwnam(user)
        authorized = Path(account.pw_dir) / ".ssh" / "authorized_keys"
        line = authorized.read_text()
        self.assertEqual(line, f'from="127.0.0.1",restrict {Path(f"{key}.pub").read_text()}')
        self.assertEqual((authorized.stat().st_uid, authorized.stat().st_mode & 0o777), (account.pw_uid, 0o600))
        self.assertEqual((folder.stat().st_uid, folder.stat().st_mode & 0o777), (account.pw_uid, 0o755))
        self.assertIn("push first", first.stdout)

        main_cf = Path(self.mx1.postfix.config) / "main.cf"
        before = (main_cf.read_bytes(), Path("/etc/passwd").read_bytes(), authorized.stat().st_ino)
        again = self.run_setup(daemon)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("done:", again.stdout)
        self.assertEqual((main_cf.read_bytes(), Path("/etc/passwd").read_bytes(), authorized.stat().st_ino), before)

        # The same key with other options is replaced, other keys stay.
        authorized.write_text(f"ssh-ed25519 AAAAother other\n{line.replace('restrict ', '')}")
        self.run_setup(daemon)
        self.assertEqual(authorized.read_text(), f"ssh-ed25519 AAAAother other\n{line}")

        # This sshd reads another file of keys; what setup wrote is what it gets.
        authorized_there = self.mx1.sshd.folder / "authorized_keys"
        kept = authorized_there.read_text()
        self.addCleanup(authorized_there.write_text, kept)
        authorized_there.write_text(line)
        done = daemon.ctl("target", "test", "mx1")
        self.assertEqual(done.returncode, 0, done.stdout)
        with daemon.start():
            daemon.wait_current()
        self.assertEqual(table.read_bytes(), self.company.table())

        # Now there is a table, and main.cf still names another one: only said. Without any it is set on request.
        third = self.run_setup(daemon, "--postfix")
        self.assertEqual(third.returncode, 0, third.stderr)
        kind = self.postconf("default_database_type")
        self.assertIn(f"put {kind}:{table} there", third.stdout)
        self.assertEqual(main_cf.read_bytes(), before[0])
        self.addCleanup(main_cf.write_bytes, before[0])
        main_cf.write_bytes(b"".join(line for line in before[0].splitlines(keepends=True)
                                     if not line.startswith(b"relay_recipient_maps")))
        # A domain that is relayed and not in the table would be answered 550: that is for a person.
        shown = self.run_setup(daemon, "--postfix")
        self.assertIn("TO DO: relay_domains also has partner.example", shown.stdout)
        self.assertEqual(self.postconf("relay_recipient_maps"), "")
        main_cf.write_text(re.sub(r"(?m)^(relay_domains.*?),? *partner[.]example", r"\1", main_cf.read_text()))
        shown = self.run_setup(daemon)
        self.assertIn(f"'relay_recipient_maps = {kind}:{table}'", shown.stdout)
        self.run_setup(daemon, "--postfix")
        self.assertEqual(self.postconf("relay_recipient_maps"), f"{kind}:{table}")
        settled = main_cf.read_bytes()
        last = self.run_setup(daemon, "--postfix")
        self.assertIn(f"ok:    main.cf names {table}", last.stdout)
        self.assertEqual(main_cf.read_bytes(), settled)

    def test_setup_leaves_a_folder_of_somebody_else_alone(self):
        with Account() as account:
            daemon = self.daemon(targets=[self.target(user=account.name, path="/etc/postfix/relay_recipients")],
                                 start=False)
            owner = Path("/etc/postfix").stat().st_uid
            done = self.run_setup(daemon)
            self.assertEqual(done.returncode, 1)
            self.assertIn("a folder of its own", done.stderr)
            self.assertEqual(Path("/etc/postfix").stat().st_uid, owner)

    def test_setup_without_a_key(self):
        daemon = self.daemon(targets=[self.target(key_file=["/nonexistent/key"])], start=False)
        done = daemon.ctl("target", "setup", "mx1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("rcptsyncctl keygen", done.stderr)


if __name__ == "__main__":
    unittest.main()
