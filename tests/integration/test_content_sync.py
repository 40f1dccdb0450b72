"""Incremental reads of OpenLDAP by content synchronization, against real servers and a lying one."""

import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import source_read
import sync_faults as faults
from gate import Gate
from ldap_ber import ber, ldap_result, message, octets, search_entry
from slapd import Slapd
from sync_faults import SyncServer, cookie, csn, id_set, key, sync_done, sync_info

SUFFIX = Slapd.suffix
UNITS = "".join(f"dn: {dn},{SUFFIX}\nobjectClass: organizationalUnit\nou: {dn.split('=')[1].split(',')[0]}\n\n"
                for dn in ("ou=A", "ou=B", "ou=C", "ou=Sub,ou=B"))
BOTH = [f"ou=A,{SUFFIX}", f"ou=B,{SUFFIX}"]


def person(name, unit="ou=A", *addresses):
    mail = "".join(f"mail: {one}\n" for one in addresses or [f"{name}@example.com"])
    return (f"dn: cn={name},{unit},{SUFFIX}\nobjectClass: inetOrgPerson\ncn: {name}\nsn: x\n{mail}")


def people(count, unit="ou=A", first=0):
    return "\n".join(person(f"p{i}", unit) for i in range(first, first + count))


class Table:
    """What a service would hold after the reads so far."""

    def __init__(self):
        self.objects = {}

    def apply(self, answer):
        if answer.fields["kind"] == "full":
            self.objects = {}
        named = {found.key for found in answer.objects} | set(answer.present)
        unknown = set(answer.present) - set(self.objects) - {o.key for o in answer.objects}
        assert not unknown, unknown
        for gone in answer.removed:
            self.objects.pop(gone, None)
        if answer.fields["unseen_gone"] == "true":
            self.objects = {k: v for k, v in self.objects.items() if k in named}
        for found in answer.objects:
            self.objects[found.key] = sorted(found.values)
        return answer

    def addresses(self):
        return {address for values in self.objects.values() for _, address in values}


class SyncCase(unittest.TestCase):
    """A slapd of its own for each test."""

    session_log = 1000

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-sync-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def slapd(self, name="slapd", ldif=UNITS, **options):
        server = Slapd(self.folder / name, **{"session_log": self.session_log} | options)
        self.addCleanup(server.stop)
        return server.start(ldif=ldif)

    def options(self, server, **more):
        return {"type": "ldap", "ca_file": server.ca_file, "user": server.reader_dn,
                "password_file": server.password_file, "base": [SUFFIX], "filter": "(mail=*)",
                "addresses": ["mail"], "fallback": ["mail"], "cookie": self.folder / "cookie"} | more

    def read(self, server, *uris, **more):
        """The next read, incremental if that can be."""
        answer = source_read.read(*(uris or [server.uri]), **self.options(
            server, **{"incremental": True} | more))
        self.assertTrue(answer.complete, answer.output[-2000:])
        return answer

    def clean(self, server, **more):
        """What a full read finds."""
        table = Table()
        table.apply(self.read(server, cookie=self.folder / "none", incremental=[], **more))
        return table.objects

    def assert_kind(self, answer, kind, *words):
        self.assertEqual(answer.fields["kind"], kind, answer.output[-1500:])
        for word in words:
            self.assertIn(word, " ".join(answer.warnings))


