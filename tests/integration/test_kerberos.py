"""Kerberos over a long time and with more than one KDC: a daemon renews its tickets by itself, keeps them as long as
they are good, and asks no KDC more often than it has to. MIT's KDC and OpenLDAP, whose tickets may live for seconds."""

import os
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path

from daemon import Daemon
from kerberos_realm import REALM, KerberosRealm
from slapd import Slapd

PROGRAMS = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "bin"
OBJECTS = 20
LIFE = 6        # seconds


class KerberosTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-krb-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        for name in ("KRB5_CONFIG", "KRB5_KTNAME"):
            cls.addClassCleanup(cls.restore, name, os.environ.get(name))
        cls.realm = KerberosRealm(cls.folder / "realm")
        cls.addClassCleanup(cls.realm.stop)
        cls.kdc, cls.other = cls.realm.start_kdc(), cls.realm.start_kdc()
        cls.service_keytab = cls.folder / "service.keytab"
        cls.realm.add("ldap/localhost", cls.service_keytab)
        cls.realm.use(cls.kdc)
        cls.directory = cls.slapd("first", cls.service_keytab)

    @staticmethod
    def restore(name, value):
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value

    @classmethod
    def slapd(cls, name, keytab):
        """One that takes whoever has a ticket of the realm for the reader."""
        os.environ["KRB5_KTNAME"] = f"FILE:{keytab}"
        directory = Slapd(cls.folder / name, settings=(
            f'sasl-host localhost\nauthz-regexp "^uid=[^,]+,.*cn=auth$" "{Slapd.reader_dn}"\n'
            f'access to * by dn.exact="{Slapd.reader_dn}" read by anonymous auth by * none')).start(objects=OBJECTS)
        cls.addClassCleanup(directory.stop)
        return directory

    def setUp(self):
        for kdc in (self.kdc, self.other):
            if kdc.process is None:
                kdc.start()
        self.realm.use(self.kdc)
        self.keytab = Path(tempfile.mkdtemp(dir=self.folder)) / "keytab"
        self.logins_before = {kdc: kdc.requests("AS_REQ") for kdc in (self.kdc, self.other)}

    def logins(self, kdc):
        return kdc.requests("AS_REQ") - self.logins_before[kdc]

    def source(self, principal, *servers, **more):
        return {"name": "corp", "type": "ldap", "start_tls": False, "bases": [Slapd.suffix],
                "servers": [f"ldap://localhost:{server.port}" for server in servers or [self.directory]],
                "filter": "(|(proxyAddresses=*)(mail=*))", "incremental": "off", "connect_timeout": "10s",
                "bind": {"method": "gssapi", "principal": principal, "keytab": str(self.keytab)}, **more}

    def daemon(self, source):
        daemon = Daemon(tempfile.mkdtemp(dir=self.folder), PROGRAMS, [source], [])
        daemon.start()
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.wait(lambda status: status["generation"] == 1, what="the first table")
        return daemon

    def wait_polls(self, daemon, count):
        """So many more polls that changed nothing."""
        before = self.polls(daemon)
        deadline = time.monotonic() + 30
        while self.polls(daemon) < before + count:
            self.assertLess(time.monotonic(), deadline, daemon.tail())
            time.sleep(0.1)

    @staticmethod
    def polls(daemon):
        return daemon.text().count("event=poll-unchanged")

    def assert_never_failed(self, daemon):
        self.assertNotIn("was not read", daemon.text())


