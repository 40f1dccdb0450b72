"""rcptsyncctl prune-directory against real directories: what it lists, what it removes, and what it must leave alone."""

import base64
import json
import os
import pty
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from active_directory import ActiveDirectory
from daemon import Daemon, ldap_source
from slapd import Slapd

PROGRAMS = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "bin"
# Whoever writes may change these two attributes, the reader nothing.
RIGHTS = 'access to attrs=userPassword by * auth\naccess to * by dn.base="{reader}" read by * none'
QUOTED = 'smtp:"a,b+c=\\"<d>;\\\\"@lab.example.com'


def entry(name, *proxies, mail=None):
    lines = "".join(f"proxyAddresses:: {base64.b64encode(p.encode()).decode()}\n" for p in proxies)
    return (f"dn: cn={name},ou=Users,{Slapd.suffix}\nobjectClass: user\n"
            + (f"mail: {mail}\n" if mail else "") + lines)


class PruneCase(unittest.TestCase):
    exclude = ("@lab.example.com", "@Old.Example.com", "somebody@example.com", "/^test-/")

    def configure(self, source, **more):
        daemon = Daemon(Path(tempfile.mkdtemp(prefix="prune-", dir=self.folder)), PROGRAMS, [source],
                        [{"name": "mx", "host": "127.0.0.1", "path": "/x", "host_key": "SHA256:" + "A" * 43,
                          "key_file": "/nowhere"}],
                        recipients={"exclude": list(self.exclude)}, **more)
        return daemon

    def prune(self, *arguments, config=None):
        return (config or self.config).ctl("--json", "prune-directory", *arguments)

    def apply(self, *arguments, config=None, user=None, password_file=None):
        return self.prune("--apply", "--yes", "--user", user or self.writer, "--password-file",
                          str(password_file or self.writer_password), *arguments, config=config)

    def objects(self, done):
        document = json.loads(done.stdout)
        return {o["dn"].split(",")[0].lower()[3:]: o for s in document["sources"] for o in s["objects"]}