class WithSessionLog(SyncCase):
    """slapd names what is gone."""

    def step(self, server, table, **more):
        """One incremental read, which has to end where a full one does."""
        answer = table.apply(self.read(server, **more))
        self.assertEqual(table.objects, self.clean(server, **more))
        return answer

    def test_every_kind_of_change(self):
        server, table = self.slapd(ldif=UNITS + people(30)), Table()
        self.assert_kind(self.step(server, table), "full")
        self.assertEqual(len(table.objects), 30)
        dn = f"cn=p1,ou=A,{SUFFIX}"
        changes = {
            "nothing": lambda: None,
            "added": lambda: server.add(person("new", "ou=B")),
            "modified": lambda: server.modify(f"dn: {dn}\nchangetype: modify\nadd: mail\n"
                                              "mail: other@example.com\n"),
            "deleted": lambda: server.delete(f"cn=p2,ou=A,{SUFFIX}"),
            "renamed": lambda: server.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: cn=q1\n"
                                             "deleteoldrdn: 1\n"),
            "left the filter": lambda: server.modify(f"dn: cn=p3,ou=A,{SUFFIX}\n"
                                                     "changetype: modify\ndelete: mail\n"),
            "came into the filter": lambda: server.modify(f"dn: cn=p3,ou=A,{SUFFIX}\n"
                                                          "changetype: modify\nadd: mail\n"
                                                          "mail: back@example.com\n"),
            "deleted and added": lambda: (server.delete(f"cn=p4,ou=A,{SUFFIX}"),
                                          server.add(person("p4"))),
            "outside the filter": lambda: server.add(f"dn: ou=D,{SUFFIX}\nou: D\n"
                                                     "objectClass: organizationalUnit\n"),
        }
        for name, change in changes.items():
            with self.subTest(change=name):
                change()
                answer = self.step(server, table)
                self.assert_kind(answer, "incremental")
                self.assertFalse(answer.warnings, answer.warnings)
                if self.session_log:
                    self.assertLessEqual(len(answer.objects) + len(answer.present), 1)
        self.assertIn("back@example.com", table.addresses())

    def test_moves_between_bases(self):
        server, table = self.slapd(ldif=UNITS + people(20) + "\n" + people(20, "ou=B", 20)), Table()
        more = {"base": BOTH}
        self.step(server, table, **more)
        for name, unit, to in (("p1", "ou=A", "ou=B"), ("p21", "ou=B", "ou=A"),
                               ("p1", "ou=B", "ou=C"), ("p1", "ou=C", "ou=A")):
            with self.subTest(moved=f"{unit} to {to}"):
                server.modify(f"dn: cn={name},{unit},{SUFFIX}\nchangetype: modrdn\n"
                              f"newrdn: cn={name}\ndeleteoldrdn: 1\nnewsuperior: {to},{SUFFIX}\n")
                answer = self.step(server, table, **more)
                self.assert_kind(answer, "incremental")
                self.assertEqual(len(answer.removed),
                                 1 if self.session_log and to == "ou=C" else 0)
        self.assertEqual(len(table.objects), 40)

    def test_moved_container(self):
        inside = people(5, "ou=Sub,ou=B")
        server, table = self.slapd(ldif=UNITS + people(5, first=9) + "\n" + inside), Table()
        more = {"base": BOTH[:1]}
        self.step(server, table, **more)
        for unit, to, count in (("ou=B", "ou=A", 10), ("ou=A", "ou=C", 5)):
            with self.subTest(moved=f"{unit} to {to}"):
                server.modify(f"dn: ou=Sub,{unit},{SUFFIX}\nchangetype: modrdn\nnewrdn: ou=Sub\n"
                              f"deleteoldrdn: 1\nnewsuperior: {to},{SUFFIX}\n")
                answer = self.step(server, table, **more)
                if self.session_log:
                    self.assert_kind(answer, "full", "moved")
                self.assertEqual(len(table.objects), count)
        # A new container holds only what was added to it.
        server.add(f"dn: ou=New,ou=A,{SUFFIX}\nou: New\nobjectClass: organizationalUnit\n\n" +
                   person("inside", "ou=New,ou=A"))
        self.step(server, table, **more)
        self.assertEqual(len(table.objects), 6)

    def test_after_a_restart_of_the_server(self):
        server, table = self.slapd(ldif=UNITS + people(20)), Table()
        self.step(server, table)
        server.delete(f"cn=p1,ou=A,{SUFFIX}")
        server.stop()
        server.start()
        server.add(person("late"))
        self.assert_kind(self.step(server, table), "incremental")
        server.delete(f"cn=p2,ou=A,{SUFFIX}")
        self.assert_kind(self.step(server, table), "incremental")

    def test_random_changes(self):
        seed = int(os.environ.get("RCPTSYNC_SEED", "4533"))
        print(f"seed {seed}")
        random_ = random.Random(seed)
        server, table, number = self.slapd(ldif=UNITS), Table(), 0
        where = {}
        for _ in range(12):
            for _ in range(random_.randrange(12)):
                if not where or random_.random() < 0.4:
                    number += 1
                    name, unit = f"r{number}", random_.choice(["ou=A", "ou=B", "ou=C"])
                    server.add(person(name, unit))
                    where[name] = unit
                    continue
                name = random_.choice(sorted(where))
                dn = f"cn={name},{where[name]},{SUFFIX}"
                change = random_.randrange(4)
                if change == 0:
                    server.delete(dn)
                    del where[name]
                elif change == 1:
                    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: mail\n" +
                                  "".join(f"mail: {name}.{random_.randrange(99)}@example.com\n"
                                          for _ in range(random_.randrange(2))))
                else:
                    unit = random_.choice(["ou=A", "ou=B", "ou=C"])
                    number += 1
                    to = f"r{number}"
                    server.modify(f"dn: {dn}\nchangetype: modrdn\nnewrdn: cn={to}\n"
                                  f"deleteoldrdn: 1\nnewsuperior: {unit},{SUFFIX}\n")
                    del where[name]
                    where[to] = unit
            if random_.random() < 0.1:
                table.apply(self.read(server, base=BOTH, incremental=[]))
            else:
                table.apply(self.read(server, base=BOTH))
            self.assertEqual(table.objects, self.clean(server, base=BOTH), f"seed {seed}")


