"""Who is a recipient in Active Directory with Exchange: one object of each kind, on a real domain controller (Samba),
and values nobody should believe, there and on slapd."""

import base64
import shutil
import socket
import tempfile
import threading
import unittest
from pathlib import Path

import source_read
from active_directory import ActiveDirectory
from addresses import claim_address
from samba_directory import HOSTILE, HOSTILE_DN, KINDS, NAMESAKES, SYSTEM
from slapd import Slapd

SENDER_AUTHENTICATION, SYSTEM_OBJECT = 10, 11
CLASSES = {"user": "user", "inetOrgPerson": "user", "group": "group", "contact": "contact",
           "publicFolder": "public folder", "msExchDynamicDistributionList": "group"}


class Deliverable(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-dl-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=20, values=30)
        cls.addClassCleanup(cls.domain.stop)
        cls.domain.stop()
        cls.domain.offline("kinds")
        cls.domain.start()

    def read(self, *servers, **options):
        defaults = {"ca_file": self.domain.ca_file, "user": self.domain.reader,
                    "password_file": self.domain.password_file}
        return source_read.read(*(servers or [self.domain.ldaps_uri]), **(defaults | options))

    def found(self, *servers, **options):
        answer = self.read(*servers, **options)
        self.assertTrue(answer.complete, answer.output[-2000:])
        return {o.smtp[0]: o for o in answer.objects if o.smtp}

    def assert_kinds(self, found, system_drop, authentication_drop=SENDER_AUTHENTICATION):
        for group, name, drop in ((KINDS, "kind", 0), (NAMESAKES, "namesake", 0), (SYSTEM, "system", system_drop)):
            for number, kind in enumerate(group):
                with self.subTest(rdn=kind.rdn, type=kind.type_details):
                    one = found[f"{name}{number}@example.com"]
                    self.assertEqual(one.drop, drop)
                    self.assertEqual(one.kind, CLASSES[kind.object_class])
        self.assertEqual(found["plain@example.com"].drop, 0)
        self.assertEqual(found["plain@example.com"].values, [("mail", "plain@example.com")])
        self.assertEqual(found["internal@example.com"].drop, authentication_drop)

    def test_each_kind(self):
        self.assert_kinds(self.found(), SYSTEM_OBJECT)

    def test_switches(self):
        self.assert_kinds(self.found(keep_system=True), 0)
        self.assert_kinds(self.found(keep_protected=True), SYSTEM_OBJECT, 0)

    def test_names_with_every_escape_come_whole(self):
        number = next(i for i, kind in enumerate(KINDS) if "Every" in kind.rdn)
        origin = self.found()[f"kind{number}@example.com"].origin
        for part in ("Every\\\\,", "escape\\\\+", "Zoë", ",OU=Users,DC=lab"):
            self.assertIn(part, origin)

    def test_hostile_values_stand_on_one_line_each(self):
        one = next(o for o in self.read().objects if o.origin.startswith(HOSTILE_DN))
        self.assertEqual(one.smtp[0].count("\n"), 0)
        self.assertEqual(len(one.values), 1 + len(HOSTILE))

    def test_the_global_catalogue_has_the_same(self):
        for uri in (self.domain.global_catalogue_uri, f"ldap://{self.domain.address}:3268"):
            with self.subTest(uri=uri):
                self.assert_kinds(self.found(uri, base=[""]), SYSTEM_OBJECT)

    def test_a_catalogue_that_lacks_an_attribute_is_refused(self):
        for attribute, switch in (("proxyAddresses", None), ("msExchRecipientTypeDetails", "keep_system"),
                                  ("msExchRequireAuthToSendTo", "keep_protected")):
            with self.subTest(attribute=attribute):
                self.mark(attribute, "FALSE")
                try:
                    answer = self.read(self.domain.global_catalogue_uri, base=[""])
                    self.assertFalse(answer.complete)
                    self.assertEqual(answer.code, "not_found")
                    self.assertIn(f"does not hold {attribute}", answer.message)
                    self.assertIn("636", answer.message)
                    self.assertTrue(self.read().complete, "the controller itself has it")
                    if switch:
                        self.assertTrue(self.read(self.domain.global_catalogue_uri, base=[""],
                                                  **{switch: True}).complete)
                finally:
                    self.mark(attribute, "TRUE")

    def mark(self, attribute, value):
        self.domain.stop()
        self.domain.offline("mark", attribute, value)
        self.domain.start()


