"""Bad input to the running daemon: one clear line that names the thing and the way out, nothing lost, the others go on.

Real slapd, sshd and Postfix.
"""

import subprocess
import unittest
from pathlib import Path

from certificates import Authority
from company import Company
from daemon import polled_source
from sshd import Sshd
from whole_system import WholeSystem


class BadTarget(WholeSystem):
    """mx2 has a fault, mx1 gets every change."""

    def trouble(self, *words, targets=None, **more):
        """Starts a daemon whose mx2 has the settings `more`; its error, which is told once."""
        targets = targets or [self.mx1.target(), self.mx2.target(**more)]
        self.before = self.mx2.table()
        self.company.hire("ada")
        daemon = self.daemon(targets=targets)
        line = daemon.wait_line("push to mx2 failed, it keeps its table: ")
        self.assertTrue(line.startswith("error: "), line)
        for word in words:
            self.assertIn(word, line)
        daemon.wait_line("mx1 serves generation 1 ")
        daemon.wait(lambda status: [target["state"] for target in status["targets"]] == ["current", "failing"])
        self.assertIn(daemon.target("mx2")["last_error"], line)
        self.assertEqual(self.mx2.table(), self.before)
        self.assert_answers("ada@example.com", 250, "mx1")
        self.assert_answers("person001@example.com", 250)
        return daemon

    def mended(self, daemon):
        """The fault is gone: the next change reaches mx2 too, without a restart."""
        self.company.hire("bob")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        self.assert_tables(self.company.table())
        self.assert_answers("bob@example.com", 250)

    def key(self, *options):
        file = self.folder / f"key-{self.id().rsplit('.', 1)[1]}"
        subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", file], check=True, stdin=subprocess.DEVNULL)
        return file

    def test_key_readable_by_others(self):
        key = self.folder / "loose-key"
        key.write_bytes(Path(self.mx2.sshd.key()).read_bytes())
        key.chmod(0o644)
        daemon = self.trouble(str(key), "0644", "chmod", key_file=[str(key)])
        key.chmod(0o600)
        self.mended(daemon)

    def test_rsa_key(self):
        key = self.key("-t", "rsa", "-b", "2048")
        self.trouble(str(key), "RSA", "ssh-keygen -t ed25519", key_file=[str(key)])

    def test_key_that_the_target_does_not_take(self):
        key = self.key("-t", "ed25519")
        self.trouble(str(key), "authorized_keys", key_file=[str(key)])

    def test_missing_key(self):
        self.trouble(str(self.folder / "no-key"), "0600", key_file=[str(self.folder / "no-key")])

    def test_host_not_in_known_hosts(self):
        known = self.folder / "known_hosts-empty"
        known.write_text("")
        daemon = self.trouble(str(known), f"[127.0.0.1]:{self.mx2.sshd.port}", "ssh-keyscan", known_hosts=str(known))
        known.write_text(Path(self.mx2.sshd.known_hosts).read_text())
        self.mended(daemon)

    def test_changed_host_key(self):
        known = self.folder / "known_hosts-changed"
        known.write_text(f"[127.0.0.1]:{self.mx2.sshd.port} {self.mx1.sshd.host_key()}\n")
        self.trouble("the host key has changed", str(known), self.mx2.sshd.fingerprint(), self.mx1.sshd.fingerprint(),
                     "ssh-keygen -R", known_hosts=str(known))

    def test_disk_full_on_the_target(self):
        folder = self.mx2.folder / "small"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", folder], check=True)
        self.mx2.account.own(folder)
        path = folder / "relay_recipients"
        path.write_bytes(self.mx2.table())
        subprocess.run(["postmap", "-c", self.mx2.postfix.config, f"cdb:{path}"], check=True)
        self.mx2.account.own(*folder.iterdir())
        filler = folder / "filler"
        with open(filler, "wb", buffering=0) as stream:
            try:
                while stream.write(bytes(4096)):
                    pass
            except OSError:
                pass
        before = path.read_bytes()
        daemon = self.trouble(str(folder), "left", targets=[self.mx1.target(), self.mx2.target() | {"path": str(path)}])
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual({file.name for file in folder.iterdir()} - {"relay_recipients.lock"},
                         {"relay_recipients", "relay_recipients.cdb", "filler"})
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
        self.company.hire("bob")
        self.poll(daemon, "mx2 serves generation 2 ")
        self.assertEqual(path.read_bytes(), self.company.table())

    def test_missing_postmap(self):
        # A mount namespace of its own for mx2's sshd, in which postmap is not there.
        hide = "mount --bind /dev/null /usr/sbin/postmap && exec \"$0\" \"$@\""
        server = Sshd(self.mx2.folder / "ssh-without-postmap", user=self.mx2.account.name,
                      command=["unshare", "--mount", "--propagation", "private", "sh", "-c", hide]).start()
        self.addCleanup(server.stop)
        target = {**self.mx2.target(), **server.target()}
        self.trouble("postmap", "install", targets=[self.mx1.target(), target])

    def test_folder_that_the_account_may_not_write(self):
        self.mx2.tables.chmod(0o555)
        self.addCleanup(self.mx2.tables.chmod, 0o755)
        subprocess.run(["chown", "root", self.mx2.tables], check=True)
        self.addCleanup(self.mx2.account.own, self.mx2.tables)
        self.trouble(str(self.mx2.tables))

    def test_postfix_folder_without_main_cf(self):
        nowhere = str(self.mx2.folder / "nowhere")
        self.trouble("postfix_config", nowhere, postfix_config=nowhere)

    def test_map_type_that_main_cf_does_not_use(self):
        self.trouble("map_type", "lmdb", "cdb", map_type="lmdb")


