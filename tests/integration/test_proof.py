"""Proof before change, on the real parts: a domain controller (Samba) whose objects vanish for the reader, Postfix that
answers for it, grace, and the reason for which an address is missing."""

import json
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import samba_rights
from active_directory import ActiveDirectory
from company import postfix_table
from daemon import Daemon, polled_source
from gateway import Gateway
from whole_system import PROGRAMS, WholeSystem

SALES = 15          # enough for the shares of the guard, which count from ten removals on
FILTER = "(&(|(proxyAddresses=*)(mail=*))(!(description=not for mail)))"


def sales(number):
    return f"sales{number:02}@example.com"


class OnSamba(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-pf-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.folder.chmod(0o755)  # Postfix and the account on the gateway are other users
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=60, values=2)
        cls.addClassCleanup(cls.domain.stop)
        base = cls.domain.base
        cls.users, cls.archive = f"OU=Users,{base}", f"OU=Archive,{base}"
        cls.sales = f"OU=Sales,{cls.users}"
        cls.domain.add("\n".join(f"dn: {dn}\nobjectClass: organizationalUnit\n" for dn in (cls.sales, cls.archive)))
        for number in range(SALES):
            cls.add_user(f"sales{number:02}", cls.sales)
        cls.gateway = Gateway(cls.folder, "mx1", domains=("example.com",))
        cls.addClassCleanup(cls.gateway.close)
        cls.gateway.install(postfix_table())
        cls.gateway.postfix.start()

    @classmethod
    def add_user(cls, name, parent, more=""):
        cls.domain.add(f"dn: CN={name},{parent}\nobjectClass: user\nsAMAccountName: {name}\n"
                       f"userAccountControl: 544\nproxyAddresses: SMTP:{name}@example.com\n{more}")

    def move(self, dn, parent):
        rdn = dn.split(",")[0]
        self.domain.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: {parent}\n")

    def daemon(self, source=None, **sections):
        """A daemon that is current. Each alert is a line of `told`."""
        folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=self.folder))
        self.told_file = folder / "told"
        program = folder / "alert"
        program.write_text(f"#!/bin/sh\ncat >>{self.told_file}\n")
        program.chmod(0o755)
        corp = {"name": "corp", "type": "active-directory", "servers": [self.domain.ldaps_uri],
                "ca_file": self.domain.ca_file, "bases": [self.users],
                "bind": {"method": "simple", "user": self.domain.reader, "password_file": self.domain.password_file},
                **(source or {})}
        daemon = Daemon(folder, PROGRAMS, [corp], [self.gateway.target()],
                        **{"recipients": {"domains": ["example.com"]},
                           "notify": {"command": str(program)}, **sections})
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        daemon.wait_current()
        return daemon

    def told(self, event):
        """(state, digest) of each alert for this event."""
        text = self.told_file.read_text() if self.told_file.exists() else ""
        return [(alert["state"], alert["details"]["digest"])
                for alert in map(json.loads, text.splitlines()) if alert["event"] == event]

    def wait_told(self, event, expected):
        deadline = time.monotonic() + 20
        while self.told(event) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.told(event), expected)

    def wait_polls(self, daemon, count):
        """So many polls later: a poll that changes nothing is one line at debug priority."""
        begin = daemon.text().count("event=poll-")
        deadline = time.monotonic() + 60
        while daemon.text().count("event=poll-") < begin + count:
            self.assertLess(time.monotonic(), deadline, daemon.tail())
            time.sleep(0.05)

    def assert_sales(self, code):
        with self.gateway.postfix.session() as session:
            self.assertEqual({session.rcpt(sales(number)) for number in range(SALES)}, {code})

    def test_lost_rights_are_held_told_once_and_heal(self):
        daemon = self.daemon({"incremental": "off"})
        objects = daemon.status()["sources"][0]["objects"]
        self.assert_sales(250)
        samba_rights.hide(self.domain, "svc-reader", self.sales)
        shown = False
        try:
            held = daemon.wait(lambda status: status["held"], what="the hold")
            # The directory said success, with fewer rows.
            source = daemon.status()["sources"][0]
            self.assertTrue(source["complete"])
            self.assertIsNone(source["last_error"])
            self.assertEqual(source["objects"], objects - SALES)
            self.assertEqual(held["removed"], SALES)
            self.assertIn("max_removal_percent", held["reason"])
            self.wait_told("change-held", [("raised", held["digest"])])

            self.assertEqual(self.gateway.ask("ada@example.com"), 550)
            self.add_user("ada", self.users)
            self.addCleanup(self.domain.delete, f"CN=ada,{self.users}")
            daemon.wait(lambda status: status["generation"] == 2)
            daemon.wait_current()
            self.assertEqual(self.gateway.ask("ada@example.com"), 250)
            self.assert_sales(250)
            self.wait_polls(daemon, 3)
            self.assertEqual(daemon.status()["held"]["digest"], held["digest"])
            self.assertEqual(self.told("change-held"), [("raised", held["digest"])])
            self.assertEqual(daemon.text().count("event=change-held"), 1)

            samba_rights.show(self.domain, "svc-reader", self.sales)
            shown = True
            daemon.wait(lambda status: not status["held"], what="the end of the hold")
            self.wait_told("change-held", [("raised", held["digest"]), ("cleared", held["digest"])])
            self.wait_polls(daemon, 2)
            self.assertEqual(len(self.told("change-held")), 2)
            status = daemon.status()
            self.assertEqual((status["generation"], status["sources"][0]["objects"]), (2, objects + 1))
            self.assert_sales(250)
        finally:
            if not shown:
                samba_rights.show(self.domain, "svc-reader", self.sales)

    def test_a_moved_unit_is_held_until_exactly_that_is_approved(self):
        self.add_user("bob", self.users)
        daemon = self.daemon()
        self.assert_sales(250)
        self.move(self.sales, self.archive)
        self.addCleanup(self.move, f"OU=Sales,{self.archive}", self.users)
        old = daemon.wait(lambda status: status["held"], what="the hold")
        self.assertEqual(old["removed"], SALES)
        self.assert_sales(250)

        # The directory moves on, so what was read before is not what would go now.
        self.move(f"CN=bob,{self.users}", self.archive)
        self.addCleanup(self.domain.delete, f"CN=bob,{self.archive}")
        new = daemon.wait(lambda status: status["held"]["removed"] == SALES + 1 and status["held"])
        self.assertNotEqual(new["digest"], old["digest"])
        done = daemon.ctl("approve", old["digest"])
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("names nothing that is held or refused", done.stderr)
        self.assertIn(new["digest"], done.stderr)
        self.assertEqual(daemon.status()["generation"], 1)
        self.assert_sales(250)
        self.assertEqual(self.gateway.ask("bob@example.com"), 250)

        done = daemon.ctl("approve", new["digest"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"{SALES + 1} removals let through", done.stdout)
        daemon.wait_current()
        self.assertEqual(daemon.status()["generation"], 2)
        self.assert_sales(550)
        self.assertEqual(self.gateway.ask("bob@example.com"), 550)
        self.wait_told("change-held", [("raised", old["digest"]), ("cleared", old["digest"]),
                                       ("raised", new["digest"]), ("cleared", new["digest"])])
        self.wait_told("change-approved", [("raised", new["digest"])])

    def test_why_asks_the_directory(self):
        self.add_user("hidden", self.users, "description: not for mail\n")
        self.add_user("retired", self.archive)
        self.domain.add(f"dn: CN=staff,{self.users}\nobjectClass: group\nsAMAccountName: staff\ngroupType: 8\n"
                        "proxyAddresses: SMTP:staff@example.com\nmsExchRequireAuthToSendTo: TRUE\n")
        for dn in (f"CN=hidden,{self.users}", f"CN=retired,{self.archive}", f"CN=staff,{self.users}"):
            self.addCleanup(self.domain.delete, dn)
        daemon = self.daemon({"filter": FILTER, "incremental": "off"}, schedule={"poll": "1h", "jitter": "0%"})
        assert_why_live(self, daemon, {
            "hidden": (f"CN=hidden,{self.users}", f"not read: the filter {FILTER} does not fit it",
                       "(filter of source corp, line "),
            "retired": (f"CN=retired,{self.archive}", f"not read: it stands below none of the bases {self.users}",
                        "(bases of source corp, line "),
            "staff": (f"CN=staff,{self.users}", "not read: it takes mail from authenticated senders only",
                      "(sender_authentication of source corp, line "),
            "nobody": (f"nothing there has it below {self.domain.base}", "as far as this account can see")})
        # One that came after the last poll.
        self.add_user("new", self.users)
        self.addCleanup(self.domain.delete, f"CN=new,{self.users}")
        assert_why_live(self, daemon, {"new": ("a read brings it: the next poll adds it",)})
        # And one that the account may not see, of which nobody can say more than that.
        samba_rights.hide(self.domain, "svc-reader", self.users)
        try:
            assert_why_live(self, daemon, {"new": ("nothing there has it", "as far as this account can see")})
        finally:
            samba_rights.show(self.domain, "svc-reader", self.users)


def assert_why_live(test, daemon, expected):
    """`expected`: for the local part of an address that is not listed, what `why --live` says of it."""
    for local, words in expected.items():
        with test.subTest(local):
            done = daemon.ctl("why", "--live", f"{local}@example.com")
            test.assertEqual((done.returncode, done.stderr), (3, ""))
            said = " ".join(done.stdout.split())
            for part in (f"{local}@example.com is not listed", "asked now", *words):
                test.assertIn(part.lower(), said.lower())


class OnSlapd(WholeSystem):
    gateway_kinds = {"mx1": "lmdb"}

    def test_why_asks_the_directory(self):
        users, archive = (f"ou={unit},{self.company.suffix}" for unit in ("Users", "Contacts"))
        for name, unit, more in (("hidden", users, "description: not for mail"),
                                 ("retired", archive, "description: elsewhere"),
                                 ("staff", users, "msExchRequireAuthToSendTo: TRUE")):
            dn = f"cn={name},{unit}"
            self.company.add(f"dn: {dn}\nobjectClass: user\ncn: {name}\n"
                             f"proxyAddresses: SMTP:{name}@example.com\n{more}\n")
            self.addCleanup(self.company.delete, dn)
        daemon = self.daemon(sources=[polled_source(self.company, bases=[users], filter=FILTER)])
        daemon.wait_current()
        assert_why_live(self, daemon, {
            "hidden": (f"cn=hidden,{users}", f"not read: the filter {FILTER} does not fit it",
                       "(filter of source corp, line "),
            "retired": (f"cn=retired,{archive}", f"not read: it stands below none of the bases {users}",
                        "(bases of source corp, line "),
            "staff": (f"cn=staff,{users}", "not read: it takes mail from authenticated senders only",
                      "(sender_authentication of source corp, line "),
            "nobody": (f"nothing there has it below {self.company.suffix}", "as far as this account can see")})

    def in_grace(self, answer):
        """A daemon with one mailbox that has just gone."""
        daemon = self.daemon(removal={"grace": "1h", "answer": answer})
        daemon.wait_current()
        self.assert_answers("person007@example.com", 250)
        self.company.leave("person007")
        return daemon

    def assert_back(self, daemon, line):
        self.company.restore()
        self.poll(daemon, line)
        daemon.wait_current()
        self.assert_answers("person007@example.com", 250)
        self.assert_tables(self.company.table())
        self.assertEqual(self.mx1.access_table(), b"")

    def test_grace_defers(self):
        daemon = self.in_grace("defer")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        code, text = self.mx1.answer("person007@example.com")
        self.assertEqual(code, 450)
        self.assertIn("4.2.1", text)
        self.assertIn("This recipient is being removed; try again later", text)
        self.assert_answers("person008@example.com", 250)
        self.assert_answers("nobody@example.com", 550)
        why = daemon.ctl("why", "person007@example.com").stdout
        self.assertIn("answered 450 until", " ".join(why.split()))
        self.assert_back(daemon, "generation 3 is in force")

    def test_grace_keeps(self):
        daemon = self.in_grace("keep")
        self.poll(daemon, "nothing changed")
        self.assert_answers("person007@example.com", 250)
        why = daemon.ctl("why", "person007@example.com").stdout
        self.assertIn("still accepted until", " ".join(why.split()))
        self.assert_back(daemon, "nothing changed")
        self.assertEqual(daemon.status()["generation"], 1)

    def test_grace_ends_when_it_is_switched_off(self):
        daemon = self.in_grace("defer")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        self.assert_answers("person007@example.com", 450)
        daemon.settings["removal"] = {"grace": "0s"}
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: status["generation"] == 3)
        daemon.wait_current()
        self.assert_answers("person007@example.com", 550)


if __name__ == "__main__":
    unittest.main()
