"""The source type active-directory against a real domain controller (Samba)."""

import shutil
import tempfile
import time
import unittest
from pathlib import Path

import make_ldif
import source_read
from active_directory import ActiveDirectory
from samba_directory import PEOPLE

OBJECTS = 3000
MANY = 1700


class ActiveDirectorySource(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-ad-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=OBJECTS, values=MANY)
        cls.addClassCleanup(cls.domain.stop)

    def read(self, *servers, **options):
        return source_read.finish(self.start(*servers, **options))

    def start(self, *servers, **options):
        defaults = {"ca_file": self.domain.ca_file, "user": self.domain.reader,
                    "password_file": self.domain.password_file}
        return source_read.start(*(servers or [self.domain.ldaps_uri]), **(defaults | options))

    def dn(self, entry):
        return entry.dn.replace(make_ldif.SUFFIX, self.domain.base).lower()

    def assert_whole(self, answer):
        self.assertTrue(answer.complete, answer.output[-2000:])
        found = {o.origin.lower(): o for o in answer.objects}
        self.assertEqual(len(found), OBJECTS + len(PEOPLE) + 1)
        self.assertEqual(len({o.key for o in answer.objects}), len(found))
        for entry in make_ldif.entries(OBJECTS):
            got = found[self.dn(entry)]
            self.assertEqual(sorted(got.smtp), sorted(entry.smtp))
            self.assertEqual(got.kind.replace(" ", ""), entry.kind.lower())
            self.assertEqual(got.drop, 10 if entry.sender_authentication else 0)
        for number, name in enumerate(PEOPLE):
            got = found[f"cn={name},ou=users,{self.domain.base}".lower()]
            self.assertEqual(sorted(got.smtp), sorted([f"special{number}@example.com",
                                                       f"{name.split(' ')[0]}@münchen.example"]))
        many = found[f"cn=many addresses,ou=users,{self.domain.base}".lower()]
        self.assertEqual(len(set(many.smtp)), MANY)

    def assert_failed(self, answer, code, *words):
        self.assertFalse(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.code, code, answer.message)
        for word in words:
            self.assertIn(word, answer.message)
        self.assertNotIn(self.domain.password, answer.output)

    def test_the_company_has_all_kinds(self):
        entries = list(make_ldif.entries(OBJECTS))
        self.assertEqual({e.kind for e in entries}, {"user", "group", "contact", "publicFolder"})
        self.assertTrue(any(e.attributes.get("userAccountControl") == "514" for e in entries))
        for prefix in ("X400:", "X500:", "SIP:"):
            self.assertTrue(any(v.startswith(prefix) for e in entries for v in e.proxies))

    def test_ldaps(self):
        self.assert_whole(self.read())

    def test_start_tls(self):
        self.assert_whole(self.read(self.domain.uri))

    def test_global_catalogue(self):
        answer = self.read(self.domain.global_catalogue_uri)
        self.assertFalse(answer.complete)
        self.assertIn("the global catalogue does not hold proxyAddresses", answer.message)

    def test_oids(self):
        answer = self.read(addresses=["1.2.840.113556.1.2.210"])    # proxyAddresses
        self.assert_whole(answer)
        self.assertEqual({name for o in answer.objects for name, _ in o.values}, {"proxyAddresses"})

    def test_attribute_that_the_schema_lacks(self):
        for key, more in (("addresses", {"addresses": ["emailAddress"]}),
                          ("filter", {"filter": "(&(mail=*)(!(msExchNoSuchThing=TRUE)))"})):
            with self.subTest(key):
                self.assert_failed(self.read(**more), "not_found", "does not know the attribute",
                                   f"correct its name in {key}")

    def test_continuation_references_are_skipped(self):
        self.assertGreater(int(self.read().fields["references"]), 0)

    def test_page_sizes(self):
        for size in (100, 999, 100000):
            with self.subTest(size=size):
                self.assert_whole(self.read(page_size=size))

    def test_names_to_bind_with(self):
        for user in (self.domain.reader, f"{self.domain.netbios}\\svc-reader",
                     f"CN=svc-reader,CN=Users,{self.domain.base}"):
            with self.subTest(user=user):
                self.assertTrue(self.read(user=user).complete)

    def test_rename_keeps_the_key(self):
        dn = f"CN=Many Addresses,OU=Users,{self.domain.base}"
        before = next(o for o in self.read().objects if o.origin == dn)
        self.domain.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: CN=Renamed\ndeleteoldrdn: 1\n")
        try:
            after = next(o for o in self.read().objects if o.key == before.key)
            self.assertEqual(after.origin, dn.replace("Many Addresses", "Renamed"))
            self.assertEqual(sorted(after.smtp), sorted(before.smtp))
        finally:
            self.domain.modify(f"dn: {after.origin}\nchangetype: modrdn\n"
                               "newrdn: CN=Many Addresses\ndeleteoldrdn: 1\n")

    def test_password_without_encryption(self):
        self.assert_failed(self.read(self.domain.uri, plaintext=True), "permission",
                           "without encryption", "start_tls")

    def test_wrong_password(self):
        path = self.folder / "wrong"
        path.touch(0o600)
        path.write_text("not-it")
        self.assert_failed(self.read(password_file=path), "credentials",
                           "wrong user name or password", "data 52e")

    def test_anonymous(self):
        answer = source_read.read(self.domain.ldaps_uri, ca_file=self.domain.ca_file)
        self.assert_failed(answer, "permission", "bind.user")

    def test_disabled_account(self):
        dn = f"CN=svc-reader,CN=Users,{self.domain.base}"
        change = f"dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: "
        self.domain.modify(f"{change}66050\n")
        try:
            self.assert_failed(self.read(), "credentials", "disabled; enable it")
        finally:
            self.domain.modify(f"{change}66048\n")

    def test_missing_base(self):
        self.assert_failed(self.read(base=[f"OU=Nowhere,{self.domain.base}"]), "not_found",
                           "OU=Nowhere")

    def test_certificate_is_verified(self):
        for uri in (self.domain.uri, self.domain.ldaps_uri):
            with self.subTest(uri=uri):
                self.assert_failed(self.read(uri, ca_file="/etc/ssl/certs/ca-certificates.crt"),
                                   "untrusted", "Laboratory CA")

    def test_paused_while_reading(self):
        process = self.start(read_timeout=1, page_size=1)
        time.sleep(0.3)
        self.domain.pause()
        try:
            answer = source_read.finish(process)
        finally:
            self.domain.resume()
        self.assert_failed(answer, "timeout", "_timeout")
        self.assert_whole(self.read())


if __name__ == "__main__":
    unittest.main()