class BadSource(WholeSystem):
    """The source `branch` has a fault, `corp` goes on: its additions flow."""

    gateway_kinds = {"mx1": "lmdb"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.branch = Company(cls.folder / "branch").open(30, "example.net")
        cls.addClassCleanup(cls.branch.stop)

    def trouble(self, fault, mend, *words):
        """A daemon that has read both; then `fault` happens to the branch; then `mend` ends it."""
        self.password = self.folder / f"password-{self.id().rsplit('.', 1)[1]}"
        self.password.touch(0o600)
        self.password.write_text(self.branch.reader_password)
        source = polled_source(self.branch, "branch")
        source["bind"] = {**source["bind"], "password_file": str(self.password)}
        self.source = source
        daemon = self.daemon(sources=[polled_source(self.company), source])
        daemon.wait_current()
        fault()
        self.company.hire("ada")
        self.company.leave("person009")
        at = len(daemon.text())
        self.poll(daemon, "generation 2 is in force")
        line = daemon.wait_line("source branch was not read, its last good recipients stay: ", after=at)
        self.assertTrue(line.startswith("error: "), line)
        for word in words:
            self.assertIn(word, line)
        self.assertNotIn(self.branch.reader_password, daemon.text())
        daemon.wait_current()
        self.assert_answers("ada@example.com", 250)
        self.assert_answers("person009@example.com", 250)   # removals wait for every source
        self.assert_answers("person001@example.net", 250)
        status = daemon.status()
        self.assertEqual([bool(one["last_error"]) for one in status["sources"]], [False, True])
        self.assertEqual(status["sources"][1]["recipients"], 30)
        self.assertEqual(daemon.ctl("status").returncode, 1)
        mend()
        self.poll(daemon, "generation 3 is in force")
        daemon.wait_current()
        self.assert_answers("person009@example.com", 550)
        self.assertIsNone(daemon.status()["sources"][1]["last_error"])

    def test_password_refused(self):
        self.trouble(lambda: self.password.write_text("wrong"), self.write_password, self.branch.reader_dn, "password")

    def test_missing_password_file(self):
        self.trouble(lambda: self.password.unlink(), self.write_password, "password-test_missing_password_file", "0600")

    def test_password_file_that_others_can_read(self):
        self.trouble(lambda: self.password.chmod(0o644), lambda: self.password.chmod(0o600),
                     "password-test_password_file_that_others_can_read", "0644", "chmod")

    def test_empty_password_file(self):
        self.trouble(lambda: self.password.write_text("\n"), self.write_password,
                     "password-test_empty_password_file", "empty")

    def write_password(self):
        self.password.touch(0o600)
        self.password.write_text(self.branch.reader_password)

    def serve_with(self, pair):
        """Starts the branch's server again, with another certificate."""
        self.branch.stop()
        good, self.branch._pair = self.branch._pair, pair
        self.branch.start()
        return lambda: self.serve_with(good)

    def certificate_trouble(self, pair, *words):
        put_back = []
        self.trouble(lambda: put_back.append(self.serve_with(pair)), lambda: put_back[0](), *words)

    def test_expired_server_certificate(self):
        pair = Authority(self.branch.folder / "tls").issue("expired", ["localhost", "127.0.0.1"], expired=True)
        self.certificate_trouble(pair, "expired")

    def test_certificate_of_another_authority(self):
        pair = Authority(self.folder / "strange-tls", "Strange CA").issue("server", ["localhost", "127.0.0.1"])
        self.certificate_trouble(pair, "ca_file", self.branch.ca_file)

    def test_certificate_of_another_host(self):
        pair = Authority(self.branch.folder / "tls").issue("elsewhere", ["elsewhere.example"])
        self.certificate_trouble(pair, "elsewhere.example", "127.0.0.1")

    def test_missing_ca_file_names_it(self):
        source = polled_source(self.branch, "branch", ca_file=str(self.folder / "no-ca.pem"))
        daemon = self.daemon(sources=[polled_source(self.company), source])
        line = daemon.wait_line("source branch was not read")
        self.assertIn(str(self.folder / "no-ca.pem"), line)
        # It was never read: nothing is published, and nothing is taken away.
        daemon.wait(lambda status: status["held"])
        self.assertEqual(daemon.status()["generation"], 0)
        self.assert_answers("person001@example.com", 250)


if __name__ == "__main__":
    unittest.main()