class Renewal(KerberosTest):
    def test_a_daemon_outlives_its_tickets(self):
        principal = self.realm.add("renewing", self.keytab, life=f"{LIFE} seconds")
        daemon = self.daemon(self.source(principal))
        began = time.monotonic()
        for number in range(3):
            time.sleep(max(0, began + (number + 1) * LIFE - time.monotonic()))
            self.directory.add(f"dn: cn=after{number},ou=Contacts,{Slapd.suffix}\nobjectClass: inetOrgPerson\n"
                               f"cn: after{number}\nsn: a\nmail: after{number}@example.com\n")
            daemon.wait(lambda status: status["generation"] == number + 2, what="the next table")
        self.assert_never_failed(daemon)
        lives = (time.monotonic() - began) / LIFE
        # At half of its life.
        self.assertGreaterEqual(self.logins(self.kdc), int(2 * lives) - 1)
        self.assertLessEqual(self.logins(self.kdc), 2 * lives + 2)

    def test_a_new_key_is_used_when_it_is_there(self):
        principal = self.realm.add("moving", self.keytab)
        daemon = self.daemon(self.source(principal))
        self.realm.export("moving", self.keytab)
        self.wait_polls(daemon, 3)
        self.assert_never_failed(daemon)
        self.assertEqual(self.logins(self.kdc), 2)


class TwoServers(KerberosTest):
    def dead(self):
        """HOST:PORT that nobody serves."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{probe.getsockname()[1]}"

    def test_the_other_kdc_answers_and_its_ticket_is_kept(self):
        principal = self.realm.add("two-kdcs", self.keytab)
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        for first in (self.dead(), f"127.0.0.1:{silent.getsockname()[1]}"):
            with self.subTest(first):
                self.realm.use(first, self.other)
                before = {kind: self.other.requests(kind) for kind in ("AS_REQ", "TGS_REQ")}
                daemon = self.daemon(self.source(principal))
                self.wait_polls(daemon, 4)
                self.assert_never_failed(daemon)
                for kind, count in before.items():
                    self.assertEqual(self.other.requests(kind) - count, 1, kind)
                daemon.kill()

    def test_a_kdc_that_dies_is_replaced_at_the_next_renewal(self):
        principal = self.realm.add("dying-kdc", self.keytab, life=f"{LIFE} seconds")
        self.realm.use(self.kdc, self.other)
        daemon = self.daemon(self.source(principal))
        self.assertEqual(self.logins(self.other), 0)
        self.kdc.stop()
        deadline = time.monotonic() + 30
        while self.logins(self.other) < 2:
            self.assertLess(time.monotonic(), deadline, daemon.tail())
            time.sleep(0.1)
        self.wait_polls(daemon, 2)
        self.assert_never_failed(daemon)

    def test_a_server_that_refuses_the_ticket_is_passed_over(self):
        principal = self.realm.add("refused", self.keytab)
        foreign = self.folder / "foreign.keytab"
        self.realm.export("ldap/localhost", foreign)
        refusing = self.slapd("refusing", foreign)
        self.realm.export("ldap/localhost", self.service_keytab)    # and now that key is an old one
        daemon = self.daemon(self.source(principal, refusing, self.directory))
        self.wait_polls(daemon, 5)
        self.assert_never_failed(daemon)
        # The ticket was in doubt once; then the server that took it is asked first.
        self.assertLessEqual(self.logins(self.kdc), 2)

    def test_after_a_refusal_comes_a_new_ticket_and_not_a_storm(self):
        principal = self.realm.add("storm", self.keytab)
        daemon = self.daemon(self.source(principal))
        self.wait_polls(daemon, 2)
        self.assertEqual(self.logins(self.kdc), 1)
        self.realm.new_key("ldap/localhost")                        # the server has not the new one yet
        self.realm.new_key(f"krbtgt/{REALM}")                       # and the KDC is another one
        keytab = self.service_keytab
        kept = keytab.read_bytes()
        self.realm.export("ldap/localhost", keytab)                 # the daemon's ticket is of no use any more
        self.assertNotEqual(kept, keytab.read_bytes())
        daemon.wait_line("was not read")
        began = daemon.log.stat().st_size
        daemon.wait(lambda status: status["sources"][0]["complete"], what="a good read")
        self.wait_polls(daemon, 3)
        self.assertLessEqual(daemon.text().count("was not read"), 2)
        self.assertNotIn("was not read", daemon.text()[began:])
        self.assertLessEqual(self.logins(self.kdc), 3)


if __name__ == "__main__":
    unittest.main()