class WithoutSessionLog(WithSessionLog):
    """slapd names what is still there."""

    session_log = 0

    def test_moved_container(self):
        """What came in with it is named as unchanged: the service knows it not and reads in full."""
        inside = people(5, "ou=Sub,ou=B")
        server, table = self.slapd(ldif=UNITS + people(5, first=9) + "\n" + inside), Table()
        table.apply(self.read(server, base=BOTH[:1]))
        server.modify(f"dn: ou=Sub,ou=B,{SUFFIX}\nchangetype: modrdn\nnewrdn: ou=Sub\n"
                      f"deleteoldrdn: 1\nnewsuperior: ou=A,{SUFFIX}\n")
        answer = self.read(server, base=BOTH[:1])
        if answer.fields["kind"] == "incremental":
            self.assertEqual(len(set(answer.present) - set(table.objects)), 5)


class Doubt(SyncCase):
    def test_database_made_anew(self):
        ldif = UNITS + people(10)
        server = self.slapd(ldif=ldif)
        self.assert_kind(self.read(server), "full")
        server.make_anew(ldif=ldif)
        self.assert_kind(self.read(server), "full", "another database")
        self.assert_kind(self.read(server), "incremental")

    def test_restored_copy(self):
        server = self.slapd(ldif=UNITS + people(10))
        server.stop()
        copy = ["cp", "-a", "--sparse=always"]
        subprocess.run([*copy, server.folder / "db", self.folder / "backup"], check=True)
        server.start()
        server.add(person("lost"))
        self.assert_kind(self.read(server), "full")
        server.stop()
        shutil.rmtree(server.folder / "db")
        subprocess.run([*copy, self.folder / "backup", server.folder / "db"], check=True)
        server.start()
        answer = self.read(server)
        self.assert_kind(answer, "full", "up to")
        self.assertTrue(answer.behind)

    def test_another_server_under_the_same_address(self):
        server = self.slapd(ldif=UNITS + people(10))
        self.read(server)
        server.stop()
        other = Slapd(self.folder / "other")
        other.port, other.ldaps_port, other.uri, other.ldaps_uri = (
            server.port, server.ldaps_port, server.uri, server.ldaps_uri)
        self.addCleanup(other.stop)
        other.start(ldif=UNITS + people(3))
        answer = self.read(other)
        self.assert_kind(answer, "full", "another database")
        self.assertEqual(len(answer.objects), 3)

    def test_server_without_the_overlay(self):
        server = self.slapd(syncprov=False, ldif=UNITS + people(3))
        self.assert_kind(self.read(server), "full", "syncprov")
        self.assert_kind(self.read(server), "full")
        with source_read.Watch(server.uri, **self.options(server)) as watch:
            self.assertIn("syncprov", watch.wait_end())

    def test_filter_that_changes_in_silence(self):
        server = self.slapd(ldif=UNITS + people(3))
        answer = self.read(server, filter="(&(mail=*)(!(hasSubordinates=TRUE)))")
        self.assert_kind(answer, "full", "hasSubordinates")

    def test_size_limit(self):
        server = self.slapd(settings=f'limits dn.exact="{Slapd.reader_dn}" size=10 '
                                     'size.prtotal=unlimited', ldif=UNITS + people(30))
        self.assert_kind(self.read(server, page_size=5), "full")
        server.add(people(20, first=50))
        answer = self.read(server, page_size=5)
        self.assert_kind(answer, "full", "code 4")
        self.assertEqual(len(answer.objects), 50)


