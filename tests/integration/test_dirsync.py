"""Incremental reads and the doorbell of Active Directory, against a real domain controller (Samba)."""

import shutil
import statistics
import tempfile
import time
import unittest
from pathlib import Path

import source_read
from active_directory import ActiveDirectory
from gate import Gate
from samba_rights import add_account, grant
from source_state import SourceState, differences
from told import Told

OBJECTS = 1000
MANY = 1700


class Account:
    """One account that follows the directory: what it would hold, and a cookie."""

    def __init__(self, domain, folder, user, **options):
        self.cookie = Path(folder) / f"cookie-{user}-{len(list(Path(folder).iterdir()))}"
        self.cookie.touch()
        self.domain = domain
        self.options = {"ca_file": domain.ca_file, "user": user,
                        "password_file": domain.password_file, "connect_timeout": 30} | options
        self.state = SourceState()

    def read(self, uri=None, **options):
        answer = source_read.read(uri or self.domain.ldaps_uri, cookie=self.cookie,
                                  **(self.options | options))
        self.state.take(answer)
        return answer

    def incremental(self, uri=None, **options):
        return self.read(uri, incremental=True, **options)

    def watch(self, **options):
        return source_read.Watch(self.domain.ldaps_uri, cookie=self.cookie,
                                 **(self.options | options))

    def truth(self):
        state = SourceState()
        state.take(source_read.read(self.domain.ldaps_uri, **self.options))
        return state.objects