class OnSlapd(PruneCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-prune-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.directory = Slapd(cls.folder / "slapd", settings=RIGHTS.format(reader=Slapd.reader_dn))
        cls.directory.start()
        cls.addClassCleanup(cls.directory.stop)
        cls.writer = Slapd.admin_dn
        cls.writer_password = cls.folder / "writer"
        cls.writer_password.touch(0o600)
        cls.writer_password.write_text(Slapd.admin_password)

    def setUp(self):
        self.config = self.configure(ldap_source(self.directory))
        people = (entry("ada", "SMTP:ada@example.com", "smtp:ada@lab.example.com", "smtp:ada@LAB.example.com.old"),
                  entry("bob", "SMTP:bob@lab.example.com", "smtp:bob@example.com"),
                  entry("carl", "smtp:carl@lab.example.com", "X400:c=DE;a= ;"),
                  entry("dora", "SMTP:dora@example.com", QUOTED, "smtp:dora@OLD.example.com"),
                  entry("emil", "SMTP:somebody@example.com", "smtp:test-1@example.com", "smtp:@lab.example.com"))
        self.directory.add("\n".join(people))
        self.addCleanup(lambda: self.directory.modify("\n".join(
            f"dn: cn={name},ou=Users,{Slapd.suffix}\nchangetype: delete\n"
            for name in ("ada", "bob", "carl", "dora", "emil"))))

    def values(self, name):
        done = subprocess.run(["ldapsearch", "-LLL", "-x", "-o", "ldif-wrap=no", "-H", self.directory.uri,
                               "-D", Slapd.admin_dn, "-w", Slapd.admin_password,
                               "-b", f"cn={name},ou=Users,{Slapd.suffix}", "proxyAddresses", "mail"],
                              capture_output=True, text=True, check=True)
        plain = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if line.startswith(("proxyAddresses: ", "mail: "))]
        coded = [base64.b64decode(line.split(":: ", 1)[1]).decode() for line in done.stdout.splitlines()
                 if line.startswith("proxyAddresses:: ")]
        return sorted(plain + coded)

    def test_dry_run_changes_nothing(self):
        before = [self.values(name) for name in ("ada", "bob", "carl", "dora", "emil")]
        done = self.prune()
        self.assertEqual(done.returncode, 0, done.stderr)
        found = self.objects(done)
        self.assertEqual(sorted(found), ["ada", "bob", "carl", "dora"])
        self.assertEqual([v["value"] for v in found["ada"]["values"]], ["smtp:ada@lab.example.com"])
        self.assertFalse(found["bob"]["values"][0]["selected"], "a primary address stays")
        self.assertTrue(found["carl"]["takes_last"])
        self.assertEqual(sorted(v["value"] for v in found["dora"]["values"]),
                         sorted([QUOTED, "smtp:dora@OLD.example.com"]))
        self.assertEqual([self.values(name) for name in ("ada", "bob", "carl", "dora", "emil")], before)
        text = self.config.ctl("prune-directory")
        self.assertIn("primary address", text.stdout)
        self.assertIn("no address left", text.stdout)
        self.assertIn("nothing was changed", text.stdout)

    def test_apply(self):
        done = self.apply()
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(self.values("ada"), sorted(["SMTP:ada@example.com", "smtp:ada@LAB.example.com.old"]))
        self.assertIn("SMTP:bob@lab.example.com", self.values("bob"))
        self.assertEqual(self.values("carl"), ["X400:c=DE;a= ;"])
        self.assertEqual(self.values("dora"), ["SMTP:dora@example.com"])
        self.assertEqual(len(self.values("emil")), 3)
        for word in ("cn=ada,ou=Users", "proxyAddresses", "smtp:ada@lab.example.com", "has no address any more"):
            self.assertIn(word, done.stderr)
        again = self.prune()
        self.assertEqual(sorted(self.objects(again)), ["bob"])

    def test_primary_domain_and_limit(self):
        done = self.apply("--domain", "lab.example.com", "--include-primary", "--limit", "2")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        document = json.loads(done.stdout)
        self.assertEqual((document["removed"], document["failed"]), (2, 0))
        self.assertEqual(self.values("bob"), ["smtp:bob@example.com"])
        self.assertIn("smtp:carl@lab.example.com", self.values("carl"))
        self.assertIn("smtp:dora@OLD.example.com", self.values("dora"))

    def test_an_account_without_rights_stops_at_the_first_object(self):
        before = self.values("ada")
        done = self.apply(user=Slapd.reader_dn, password_file=self.directory.password_file)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["failed"], 1)
        for word in ("may not change it", "--user", "stopped"):
            self.assertIn(word, done.stderr)
        self.assertEqual(self.values("ada"), before)

    def test_a_value_that_changed_while_a_person_thought_stays(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(self.config.command(
            "rcptsyncctl", "prune-directory", "--apply", "--user", self.writer, "--password-file",
            str(self.writer_password)), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.close(theirs)
        asked = ""
        while "Type yes: " not in asked:
            letter = process.stderr.read(1)
            self.assertTrue(letter, asked)
            asked += letter
        # A directory compares without case: deleting the old value would delete the new one.
        self.directory.modify(f"dn: cn=ada,ou=Users,{Slapd.suffix}\nchangetype: modify\ndelete: proxyAddresses\n"
                              "proxyAddresses: smtp:ada@lab.example.com\n-\nadd: proxyAddresses\n"
                              "proxyAddresses: SMTP:ada@lab.example.com\n")
        os.write(ours, b"yes\n")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, out + err)
        self.assertIn("is not there any more", err)
        self.assertIn("SMTP:ada@lab.example.com", self.values("ada"))
        self.assertEqual(self.values("dora"), ["SMTP:dora@example.com"], "the others go on")

    def test_a_person_says_no(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        os.write(ours, b"no\n")
        done = subprocess.run(self.config.command(
            "rcptsyncctl", "prune-directory", "--apply", "--user", self.writer, "--password-file",
            str(self.writer_password)), stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
        os.close(theirs)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was removed", done.stderr)
        self.assertIn("smtp:ada@lab.example.com", self.values("ada"))

    def test_wrong_usage(self):
        for arguments, words in ((["--apply", "--yes"], "--user"),
                                 (["--user", "x"], "--password-file"),
                                 (["--apply", "--user", "x", "--password-file", "y"], "--yes"),
                                 (["--domain", "example.com"], "no @example.com"),
                                 (["--source", "nobody"], "nobody"), (["--limit", "x"], "limit")):
            with self.subTest(arguments=arguments):
                done = self.prune(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(words, done.stderr)

    def test_a_directory_that_is_gone(self):
        gone = self.configure({**ldap_source(self.directory), "servers": ["ldaps://127.0.0.1:1"]})
        done = self.prune(config=gone)
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:1", done.stderr)


class OnActiveDirectory(PruneCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-pr-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=5, values=1700)
        cls.addClassCleanup(cls.domain.stop)
        cls.writer = cls.domain.administrator
        cls.writer_password = cls.domain.password_file  # all accounts of the laboratory have the same

    def source(self, **more):
        return {"name": "corp", "type": "active-directory", "servers": [self.domain.ldaps_uri],
                "ca_file": self.domain.ca_file,
                "bind": {"method": "simple", "user": self.domain.reader,
                         "password_file": self.domain.password_file}, **more}

    def test_apply(self):
        self.config = self.configure(self.source())
        base = self.domain.base
        odd = rf"CN=Odd\, \"name\" \#\+\=,OU=Users,{base}"
        self.domain.add(f"dn: {odd}\nobjectClass: user\nsAMAccountName: odd\nmail: odd@lab.example.com\n"
                        "proxyAddresses: SMTP:odd@example.com\nproxyAddresses: smtp:odd@lab.example.com\n"
                        f"proxyAddresses: {QUOTED}\n")
        self.domain.modify(f"dn: CN=Many Addresses,OU=Users,{base}\nchangetype: modify\nadd: proxyAddresses\n"
                           "proxyAddresses: smtp:many@lab.example.com\n")

        refused = self.apply(user=self.domain.reader)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("may not change it", refused.stderr)

        done = self.apply()
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        document = json.loads(done.stdout)
        self.assertEqual((document["removed"], document["values"], document["primary_kept"]), (2, 3, 1))
        left = json.loads(self.prune().stdout)["sources"][0]["objects"]
        self.assertEqual([[v["value"] for v in o["values"]] for o in left], [["odd@lab.example.com"]])
        done = self.apply("--include-primary")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(json.loads(self.prune().stdout)["sources"][0]["objects"], [])

    def test_the_global_catalogue_is_not_written(self):
        self.config = self.configure(self.source(servers=[self.domain.global_catalogue_uri]))
        done = self.prune()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("global catalogue", self.apply().stderr)
        self.assertEqual(self.apply().returncode, 2)


if __name__ == "__main__":
    unittest.main()