class Blind:
    """A relay to a global catalogue that does not show which attributes it holds, as Microsoft's may: Samba shows them
    all. Without encryption, so it can put another name of the same length over the mark."""

    MARK, OTHER = b"isMemberOfPartialAttributeSet", b"isNotTheMarkThatYouLookedFor!"

    def __init__(self, address, port, upstream):
        self._upstream = (upstream, port)
        self._listener = socket.create_server((address, port))
        self.clients = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.clients += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(self._upstream) as server:
            upwards = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
            upwards.start()
            self._pump(server, client, self._upstream[1] == 3268)
            upwards.join()

    def _pump(self, source, sink, blind):
        try:
            # Its answers about the schema are far smaller than this.
            while data := source.recv(1 << 20):
                sink.sendall(data.replace(self.MARK, self.OTHER) if blind else data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()


class BlindCatalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-dl-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad", strong_auth=False).start(objects=20, values=30)
        cls.addClassCleanup(cls.domain.stop)
        cls.address = claim_address("127.0.10", 389)
        cls.catalogue = Blind(cls.address, 3268, cls.domain.address)
        cls.addClassCleanup(cls.catalogue.close)

    def read(self):
        return source_read.read(f"ldap://{self.address}:3268", plaintext=True, user=self.domain.reader, base=[""],
                                password_file=self.domain.password_file)

    def test_the_schema_is_read_at_the_other_port(self):
        answer = self.read()
        self.assertFalse(answer.complete)
        self.assertEqual(answer.code, "unreachable")
        self.assertIn(f"at ldap://{self.address}:389 the schema cannot be read", answer.message)

        beside = Blind(self.address, 389, self.domain.address)
        self.addCleanup(beside.close)
        answer = self.read()
        self.assertFalse(answer.complete)
        self.assertIn("does not hold proxyAddresses", answer.message)
        self.assertEqual(beside.clients, 1)

        self.domain.stop()
        self.domain.offline("mark", "proxyAddresses", "TRUE")
        self.domain.start()
        answer = self.read()
        self.assertTrue(answer.complete, answer.message)
        self.assertEqual(beside.clients, 2)
        self.assertGreater(len(answer.objects), 20)


class HostileValues(unittest.TestCase):
    """What Samba does not let in."""

    def test_they_come_whole_and_escaped(self):
        folder = Path(tempfile.mkdtemp(prefix="rcptsync-dl-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        values = [b"smtp:fine@example.com", b"smtp:nul\x00@example.com", b"smtp:two\nlines@example.com",
                  b"smtp:" + b"x" * 100_000 + b"@example.com", "smtp:\u202eevil@example.com".encode()]
        lines = "".join(f"proxyAddresses:: {base64.b64encode(value).decode()}\n" for value in values)
        with Slapd(folder).start(ldif=f"dn: cn=h,{Slapd.suffix}\nobjectClass: user\ncn: h\n{lines}") as directory:
            answer = source_read.read(directory.ldaps_uri, type="ldap", ca_file=directory.ca_file,
                                      user=directory.reader_dn, password_file=directory.password_file,
                                      base=[directory.suffix])
        self.assertTrue(answer.complete, answer.output[-2000:])
        one = next(o for o in answer.objects if o.origin.startswith("cn=h,"))
        self.assertEqual(sorted(len(text) > 100_000 for text in one.smtp), [False] * 4 + [True])
        self.assertIn("nul\\x00@example.com", one.smtp)
        self.assertIn("two\\nlines@example.com", one.smtp)
        self.assertIn("\\xe2\\x80\\xaeevil@example.com", one.smtp)


if __name__ == "__main__":
    unittest.main()
