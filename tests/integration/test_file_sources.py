"""Sources that read files: accounts, table and exchange55, alone and several of them, from the file to the table. No
servers: what is published is what rcptsyncctl prints."""

import os
import shutil
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
