"""Sources that read files: accounts, table and exchange55, alone and several of them, from the file to the table. No
servers: what is published is what rcptsyncctl prints."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from company import postfix_table
from daemon import Daemon
from whole_system import PROGRAMS

EXCHANGE55 = ("Obj-Class\tDirectory Name\tE-mail Addresses\tSecondary-Proxy-Addresses\r\n"
              "Mailbox\tada\tMS:EX/HQ/ADA%SMTP:ada@example.com\tsmtp:a@example.com%X400:c=DE;a= ;\r\n"
              "dl\tall\tSMTP:all@example.com\t\r\n")


def people(*numbers):
    return "".join(f"person{number:03}@example.com\n" for number in numbers)


class FileSources(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-files-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, content):
        """Puts a file in the place of another, as if it had been there for a minute: nothing has to be waited for."""
        path = self.folder / name
        new = self.folder / f"{name}.new"
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        new.chmod(0o644)
        old = time.time() - 60
        os.utime(new, (old, old))
        new.rename(path)
        return str(path)

    def daemon(self, *sources, **sections):
        sections.setdefault("recipients", {"domains": ["example.com", "example.net"]})
        return Daemon(self.folder / "daemon", PROGRAMS, list(sources), [], **sections)

    def table(self, name, content, **more):
        return {"name": name, "type": "table", "path": self.write(name, content), **more}

    def once(self, daemon, code=0):
        done = daemon.run("--once")
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def assert_table(self, daemon, *addresses):
        self.assertEqual(daemon.table().encode(), postfix_table(*addresses))

    # ---- each type --------------------------------------------------------------------------------------------------

    def test_a_table_of_every_kind_of_line(self):
        daemon = self.daemon(self.table("t", "# by hand\nada@example.com\nbob@example.com OK\n"
                                             "cyd@example.com 550 5.1.1 Has left\nDan: SMTP:dan@example.com sip:x@y\n"
                                             "@example.com\nother@example.org\nno address\n"))
        said = self.once(daemon)
        self.assert_table(daemon, "ada@example.com", "bob@example.com", "dan@example.com")
        self.assertIn("@example.com is no recipient", said)     # a wildcard is named, and never published
        self.assertIn("t:8 table: no address is no recipient", said)

    def test_csv_and_ldif_are_known_by_their_content(self):
        daemon = self.daemon(
            self.table("csv", "\ufeffDN;proxyAddresses\r\nCN=Ada;\"SMTP:ada@example.com;smtp:a@example.com\"\r\n"
                       .encode("utf-16-le")),
            self.table("ldif", "dn: cn=bob\nproxyAddresses:: c210cDpib2JAZXhhbXBsZS5jb20=\n\n"))
        self.once(daemon)
        self.assert_table(daemon, "a@example.com", "ada@example.com", "bob@example.com")

    def test_accounts(self):
        daemon = self.daemon({
            "name": "unix", "type": "accounts", "domains": ["example.com", "example.net"],
            "passwd": self.write("passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n"
                                           "nobody:x:65534:65534::/:/usr/sbin/nologin\n"),
            "aliases": self.write("aliases", "postmaster: root\nroot:\n  ada\n\"first last\": ada\n")})
        self.once(daemon)
        self.assert_table(daemon, *(f"{name}@{domain}" for domain in ("example.com", "example.net")
                                    for name in ("ada", "postmaster", "root", '"first last"')))

    def test_exchange55(self):
        daemon = self.daemon({"name": "old", "type": "exchange55", "path": self.write("export", EXCHANGE55)})
        self.once(daemon)
        self.assert_table(daemon, "a@example.com", "ada@example.com", "all@example.com")

    # ---- damage -----------------------------------------------------------------------------------------------------

    def test_a_damaged_file_leaves_the_last_good_recipients(self):
        source = self.table("t", people(1, 2, 3))
        daemon = self.daemon(source)
        self.once(daemon)
        before = daemon.table()
        for content in ("", "# all gone\n", people(1) + "person002@exa", "<html>\n<body>\nNot found\n", b"\0\0\0",
                        "Name,proxyAddresses\nx,\"SMTP:person001@ex"):
            self.write("t", content)
            self.assertIn("source t was not read, its last good recipients stay", self.once(daemon, 1))
            self.assertEqual(daemon.table(), before)
        (self.folder / "t").unlink()
        self.assertIn("No such file", self.once(daemon, 1))
        self.assertEqual(daemon.table(), before)
        self.write("t", people(1, 2, 3, 4))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 3, 4).split())

    def test_no_damage_does_more_than_a_failed_read(self):
        """Each leaves the table as it is, and is told in one line that names the file and what is wrong."""
        path = self.folder / "t"
        daemon = self.daemon(self.table("t", people(1, 2, 3)))
        self.once(daemon)
        before = daemon.table()
        utf_16 = b"\xff\xfe" + people(1, 2, 3).encode("utf-16-le")

        def loop():
            path.symlink_to("other")
            (self.folder / "other").symlink_to("t")

        def huge():
            path.touch(0o644)
            os.truncate(path, (1 << 30) + 1)

        for what, make, expected in (
                ("a line of 100 kB", lambda: self.write("t", "a" * 100_000 + "\n"), "none of the formats"),
                ("many of them", lambda: self.write("t", people(1) + ("a" * 100_000 + "@b.example\n") * 50), "none of"),
                ("NUL", lambda: self.write("t", people(1, 2, 3).encode() + b"x\0@example.com\n"), "NUL"),
                ("half a character", lambda: self.write("t", utf_16[:-1]), "UTF-16"),
                ("half a pair", lambda: self.write("t", utf_16 + b"\x3d\xd8"), "the last line has no end"),
                ("an open quote", lambda: self.write("t", 'proxyAddresses\n"smtp:person001@example.com\n'), "never closed"),
                ("a folder", path.mkdir, "it is a folder"),
                ("a FIFO", lambda: os.mkfifo(path), "not a regular file"),
                ("a device", lambda: os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 5)), "not a regular file"),
                ("a loop", loop, "Too many levels of symbolic links"),
                ("a link to nothing", lambda: path.symlink_to("nothing"), "No such file"),
                ("more than 1 GiB", huge, "1073741825 bytes"),
                ("for everybody to write", lambda: Path(self.write("t", people(1))).chmod(0o666), "chmod o-w")):
            with self.subTest(what):
                path.unlink()
                make()
                errors = [line for line in self.once(daemon, 1).splitlines() if line.startswith("error: ")]
                self.assertEqual(len(errors), 1, errors)
                self.assertTrue(errors[0].startswith(
                    f"error: source t was not read, its last good recipients stay: {path}: "), errors[0])
                self.assertIn(expected, errors[0])
                self.assertLess(len(errors[0]), 1000)
                self.assertEqual(daemon.table(), before)
                if path.is_dir():
                    path.rmdir()
                    path.touch()
        path.unlink()
        self.write("t", people(1, 2, 3, 4))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 3, 4).split())

    def test_a_file_that_may_not_be_read_any_more(self):
        nobody = pwd.getpwnam("nobody")
        self.folder.chmod(0o755)
        daemon = self.daemon(self.table("t", people(1, 2)))
        os.chown(daemon.folder, nobody.pw_uid, nobody.pw_gid)

        def once():
            return subprocess.run(daemon.command("rcptsyncd", "--once"), user=nobody.pw_uid, group=nobody.pw_gid,
                                  extra_groups=[], capture_output=True, text=True, timeout=60)
        done = once()
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.folder / "t").chmod(0o600)
        done = once()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("Permission denied", done.stderr)
        self.assertIn(f"namei -l {self.folder}/t", done.stderr)
        self.assert_table(daemon, *people(1, 2).split())

    def test_a_file_that_grows_is_read_when_it_is_whole_whatever_its_times_say(self):
        daemon = self.daemon(self.table("t", people(1)))
        self.once(daemon)
        path = self.folder / "t"
        for away in (-86400, 86400):                            # by the clock of the machine that has the disk
            path.write_text("")
            writing = subprocess.Popen(daemon.command("rcptsyncd", "--once"), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for number in range(30):
                with open(path, "a") as out:
                    out.write(people(number))
                os.utime(path, (time.time() + away,) * 2)
                time.sleep(0.1)
            self.assertEqual(writing.wait(60), 0)
            self.assert_table(daemon, *people(*range(30)).split())
            path.unlink()
            self.write("t", people(1))
            self.once(daemon, 3)

    def test_an_empty_file_counts_only_where_it_may_be_empty(self):
        daemon = self.daemon(self.table("t", people(1, 2)), self.table("extra", "# none yet\n", allow_empty=True))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2).split())
        daemon.settings["sources"][1].pop("allow_empty")
        daemon.write()
        self.assertIn("allow_empty: true", self.once(daemon, 1))

    def test_check_finds_what_a_read_would(self):
        daemon = self.daemon(self.table("t", people(1)), self.table("cut", people(1) + "x"),
                             {"name": "old", "type": "exchange55", "path": "missing"})
        done = daemon.run("--check")
        self.assertEqual(done.returncode, 78)
        self.assertIn("sources.cut: path: ", done.stdout)
        self.assertIn("sources.old: path: ", done.stdout)
        self.assertNotIn("sources.t:", done.stdout)
        self.write("cut", people(1))
        self.write("missing", EXCHANGE55)
        daemon.settings["sources"][2]["path"] = str(self.folder / "missing")
        daemon.write()
        done = daemon.run("--check")
        self.assertEqual(done.returncode, 0, done.stdout)

    # ---- several sources --------------------------------------------------------------------------------------------

    def test_an_address_vanishes_with_its_last_owner(self):
        daemon = self.daemon(self.table("a", people(1, 2, 3)), self.table("b", people(3, 4)))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 3, 4).split())
        self.write("a", people(1, 2))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 3, 4).split())
        self.write("b", people(4))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 4).split())

    def test_an_ok_of_one_source_beats_the_reject_of_another(self):
        daemon = self.daemon(self.table("a", "x@example.com 550 5.1.1 gone\ny@example.com\n"),
                             self.table("b", "x@example.com\nz@example.com\n"))
        self.once(daemon)
        self.assert_table(daemon, "x@example.com", "y@example.com", "z@example.com")
        self.write("b", "z@example.com\n")
        self.once(daemon)
        self.assert_table(daemon, "y@example.com", "z@example.com")

    def test_while_one_source_fails_removals_of_all_wait_and_additions_flow(self):
        daemon = self.daemon(self.table("a", people(1, 2, 3)), self.table("b", people(4, 5)))
        self.once(daemon)
        self.write("a", people(1, 2, 6))
        self.write("b", "")
        said = self.once(daemon, 1)
        self.assertIn("1 removal is held", said)
        self.assert_table(daemon, *people(1, 2, 3, 4, 5, 6).split())
        self.assertEqual(daemon.status()["held"]["removed"], 1)
        self.once(daemon, 1)                                    # and again: nothing slips through later
        self.assert_table(daemon, *people(1, 2, 3, 4, 5, 6).split())
        self.write("b", people(4, 5))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 4, 5, 6).split())
        self.assertIsNone(daemon.status()["held"])

    def test_an_address_that_moves_between_sources_never_leaves(self):
        daemon = self.daemon(self.table("a", people(1, 2, 3)), self.table("b", people(4)))
        self.once(daemon)
        generation = daemon.status()["generation"]
        self.write("a", people(1, 2))
        self.write("b", people(3, 4))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2, 3, 4).split())
        self.assertEqual(daemon.status()["generation"], generation)

    def test_no_first_table_before_every_source_was_read(self):
        daemon = self.daemon(self.table("a", people(1)), self.table("b", ""))
        self.once(daemon, 1)
        self.assertEqual(daemon.status()["generation"], 0)
        self.write("b", people(2))
        self.once(daemon)
        self.assert_table(daemon, *people(1, 2).split())

    # ---- the running daemon -----------------------------------------------------------------------------------------

    def test_a_file_that_is_still_being_written_is_waited_for(self):
        daemon = self.daemon(self.table("t", people(1, 2)), schedule={"poll": "1s", "jitter": "0%"})
        with daemon.start():
            daemon.wait(lambda status: status["recipients"] == 2)
            path = self.folder / "t"
            with open(path, "w") as out:                        # in place: for a moment only the first half is there
                out.write(people(*range(1, 21)))
                out.flush()
                out.write(people(*range(21, 41)))
            daemon.wait(lambda status: status["recipients"] == 40)
            self.assertNotIn("removals are held", daemon.text())


if __name__ == "__main__":
    unittest.main()