class DirSync(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-ds-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=OBJECTS, values=MANY)
        cls.addClassCleanup(cls.domain.stop)
        cls.base = cls.domain.base
        cls.reader = cls.domain.reader
        cls.changes = add_account(cls.domain, "svc-changes")
        cls.deleted = add_account(cls.domain, "svc-deleted")
        grant(cls.domain, "svc-changes", "changes")
        grant(cls.domain, "svc-changes", "deleted")
        grant(cls.domain, "svc-deleted", "deleted")
        (cls.folder / "cookies").mkdir()

    def account(self, user=None, **options):
        """One that has read everything."""
        account = Account(self.domain, self.folder / "cookies", user or self.reader, **options)
        answer = account.read()
        self.assertTrue(answer.complete, answer.output[-2000:])
        return account

    def add_user(self, name, unit="OU=Users", more=""):
        dn = f"CN={name},{unit},{self.base}"
        self.domain.add(f"dn: {dn}\nobjectClass: user\nsAMAccountName: {name.replace(' ', '')}\n"
                        f"userAccountControl: 544\nmail: {name}@example.com\n"
                        f"proxyAddresses: SMTP:{name}@example.com\n{more}")
        return dn

    def change(self, dn, text):
        self.domain.modify(f"dn: {dn}\nchangetype: modify\n{text}\n")

    def move(self, dn, rdn, parent):
        self.domain.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\n"
                           f"newsuperior: {parent}\n")

    def assert_incremental(self, answer, objects=None):
        self.assertTrue(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.fields["kind"], "incremental", answer.warnings)
        self.assertEqual(answer.fields["unseen_gone"], "false")
        self.assertEqual(answer.behind, "")
        if objects is not None:
            self.assertEqual(len(answer.objects), objects, answer.output[-2000:])

    def assert_full(self, answer, *words):
        self.assertTrue(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.fields["kind"], "full")
        for word in words:
            self.assertIn(word, "\n".join(answer.warnings))

    def assert_same(self, account):
        self.assertEqual(differences(account.state.objects, account.truth()), "")

    def test_changes_of_all_kinds(self):
        outside = f"OU=Outside,{self.base}"
        self.domain.add(f"dn: {outside}\nobjectClass: organizationalUnit\n")
        for account in ("changed", "emptied", "left", "renamed", "moved"):
            self.add_user(f"all {account}")
        unit = f"OU=Users,{self.base}"
        followers = [self.account(user, **options)
                     for user in (self.reader, self.changes, self.deleted)
                     for options in ({}, {"base": [unit, f"OU=Groups,{self.base}"]})]
        for follower in followers:
            self.assert_incremental(follower.incremental(), objects=0)
        self.change(f"CN=all changed,{unit}", "add: proxyAddresses\nproxyAddresses: smtp:x@example.com")
        self.change(f"CN=all emptied,{unit}", "delete: proxyAddresses")
        self.change(f"CN=all left,{unit}", "delete: proxyAddresses\n-\ndelete: mail")
        self.move(f"CN=all renamed,{unit}", "CN=all other", unit)
        self.move(f"CN=all moved,{unit}", "CN=all moved", outside)
        self.add_user("all new")
        self.change(f"CN=svc-reader,CN=Users,{self.base}", "replace: description\ndescription: x")
        for follower in followers:
            bases = len(follower.options.get("base", []))
            self.assert_incremental(follower.incremental(), objects=4 if bases else 5)
            self.assert_same(follower)
            self.assert_incremental(follower.incremental(), objects=0)

    def test_deletions_and_the_right_to_see_them(self):
        dn = self.add_user("to be deleted")
        blind, *seeing = [self.account(user) for user in (self.reader, self.changes, self.deleted)]
        self.domain.delete(dn)
        for follower in seeing:
            answer = follower.incremental()
            self.assert_incremental(answer, objects=0)
            self.assertEqual(len(answer.removed), 1)
            self.assert_same(follower)
        self.assert_incremental(blind.incremental(), objects=0)
        self.assertIn(dn, [origin for origin, _ in blind.state.objects.values()])
        self.assert_full(blind.read())
        self.assert_same(blind)

    def test_the_missing_right_is_told_once(self):
        blind = Account(self.domain, self.folder / "cookies", self.reader)
        self.assert_full(blind.read(), "deleted objects", "dsacls")
        for answer in (blind.read(), blind.incremental(), blind.read()):
            self.assertEqual(answer.warnings, [])
        seeing = Account(self.domain, self.folder / "cookies", self.deleted)
        self.assertEqual(seeing.read().warnings, [])

    def test_a_moved_unit_is_read_in_full(self):
        unit, other = f"OU=Moving,{self.base}", f"OU=Elsewhere,{self.base}"
        self.domain.add(f"dn: {unit}\nobjectClass: organizationalUnit\n")
        self.add_user("mover", unit="OU=Moving")
        followers = [self.account(user) for user in (self.reader, self.changes)]
        below = self.account(base=[f"OU=Users,{self.base}", f"OU=Groups,{self.base}"])
        self.move(unit, "OU=Elsewhere", self.base)
        for follower in followers + [below]:
            self.assert_full(follower.incremental(), "organizational unit was moved")
            self.assert_same(follower)
            self.assert_incremental(follower.incremental(), objects=0)
        self.move(other, "OU=Elsewhere", f"OU=Users,{self.base}")
        self.assert_full(below.incremental())
        self.assert_same(below)

    def test_an_empty_unit_moves_without_a_full_read(self):
        unit = f"OU=Nobody,{self.base}"
        self.domain.add(f"dn: {unit}\nobjectClass: organizationalUnit\n")
        follower = self.account(self.changes)
        self.move(unit, "OU=Still Nobody", self.base)
        self.assert_incremental(follower.incremental(), objects=0)

    def test_many_values(self):
        dn = f"CN=Many Addresses,OU=Users,{self.base}"
        follower = self.account()
        values = "".join(f"proxyAddresses: smtp:other.{number}@example.com\n" for number in range(MANY))
        self.change(dn, f"replace: proxyAddresses\n{values}")
        answer = follower.incremental()
        self.assert_incremental(answer, objects=1)
        self.assertEqual(len(answer.objects[0].smtp), MANY)
        self.assert_same(follower)

    def test_what_decides_besides_the_addresses(self):
        dn = self.add_user("deciding")
        follower = self.account()
        self.change(dn, "replace: msExchRequireAuthToSendTo\nmsExchRequireAuthToSendTo: TRUE")
        answer = follower.incremental()
        self.assert_incremental(answer, objects=1)
        self.assertEqual(answer.objects[0].drop, 10)

    def test_an_attribute_that_only_the_filter_names(self):
        dn = self.add_user("filtered", more="description: mail\n")
        follower = self.account(filter="(&(mail=*)(description=mail))")
        self.change(dn, "replace: description\ndescription: none")
        answer = follower.incremental()
        self.assert_incremental(answer, objects=0)
        self.assertEqual(len(answer.removed), 1)
        self.change(dn, "replace: description\ndescription: mail")
        self.assert_incremental(follower.incremental(), objects=1)
        self.assert_same(follower)

    def test_a_filter_that_looks_beyond_the_object(self):
        for filter_ in (f"(&(mail=*)(!(memberOf=CN=Guests,CN=Builtin,{self.base})))",
                        f"(memberOf:1.2.840.113556.1.4.1941:=CN=Guests,CN=Builtin,{self.base})"):
            follower = Account(self.domain, self.folder / "cookies", self.changes, filter=filter_)
            self.assert_full(follower.read(), "DirSync does not tell")
            answer = follower.incremental()
            self.assert_full(answer)
            self.assertEqual(answer.warnings, [])

    def test_bytes_follow_the_changes(self):
        with Gate(636, self.domain.address) as gate:
            uri = f"ldaps://{self.domain.address}:{gate.port}"
            follower = Account(self.domain, self.folder / "cookies", self.reader)
            self.assertTrue(follower.read(uri).complete)
            whole = gate.received
            for number in range(5):
                self.add_user(f"wire {number}")
            before = gate.received
            self.assert_incremental(follower.incremental(uri), objects=5)
            changes = gate.received - before
            before = gate.received
            self.assert_incremental(follower.incremental(uri), objects=0)
            nothing = gate.received - before
        self.assertLess(nothing, 10_000)
        self.assertLess(changes, nothing + 5 * 2_000)
        self.assertGreater(whole, 100 * OBJECTS)

    def test_a_cookie_of_other_settings_or_none(self):
        follower = self.account()
        self.assert_full(follower.incremental(addresses=["mail"]), "settings")
        good = self.account()
        text = good.cookie.read_text()
        for damaged in ("", text[:-20], text.replace("mark", "kram"), "{}", "\x00" * 100, "[" * 5000):
            good.cookie.write_text(damaged)
            self.assert_full(good.incremental())
        self.assert_incremental(good.incremental(), objects=0)

    def test_another_server_is_read_in_full(self):
        follower = self.account()
        with Gate(636, self.domain.address) as gate:
            uri = f"ldaps://{self.domain.address}:{gate.port}"
            self.assert_full(follower.incremental(uri), "cannot go on where")
            self.assert_incremental(follower.incremental(uri), objects=0)

    def test_global_catalogue(self):
        follower = Account(self.domain, self.folder / "cookies", self.reader, addresses=["mail"],
                           filter="(mail=*)")
        self.assert_full(follower.read(self.domain.global_catalogue_uri), "global catalogue")
        answer = follower.incremental(self.domain.global_catalogue_uri)
        self.assert_full(answer)
        self.assertEqual(answer.behind, "")

    def test_doorbell(self):
        follower = self.account()
        with follower.watch(read_timeout=1) as watch:
            # The bell also rings for what came before it stood.
            self.add_user("bell 1")
            watch.wait_ring(120)
            self.assert_incremental(follower.incremental(), objects=1)
            # An idle time longer than read_timeout is no error.
            self.assertIsNone(watch.process.poll())
            watch.drain()
            self.add_user("bell 2")
            watch.wait_ring(120)
            self.assert_incremental(follower.incremental(), objects=1)

    def test_doorbell_rings_as_soon_as_a_plain_client_is_told(self):
        """Beside ldapsearch with the same notification: Samba itself takes up to five seconds."""
        follower = self.account()
        rung, told = [], []
        with follower.watch() as watch, Told(self.domain) as client:
            client.wait_ready(lambda: self.add_user(f"told {time.monotonic_ns()}"), "CN=told ")
            watch.wait_ring(60)
            for number in range(5):
                watch.drain()
                began = time.monotonic()
                self.add_user(f"hasty {number}")
                asked = time.monotonic()
                rung.append(asked + watch.wait_ring() - began)
                told.append(client.wait(f"CN=hasty {number},") - began)
        print("seconds from a change until the bell rings, and until ldapsearch is told:",
              *(f"{ours:.3f}/{theirs:.3f}" for ours, theirs in zip(rung, told)))
        self.assertLess(statistics.median(rung), statistics.median(told) + 1)

    def test_doorbell_for_what_happened_before(self):
        follower = self.account()
        self.add_user("bell before")
        with follower.watch() as watch:
            watch.wait_ring(120)

    def test_doorbell_ends(self):
        follower = self.account()
        with follower.watch(cancel_after=100) as watch:
            self.assertIn("failed cancelled", watch.wait_end(120))

    def test_doorbell_of_a_server_that_goes(self):
        follower = self.account()
        with Gate(636, self.domain.address) as gate:
            uri = f"ldaps://{self.domain.address}:{gate.port}"
            with source_read.Watch(uri, cookie=follower.cookie, **follower.options) as watch:
                gate.wait_open()
                gate.close()
                self.assertIn("failed", watch.wait_end(120))