class Replicas(SyncCase):
    def test_replica_that_lags(self):
        provider = self.slapd("provider", ldif=UNITS + people(10))
        for syncprov in (True, False):
            with self.subTest(syncprov=syncprov):
                (self.folder / "cookie").unlink(missing_ok=True)
                replica = Slapd(self.folder / f"replica-{syncprov}", provider=provider,
                                syncprov=syncprov)
                replica.ca_file = provider.ca_file
                self.addCleanup(replica.stop)
                replica.start()
                replica.wait_replicated()
                replica.stop()
                replica.replicating = False
                replica.start()

                uris = {"plaintext": True, "preferred": replica.uri}
                provider.add(person(f"later-{syncprov}"))
                self.assert_kind(self.read(provider, provider.uri, plaintext=True), "full")
                answer = self.read(provider, replica.uri, provider.uri, **uris)
                self.assertEqual(answer.fields["server"], replica.uri)
                self.assert_kind(answer, "full")
                self.assertTrue(answer.behind, answer.output[-1500:])

                replica.stop()
                replica.replicating = True
                replica.start()
                replica.wait_replicated()
                answer = self.read(provider, replica.uri, provider.uri, **uris)
                self.assertEqual(answer.behind, "")
                replica.stop()

    def test_increments_of_a_replica(self):
        provider = self.slapd("provider", ldif=UNITS + people(10))
        replica, table = self.slapd("replica", provider=provider), Table()
        replica.wait_replicated()
        table.apply(self.read(replica))
        for change in (lambda: provider.add(person("one")),
                       lambda: provider.delete(f"cn=p1,ou=A,{SUFFIX}")):
            change()
            replica.wait_replicated()
            self.assert_kind(table.apply(self.read(replica)), "incremental")
            self.assertEqual(table.objects, self.clean(provider))


class Watching(SyncCase):
    def test_rings_after_each_change(self):
        server = self.slapd(ldif=UNITS + people(10))
        self.read(server)
        server.add(person("before"))
        # Longer silence than read_timeout is no error.
        with source_read.Watch(server.uri, **self.options(server, read_timeout=1)) as watch:
            watch.wait_ring()
            time.sleep(2.5)
            watch.drain()
            changes = {
                "added": lambda: server.add(person("during", "ou=B")),
                "modified": lambda: server.modify(f"dn: cn=p1,ou=A,{SUFFIX}\nchangetype: modify\n"
                                                  "replace: mail\nmail: x@example.com\n"),
                "deleted": lambda: server.delete(f"cn=p2,ou=A,{SUFFIX}"),
                "left": lambda: server.modify(f"dn: cn=p3,ou=A,{SUFFIX}\nchangetype: modify\n"
                                              "delete: mail\n"),
                "renamed": lambda: server.modify(f"dn: cn=p4,ou=A,{SUFFIX}\nchangetype: modrdn\n"
                                                 "newrdn: cn=q4\ndeleteoldrdn: 1\n"),
            }
            for name, change in changes.items():
                with self.subTest(change=name):
                    change()
                    took = watch.wait_ring(30)
                    print(f"{name}: ring {max(took, 0):.3f} s after the change")
                    self.assertLess(took, 20)
                    watch.drain()

    def test_lost_connection_ends_it(self):
        server = self.slapd(ldif=UNITS + people(3))
        self.read(server)
        with source_read.Watch(server.uri, **self.options(server)) as watch:
            server.add(person("one"))
            watch.wait_ring()
            server.kill()
            self.assertIn("failed incomplete", watch.wait_end())

    def test_stop(self):
        server = self.slapd(ldif=UNITS + people(3))
        self.read(server)
        began = time.monotonic()
        watch = source_read.Watch(server.uri, **self.options(server, cancel_after=500))
        self.addCleanup(watch.close)
        self.assertIn("failed cancelled", watch.wait_end())
        print(f"stopped after {time.monotonic() - began - 0.5:.3f} s")
        self.assertLess(time.monotonic() - began, 20)


class Cost(SyncCase):
    def test_bytes_follow_the_changes(self):
        server = self.slapd(ldif=UNITS + people(20000))
        table = Table()
        with Gate(server.port) as gate:
            uri, more = f"ldap://127.0.0.1:{gate.port}", {"plaintext": True}
            table.apply(self.read(server, uri, **more))
            full, before = gate.received, gate.received
            self.assert_kind(self.read(server, uri, **more), "incremental")
            idle, before = gate.received - before, gate.received
            server.add(people(5, first=30000))
            for i in range(5):
                server.delete(f"cn=p{i},ou=A,{SUFFIX}")
            answer = table.apply(self.read(server, uri, **more))
            changed = gate.received - before
        print(f"bytes: full {full}, nothing changed {idle}, 10 changes {changed}")
        self.assert_kind(answer, "incremental")
        self.assertEqual((len(answer.objects), len(answer.removed), len(table.objects)),
                         (5, 5, 20000))
        self.assertLess(idle, 8000)
        self.assertLess(changed, 20000)
        self.assertGreater(full, 2_000_000)