class RestoredDatabase(unittest.TestCase):
    def test_an_older_copy_removes_nobody(self):
        folder = Path(tempfile.mkdtemp(prefix="rcptsync-ds-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        domain = ActiveDirectory(folder / "ad").start(objects=20)
        self.addCleanup(domain.stop)
        follower = Account(domain, folder, domain.reader)
        self.assertEqual(follower.read().behind, "")
        domain.stop()
        shutil.copytree(folder / "ad" / "private", folder / "copy", symlinks=True,
                        ignore=lambda at, names: [n for n in names if (Path(at) / n).is_socket()])
        domain.start()
        domain.add(f"dn: CN=late,OU=Users,{domain.base}\nobjectClass: contact\n"
                   "mail: late@example.com\n")
        self.assertEqual(len(follower.incremental().objects), 1)
        domain.stop()
        shutil.rmtree(folder / "ad" / "private")
        shutil.copytree(folder / "copy", folder / "ad" / "private", symlinks=True)
        domain.start()
        answer = follower.incremental()
        self.assertEqual(answer.fields["kind"], "full")
        self.assertIn("older", "\n".join(answer.warnings))
        self.assertIn("older copy", answer.behind)
        # The requirement stays, and no incremental read goes on from the older copy.
        answer = follower.incremental()
        self.assertEqual(answer.fields["kind"], "full")
        self.assertIn("older copy", answer.behind)


if __name__ == "__main__":
    unittest.main()