class Faults(unittest.TestCase):
    """A server that does not keep RFC 4533: every lie ends in a full read, or fails the read."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="rcptsync-sync-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.cookie = Path(folder) / "cookie"
        self.server = SyncServer(faults.entries(20))
        self.addCleanup(self.server.stop)

    def read(self, **more):
        return source_read.read(self.server.uri, **{
            "type": "ldap", "plaintext": True, "filter": "(mail=*)", "addresses": ["mail"],
            "cookie": self.cookie, "incremental": True, "read_timeout": 3} | more)

    def test_it_reads_increments(self):
        self.assertEqual(self.read().fields["kind"], "full")
        self.server.change(sent=[3], gone=[7])
        answer = self.read()
        self.assertEqual(answer.fields["kind"], "incremental", answer.output)
        self.assertEqual([o.key for o in answer.objects], [key(3).hex()])
        self.assertEqual(answer.removed, [key(7).hex()])
        self.assertEqual(self.server.refreshes, [cookie(csn(1))])

    def test_lies_end_in_a_full_read(self):
        server, now = self.server, cookie(csn(2))
        done = lambda n: sync_done(n, now, True)
        answers = {
            "garbage state": lambda n: server.sent(n, 1, value=b"\x30\x05garbage") + done(n),
            "no state": lambda n: search_entry(n, *server.entries[1]) + done(n),
            "wrong UUID": lambda n: server.sent(n, 1, unique=key(2)) + done(n),
            "short UUID": lambda n: server.sent(n, 1, unique=b"short") + done(n),
            "entry without UUID": lambda n: faults.sync_entry(
                n, "cn=x," + faults.BASE, {"mail": ["x@example.com"]}, faults.ADD, key(1)) + done(n),
            "garbage info": lambda n: sync_info(n, b"\xa3\x84\xff\xff\xff\xff") + done(n),
            "garbage done": lambda n: sync_done(n, value=b"\x30\x80\x00\x00"),
            "no done": lambda n: message(n, ldap_result(0x65, 0)),
            "no cookie": lambda n: server.sent(n, 1) + sync_done(n, None, True),
            "cookie of another make": lambda n: sync_done(n, "host:389#x#42", True),
            "cookie that went back": lambda n: sync_done(n, cookie(csn(0)), True),
            "cookie with another server": lambda n: sync_done(n, cookie(csn(2), csn(1, 1)), True),
            "gone, and unseen gone": lambda n: sync_info(n, id_set([key(1)], True)) +
                sync_done(n, now, False),
            "present, and unseen stays": lambda n: sync_info(n, id_set([key(1)], False)) + done(n),
            "both phases": lambda n: sync_info(n, id_set([key(1)], False)) +
                sync_info(n, id_set([key(2)], True)) + done(n),
            "several phases": lambda n: sync_info(n, ber(0xA2, faults.boolean(False))) + done(n),
            "refresh required": lambda n: sync_done(n, now, code=4096),
            "refused": lambda n: sync_done(n, now, code=53),
            "unknown message": lambda n: message(n, ber(0x79, octets(b"1.2.3", 0x80))) +
                done(n),
        }
        for name, answer in answers.items():
            with self.subTest(name):
                self.cookie.unlink(missing_ok=True)
                server.csns = [csn(1)]
                self.assertEqual(self.read().fields["kind"], "full")
                server.csns = [csn(2)]
                server.refresh = lambda connection, n, answer=answer: connection.send(answer(n))
                read = self.read()
                self.assertTrue(read.complete, read.output[-2000:])
                self.assertEqual((read.fields["kind"], read.fields["unseen_gone"]),
                                 ("full", "true"))
                self.assertEqual(len(read.objects), 20)
                self.assertIn("read in full", " ".join(read.warnings))

    def test_endless_sets_end(self):
        self.read()
        self.server.csns = [csn(2)]

        def endless(connection, number):
            first = 0
            while True:
                keys = [(first + i).to_bytes(16, "big") for i in range(20000)]
                first += len(keys)
                connection.send(sync_info(number, id_set(keys, True)))
        self.server.refresh = endless
        answer = self.read(read_timeout=20)
        self.assertEqual(answer.removed, [], answer.output[-500:])
        # Whatever comes first, the limit or the timeout.
        self.assertTrue(not answer.complete or answer.fields["kind"] == "full")

    def test_cut_connections(self):
        self.read()
        self.server.csns = [csn(2)]
        parts = [lambda n: b"", lambda n: self.server.sent(n, 1),
                 lambda n: self.server.sent(n, 1) + sync_info(n, id_set([key(2)], True)),
                 lambda n: sync_done(n, cookie(csn(2)), True)[:-3]]
        for index, part in enumerate(parts):
            with self.subTest(part=index):
                def cut(connection, number, part=part):
                    connection.send(part(number))
                    connection.close()
                self.server.refresh = cut
                answer = self.read()
                self.assertFalse(answer.complete, answer.output)

    def test_silence(self):
        self.read()
        self.server.csns = [csn(2)]
        self.server.refresh = lambda connection, number: connection.wait()
        answer = self.read(read_timeout=1)
        self.assertTrue(answer.complete, answer.output)
        self.assertEqual(answer.fields["kind"], "full")
        self.assertIn("read_timeout", " ".join(answer.warnings))

    def test_other_makes_are_read_in_full(self):
        self.server.root["objectClass"] = ["top"]
        for _ in range(2):
            answer = self.read()
            self.assertEqual(answer.fields["kind"], "full")
        self.server.root["objectClass"] = ["OpenLDAProotDSE"]
        self.server.csns = ["20260131"]
        self.cookie.unlink()
        self.assertIn("not one of OpenLDAP", " ".join(self.read().warnings))


if __name__ == "__main__":
    unittest.main()
