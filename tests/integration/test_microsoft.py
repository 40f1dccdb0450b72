"""The source type active-directory against a server that keeps Microsoft's rules, and against one that breaks."""

import concurrent.futures
import os
import resource
import shutil
import signal
import tempfile
import unittest
from pathlib import Path

import ldap_ber as ber
import microsoft_faults as faults
import source_read
from daemon import Daemon
from microsoft_directory import BAD_CONTROL, DIRSYNC, OTHER_COOKIE, Account, MicrosoftServer
from microsoft_forest import BASE, Forest, populate, recipients
from source_state import SourceState, differences

PROGRAMS = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "bin"
READER = "reader@corp.example.com"
SEED = int(os.environ.get("RCPTSYNC_SEED", "1"))


class Case(unittest.TestCase):
    """A forest and what one reads from it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-microsoft-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.password = cls.folder / "password"
        cls.password.touch(0o600)
        cls.password.write_text("secret\n")

    def forest(self, people=0, controllers=1):
        forest = Forest(controllers, seed=SEED)
        populate(forest.controllers[0], people)
        forest.replicate()
        return forest

    def serve(self, controller, **account):
        server = MicrosoftServer(controller, {READER: Account(**account)})
        self.addCleanup(server.stop)
        return server

    def read(self, *servers, **options):
        defaults = {"user": READER, "password_file": self.password, "plaintext": True,
                    "read_timeout": 20}
        return source_read.read(*(server.uri for server in servers), **(defaults | options))

    def assert_whole(self, answer, controller, *bases):
        self.assertTrue(answer.complete, answer.output[-1500:])
        state = SourceState()
        state.take(answer)
        wrong = differences(state.objects, recipients(controller, *bases))
        self.assertFalse(wrong, f"{wrong}\n{answer.output[-600:]}")

    def assert_failed(self, answer, code, *words):
        self.assertFalse(answer.complete, answer.output[-1500:])
        self.assertEqual(answer.code, code, answer.message)
        for word in words:
            self.assertIn(word, answer.message)
        self.assertNotIn("\n", answer.message)


class Rules(Case):
    """What a healthy domain controller does."""

    def test_never_more_than_a_thousand_entries_a_page(self):
        dc = self.forest(2500).controllers[0]
        for size in (1, 999, 1000, 1001, 100000):
            people = {"base": [f"OU=Few,{BASE}"]} if size == 1 else {}
            if people:
                dc.add("OU=Few", "organizationalUnit")
                populate(dc, 15, "OU=Few", start=9000)
            with self.subTest(size=size):
                server = self.serve(dc)
                answer = self.read(server, page_size=size, **people)
                self.assert_whole(answer, dc, *(["OU=Few"] if people else []))
                whole = len(recipients(dc, *(["OU=Few"] if people else [])))
                self.assertEqual(len(server.asked("page")), -(-whole // min(size, 1000)))

    def test_ranges_at_their_limits(self):
        dc = self.forest(50).controllers[0]
        for count in (1499, 1500, 1501, 3000, 3001, 4700):
            dc.add(f"CN=Many {count}", proxyAddresses=[f"smtp:m{count}.{i}@example.com" for i in range(count)])
        self.assert_whole(self.read(self.serve(dc)), dc)

    def test_ranges_of_both_attributes(self):
        dc = self.forest(5).controllers[0]
        dc.add("CN=Only X400", proxyAddresses=[f"X400:c=DE;s={i}" for i in range(2000)],
               mail=[f"only{i}@example.com" for i in range(1700)])
        dc.add("CN=Late SMTP", proxyAddresses=[f"X400:c=DE;s={i}" for i in range(1600)] + ["smtp:late@example.com"],
               mail="not.this@example.com")
        self.assert_whole(self.read(self.serve(dc)), dc)

    def test_ranges_of_many_objects_on_a_page(self):
        dc = self.forest(100).controllers[0]
        for number in range(40):
            dc.add(f"CN=Many {number}", proxyAddresses=[f"smtp:m{number}.{i}@example.com" for i in range(1600)])
        self.assert_whole(self.read(self.serve(dc), page_size=30), dc)

    def test_an_object_with_a_million_values(self):
        dc = self.forest(3).controllers[0]
        dc.add("CN=Million", proxyAddresses=[f"smtp:address{i:07}@example.com" for i in range(1_000_000)])
        answer = self.read(self.serve(dc))
        self.assertTrue(answer.complete, answer.message)
        self.assertGreaterEqual(int(answer.fields["values"]), 1_000_003)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 700_000)

    def test_continuation_references_anywhere(self):
        dc = self.forest(1500).controllers[0]
        for at in (0, 1, 500, 999):
            with self.subTest(at=at):
                server = self.serve(dc)
                server.referrals_at = at
                answer = self.read(server)
                self.assert_whole(answer, dc)
                self.assertEqual(answer.fields["references"], "3")

    def test_odd_names(self):
        dc = self.forest(5).controllers[0]
        guid = dc.add("CN=Jürgen Müller #1 <x>", proxyAddresses=[f"smtp:j{i}@example.com" for i in range(1600)])
        self.assert_whole(self.read(self.serve(dc)), dc)
        dc.rename(guid, "CN=日本")
        self.assert_whole(self.read(self.serve(dc)), dc)

    def test_several_bases(self):
        dc = self.forest(40).controllers[0]
        populate(dc, 10, "OU=Left", 100)
        populate(dc, 10, "CN=Users", 200)
        answer = self.read(self.serve(dc), base=[f"OU=Staff,{BASE}", f"OU=Left,{BASE}"])
        self.assert_whole(answer, dc, "OU=Staff", "OU=Left")

    def test_tombstones_are_no_recipients(self):
        dc = self.forest(40).controllers[0]
        for number in range(5):
            dc.delete(f"CN=Person {number},OU=Staff")
        self.assert_whole(self.read(self.serve(dc, sees_deleted=True, get_changes=True)), dc)

    def test_filters(self):
        dc = self.forest(40).controllers[0]
        everybody = recipients(dc)

        def of(key):
            return dc.records[bytes.fromhex(key)].values

        for text, wanted in (
                ("(&(objectClass=user)(mail=*))", lambda key: of(key)["objectclass"][-1] == b"user"),
                ("(mail=person1*)", lambda key: of(key)["mail"][0].startswith(b"person1")),
                ("(&(mail=*)(!(objectClass=contact)))", lambda key: b"contact" not in of(key)["objectclass"])):
            with self.subTest(filter=text):
                answer = self.read(self.serve(dc), filter=text)
                self.assertTrue(answer.complete, answer.message)
                self.assertEqual({found.key for found in answer.objects},
                                 set(filter(wanted, everybody)))


class Changing(Case):
    """The directory changes while it is read."""

    def many(self, dc, count=4000):
        self.values = [f"smtp:many{i}@example.com" for i in range(count)]
        return dc.add("CN=Many", proxyAddresses=self.values)

    def smtp(self, answer, guid):
        return set(next(found for found in answer.objects if found.key == guid.hex()).smtp)

    def test_a_value_removed_between_ranges_loses_no_other(self):
        for removed in (0, 1499, 1500, 3999):
            with self.subTest(removed=removed):
                dc = self.forest(3).controllers[0]
                guid = self.many(dc)
                server = self.serve(dc)
                left = self.values[:removed] + self.values[removed + 1:]
                server.on("range", faults.after(lambda: dc.modify(guid, proxyAddresses=left)), at=1, times=1)
                answer = self.read(server)
                if answer.complete:
                    self.assertLessEqual({value.partition(":")[2] for value in left}, self.smtp(answer, guid))
                else:
                    self.assert_failed(answer, "incomplete", "changed while it was read")

    def test_values_added_between_ranges(self):
        dc = self.forest(3).controllers[0]
        guid = self.many(dc)
        server = self.serve(dc)
        server.on("range", faults.after(lambda: dc.modify(
            guid, proxyAddresses=["smtp:first@example.com"] + self.values + ["smtp:last@example.com"])), times=1)
        answer = self.read(server)
        if answer.complete:
            self.assertLessEqual({value.partition(":")[2] for value in self.values}, self.smtp(answer, guid))
        else:
            self.assert_failed(answer, "incomplete")

    def test_an_object_that_loses_its_values_vanishes_or_moves_between_ranges(self, plain=False):
        for action in (lambda dc, guid: dc.modify(guid, proxyAddresses=self.values[:10]),
                       lambda dc, guid: dc.modify(guid, proxyAddresses=None),
                       lambda dc, guid: dc.delete(guid),
                       lambda dc, guid: dc.rename(guid, parent="OU=Left"),
                       lambda dc, guid: dc.rename(guid, name="CN=Other")):
            dc = self.forest(30).controllers[0]
            guid = self.many(dc)
            server = self.serve(dc)
            server.plain_if_whole = plain
            server.on("range", faults.after(lambda: action(dc, guid)), times=1)
            answer = self.read(server)
            if answer.complete:
                self.assert_whole(answer, dc)
            else:
                self.assertIn(answer.code, ("incomplete", "not_found"), answer.message)
            server.clear()
            self.assert_whole(self.read(server), dc)

    def test_the_same_with_a_server_that_names_no_range_when_it_is_all(self):
        self.test_an_object_that_loses_its_values_vanishes_or_moves_between_ranges(plain=True)

    def test_objects_deleted_between_pages(self):
        dc = self.forest(60).controllers[0]
        server = self.serve(dc)
        server.on("page", faults.after(lambda: [dc.delete(f"CN=Person {n},OU=Staff") for n in range(25, 35)]),
                  at=2, times=1)
        answer = self.read(server, page_size=10)
        self.assertTrue(answer.complete, answer.message)
        self.assertLessEqual(set(recipients(dc)), {found.key for found in answer.objects})


CODES = {3: "time limit", 4: "size limit", 8: "encrypted", 11: "limit of the server", 50: "may not read", 51: "busy",
         52: "stopping", 53: "unwilling", 80: "log"}
BREAKS = {"cut": faults.cut(), "cut at once": faults.cut(0), "garbage": faults.garbage(b"\xff" * 4000),
          "http": faults.garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "without control": faults.without_control,
          "forgets": faults.forget, "begins again": faults.begin_again, "silence": faults.silence(),
          "drip": faults.drip(0.4)}


class Breaking(Case):
    """Whatever happens at whatever moment: everything, or a failure that says what, where and why."""

    PAGE = 25

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dc = Forest(1, seed=SEED).controllers[0]
        populate(cls.dc, 110)
        cls.dc.add("CN=Many", proxyAddresses=[f"smtp:many{i}@example.com" for i in range(4000)])
        populate(cls.dc, 30, start=500)

    def stages(self):
        """(kind, number of its kind) of the requests of a read."""
        return [("bind", 1), ("page", 1), ("page", 3), ("page", 6), ("range", 1), ("range", 2)]

    def each(self, cases, test):
        """test(*case) for each, some at a time; a failure names its case."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for case, done in [(case, pool.submit(test, *case)) for case in cases]:
                with self.subTest(case=[str(part) for part in case]):
                    done.result()

    def broken(self, kind, at, fault):
        """Reads alone, and with a second, good server."""
        bad = self.serve(self.dc)
        bad.on(kind, fault, at=at)
        options = {"page_size": self.PAGE, "read_timeout": 1, "connect_timeout": 1}
        alone = self.read(bad, **options)
        good = self.serve(self.dc)
        both = self.read(bad, good, **options | {"read_timeout": 5, "connect_timeout": 5})
        return bad, good, alone, both

    def check(self, bad, good, alone, both, code=""):
        self.assertFalse(alone.complete, alone.output[-1000:])
        self.assertIn(bad.uri, alone.message)
        self.assertIn(code, alone.message)
        self.assert_whole(both, self.dc)
        self.assertEqual(both.fields["server"], good.uri)
        self.assertTrue(any(bad.uri in warning for warning in both.warnings), both.warnings)

    def test_result_codes_at_every_stage(self):
        def test(kind, at, code):
            *servers, alone, both = self.broken(kind, at, faults.result(code, after=5, text="so it is"))
            self.check(*servers, alone, both, f"code {code},")
            self.assertIn("so it is", alone.message)
            if kind == "page":
                self.assertIn(f"page {at}", alone.message)
            if kind == "range":
                self.assertIn("CN=Many", alone.message)
            if kind != "bind":
                self.assertIn(CODES[code], alone.message)
        self.each([(kind, at, code) for kind, at in self.stages() for code in CODES], test)

    def test_breaks_at_every_stage(self):
        paging = ("without control", "forgets", "begins again")

        def test(kind, at, name):
            *servers, alone, both = self.broken(kind, at, BREAKS[name])
            self.check(*servers, alone, both)
        last = max(at for kind, at in self.stages() if kind == "page")
        self.each([(kind, at, name) for kind, at in self.stages() for name in BREAKS
                   if name not in paging or (kind == "page" and (at < last or name == "without control"))], test)

    def test_empty_pages_without_end(self):
        bad = self.serve(self.dc)
        bad.on("page", faults.empty_page, at=2)
        self.assert_failed(self.read(bad, page_size=self.PAGE), "limit", "empty pages", bad.uri)

    def test_ranges_without_end(self):
        bad = self.serve(self.dc)

        def endless(request, answer, connection):
            name = request.attributes[0].partition(";")[0]
            first = int(request.attributes[0].partition("=")[2].partition("-")[0])
            values = [f"smtp:{'x' * 40}{i}@example.com" for i in range(first, first + 1500)]
            shown = [(f"{name};range={first}-{first + 1499}", values)]
            connection.send(ber.message(answer.number, ber.entry(f"CN=Many,{BASE}", shown)) +
                            ber.search_done(answer.number))
        bad.on("range", endless)
        answer = self.read(bad)
        self.assert_failed(answer, "limit", "CN=Many", bad.uri)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 700_000)

    def test_both_servers_broken(self):
        one, two = self.serve(self.dc), self.serve(self.dc)
        one.on("page", faults.result(51), at=2)
        two.on("page", faults.cut(), at=3)
        answer = self.read(one, two, page_size=self.PAGE)
        self.assert_failed(answer, "busy", one.uri, two.uri, "page 2", "page 3")


class Incremental(Case):
    """DirSync."""

    def setUp(self):
        self.cookie = Path(tempfile.mkdtemp(dir=self.folder)) / "cookie"
        self.state = SourceState()

    def prepare(self, people=60, controllers=1, **account):
        """A forest, its servers, and a first full read of the first one."""
        self.forest_ = self.forest(people, controllers)
        self.dc = self.forest_.controllers[0]
        account = {"get_changes": True, "sees_deleted": True} | account
        self.servers = [self.serve(dc, **account) for dc in self.forest_.controllers]
        self.server = self.servers[0]
        self.follow("full", incremental=False)

    def follow(self, kind, *servers, wanted=None, incremental=True, **options):
        """Reads on; the state is then that of the directory, and the read was of that kind."""
        options = {"cookie": self.cookie, "base": [f"OU=Staff,{BASE}"]} | options
        if incremental:
            options["incremental"] = True
        answer = self.read(*(servers or self.servers), **options)
        self.assertTrue(answer.complete, answer.output[-1500:])
        self.state.take(answer)
        wrong = differences(self.state.objects, recipients(self.dc, "OU=Staff") if wanted is None else wanted)
        self.assertFalse(wrong, f"{wrong}\n{answer.output[-1000:]}")
        self.assertEqual(answer.fields["kind"], kind, answer.output[-1500:])
        return answer

    def change_much(self):
        """Something of every sort, in the base and out of it."""
        dc = self.dc
        populate(dc, 7, start=1000)
        populate(dc, 3, "OU=Left", start=1100)
        dc.modify("CN=Person 1,OU=Staff", proxyAddresses=["smtp:other@example.com"])
        dc.modify("CN=Person 2,OU=Staff", proxyAddresses=None)
        dc.modify("CN=Person 3,OU=Staff", proxyAddresses=None, mail=None)
        dc.modify("CN=Person 4,OU=Staff", displayName="of no concern")
        dc.modify("CN=Person 5,OU=Staff", proxyAddresses=[f"smtp:five{i}@example.com" for i in range(3100)])
        dc.rename("CN=Person 6,OU=Staff", "CN=Renamed")
        dc.rename("CN=Person 7,OU=Staff", parent="OU=Left")
        dc.rename("CN=Person 1100,OU=Left", parent="OU=Staff")

    def test_nothing_changed(self):
        self.prepare()
        answer = self.follow("incremental")
        self.assertEqual((answer.fields["objects"], answer.objects, answer.removed), ("0", [], []))

    def test_every_sort_of_change(self):
        for account in ({}, {"get_changes": False}):
            for portion in (1, 4, 1000):
                with self.subTest(portion=portion, **account):
                    self.setUp()
                    self.prepare(**account)
                    self.server.portion = portion
                    self.change_much()
                    before = len(self.server.asked("dirsync"))
                    self.follow("incremental")
                    if portion == 1:
                        self.assertGreater(len(self.server.asked("dirsync")) - before, 15)
                    self.assertEqual(self.follow("incremental").fields["objects"], "0")

    def test_deletions_that_the_account_sees(self):
        for rights in (True, False):
            self.setUp()
            self.prepare(get_changes=rights)
            for number in (1, 2, 40):
                self.dc.delete(f"CN=Person {number},OU=Staff")
            answer = self.follow("incremental")
            self.assertEqual(len(answer.removed), 3)

    def test_deletions_that_it_does_not_see(self):
        self.prepare(get_changes=False, sees_deleted=False)
        before = dict(self.state.objects)
        self.dc.delete("CN=Person 1,OU=Staff")
        self.follow("incremental", wanted=before)
        self.follow("full", incremental=False)

    def test_the_administrator_is_told_of_unseen_deletions(self):
        self.forest_ = self.forest(5)
        server = self.serve(self.forest_.controllers[0])
        answer = self.read(server, cookie=self.cookie)
        self.assertTrue(any("deleted objects" in warning for warning in answer.warnings), answer.output[-800:])

    def test_a_unit_that_moves_takes_its_people_along(self):
        self.prepare()
        self.dc.add("OU=Site,OU=Staff", "organizationalUnit")
        populate(self.dc, 5, "OU=Site,OU=Staff", 500)
        self.follow("incremental")
        self.dc.rename("OU=Site,OU=Staff", parent="OU=Left")
        self.follow("full")
        self.dc.rename("OU=Site,OU=Left", parent="OU=Staff")
        self.follow("full")
        self.dc.delete("OU=Site,OU=Staff")
        self.follow("incremental")

    def test_refused_cookies(self):
        for reason in (BAD_CONTROL, OTHER_COOKIE, (2, "0000203D: decoding"), (80, "other"), (8, "0000203D")):
            with self.subTest(reason=reason):
                self.setUp()
                self.prepare()
                self.change_much()
                self.server.on("dirsync", faults.result(*reason[:1], text=reason[1]), times=1)
                answer = self.follow("full")
                self.assertTrue(any("does not go on" in warning or reason[1] in warning for warning in answer.warnings),
                                answer.warnings)
                self.server.clear()
                self.follow("incremental")

    def test_another_controller(self):
        self.prepare(controllers=2)
        self.forest_.replicate()
        for mode in ("refuse", "full", "vector"):
            self.servers[1].other_cookie = mode
            self.change_one()
            self.servers[0].stop()
            self.follow("full")
            self.change_one()
            self.follow("incremental")
            self.servers[0].start()
            self.change_one()
            self.follow("full", preferred=self.servers[0].uri)

    def change_one(self):
        self.number = getattr(self, "number", 2000) + 1
        self.dc.add(f"CN=One {self.number},OU=Staff", mail=f"one{self.number}@example.com")
        self.forest_.replicate()

    def test_a_restored_controller(self):
        self.prepare(controllers=2)
        self.forest_.replicate()
        old = self.dc.snapshot()
        self.change_much()
        self.forest_.replicate()
        self.follow("incremental")
        self.dc.roll_back(old, restored=True)
        self.dc.replicate()
        self.follow("full")

    def test_a_controller_whose_disk_was_put_back(self):
        self.prepare(controllers=2)
        old = self.dc.snapshot()
        self.change_one()
        self.follow("incremental")
        self.dc.roll_back(old)
        answer = self.read(self.server, cookie=self.cookie, incremental=True, base=[f"OU=Staff,{BASE}"])
        self.assertTrue(answer.complete, answer.output[-1000:])
        self.assertEqual(answer.fields["kind"], "full")
        self.assertIn(self.server.uri, answer.behind)

    def test_a_controller_that_lags(self):
        self.prepare(controllers=2)
        self.forest_.replicate()
        late = recipients(self.forest_.controllers[1], "OU=Staff")
        populate(self.dc, 5, start=3000)
        self.assertEqual(self.follow("incremental").behind, "")
        self.servers[0].stop()
        answer = self.follow("full", wanted=late)
        self.assertIn(self.servers[1].uri, answer.behind)
        self.assertTrue(self.follow("full", incremental=False, wanted=late).behind)
        self.forest_.controllers[1].replicate()
        answer = self.read(*self.servers, cookie=self.cookie, base=[f"OU=Staff,{BASE}"])
        self.state.take(answer)
        self.assertFalse(differences(self.state.objects, recipients(self.dc, "OU=Staff")))
        self.assertEqual(answer.behind, "")

    def test_faults_in_an_incremental_read(self):
        self.prepare()
        self.change_much()
        ahead = self.cookie.read_bytes()
        base = dict(self.state.objects)
        stages = ("bind", "root", "base", "dirsync", "page", "range", "search")
        breaks = {str(code): faults.result(code, after=2) for code in (3, 11, 50, 51, 53, 80)} | {
            "cut": faults.cut(1), "without control": faults.without_control, "garbage": faults.garbage(b"\xff" * 99)}
        for stage in stages:
            for name, fault in breaks.items():
                with self.subTest(stage=stage, fault=name):
                    self.server.clear()
                    self.server.on(stage, fault)
                    self.cookie.write_bytes(ahead)
                    self.state.objects = dict(base)
                    answer = self.read(self.server, cookie=self.cookie, incremental=True, base=[f"OU=Staff,{BASE}"],
                                       read_timeout=3)
                    self.state.take(answer)
                    if answer.complete:
                        self.assertFalse(differences(self.state.objects, recipients(self.dc, "OU=Staff")),
                                         answer.output[-800:])
                    else:
                        self.assertIn(self.server.uri, answer.message)
                        self.assertEqual(self.cookie.read_bytes(), ahead)

    def test_answers_without_end(self):
        self.prepare()
        self.change_much()

        def same_again(request, answer, connection):
            value = ber.ber(0x30, ber.integer(1), ber.integer(0), ber.octets(b"x" * (request.index % 2 + 1)))
            connection.send(ber.search_done(answer.number, controls=ber.ber(
                0x30, ber.octets(DIRSYNC), ber.octets(value))))
        self.server.on("dirsync", same_again)
        answer = self.read(self.server, cookie=self.cookie, incremental=True, base=[f"OU=Staff,{BASE}"])
        self.assertFalse(answer.complete and answer.fields["kind"] == "incremental", answer.output[-500:])

    def test_a_bell(self):
        self.prepare()
        with source_read.Watch(self.server.uri, user=READER, password_file=self.password, plaintext=True,
                               cookie=self.cookie, base=[f"OU=Staff,{BASE}"]) as watch:
            self.assertTrue(self.server.wait_watched(), "nobody watches")
            watch.drain()
            self.change_one()
            watch.wait_ring()
            self.server.stop()
            self.assertIn("failed", watch.wait_end())


class WholeDaemon(Case):
    """What the daemon makes of it."""

    def prepare(self, people=60, controllers=1, **account):
        self.forest_ = self.forest(people, controllers)
        self.servers = [self.serve(dc, **account) for dc in self.forest_.controllers]
        source = {"name": "corp", "type": "active-directory", "servers": [server.uri for server in self.servers],
                  "start_tls": False, "allow_plaintext": True, "page_size": 25, "read_timeout": "5s",
                  "bind": {"method": "simple", "user": READER, "password_file": str(self.password)},
                  "bases": [f"OU=Staff,{BASE}"]}
        daemon = Daemon(tempfile.mkdtemp(dir=self.folder), PROGRAMS, [source], [],
                        schedule={"poll": "1h", "jitter": "0%"}, recipients={"domains": ["example.com"]})
        self.addCleanup(lambda: daemon.process and daemon.kill())
        daemon.start()
        daemon.wait_line("generation 1 is in force")
        self.assertEqual(daemon.table().splitlines(), self.table())
        return daemon

    def table(self, dc=None):
        found = recipients(dc or self.forest_.controllers[0], "OU=Staff")
        return sorted(f"{value.partition(':')[2] or value}\tOK" for _, values in found.values() for value in values)

    def poll(self, daemon, line, number=signal.SIGUSR1):
        at = len(daemon.text())
        daemon.signal(number)
        return daemon.wait_line(line, after=at, seconds=60)

    def test_a_failed_poll_leaves_the_last_good_recipients(self):
        daemon = self.prepare()
        table = self.table()
        server = self.servers[0]
        for name, fault in {"busy": faults.result(51, after=3), "size limit": faults.result(4, after=3),
                            "cut": faults.cut(), "forgets": faults.forget, "silence": faults.silence(),
                            "garbage": faults.garbage(b"\xff" * 999)}.items():
            with self.subTest(name):
                server.clear()
                for kind in ("page", "dirsync", "base"):
                    server.on(kind, fault, at=1)
                self.forest_.controllers[0].modify("CN=Person 1,OU=Staff", displayName=name)
                for number in (signal.SIGUSR1, signal.SIGHUP):      # incremental, full
                    if name == "forgets" and number == signal.SIGUSR1:
                        continue                                    # one page, nothing to forget
                    line = self.poll(daemon, "source corp was not read, its last good recipients stay: ", number)
                    self.assertTrue(line.startswith("error: "), line)
                    self.assertIn(server.uri, line)
                    status = daemon.status()
                    self.assertEqual((status["generation"], status["held"]), (1, None))
                    self.assertEqual(daemon.table().splitlines(), table)
        server.clear()
        self.forest_.controllers[0].add("CN=Ada,OU=Staff", mail="ada@example.com")
        self.poll(daemon, "generation 2 is in force")
        self.assertEqual(daemon.table().splitlines(), self.table())

    def test_a_short_answer_that_says_success_is_held(self):
        daemon = self.prepare()
        self.servers[0].on("page", faults.short(10))
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: status["held"], seconds=60)
        self.assertEqual(daemon.status()["generation"], 1)
        self.assertEqual(daemon.table().splitlines(), self.table())
        self.servers[0].clear()
        at = len(daemon.text())
        daemon.signal(signal.SIGHUP)
        daemon.wait(lambda status: not status["held"], seconds=60)
        self.assertEqual(daemon.table().splitlines(), self.table(), daemon.text()[at:])


class BadInput(Case):
    """One clear line each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dc = Forest(1).controllers[0]
        populate(cls.dc, 20)

    def test_wrong_password(self):
        self.assert_failed(self.read(self.serve(self.dc, password="another")), "credentials", READER, "data 52e")

    def test_refused_logons(self):
        for data, words in (("525", "no such account"), ("530", "hour"), ("531", "host"), ("532", "expired"),
                            ("533", "disabled"), ("701", "expired"), ("773", "change its password"),
                            ("775", "locked")):
            with self.subTest(data=data):
                # Another server may know an account that this one does not, and asking costs nothing.
                code = "not_found" if data == "525" else "credentials"
                self.assert_failed(self.read(self.serve(self.dc, data=data)), code, words, f"data {data}")

    def test_password_without_encryption(self):
        server = self.serve(self.dc)
        server.require_encryption = True
        self.assert_failed(self.read(server), "permission", "without encryption", "start_tls")

    def test_nobody_in_particular(self):
        server = self.serve(self.dc)
        answer = source_read.read(server.uri, plaintext=True)
        self.assert_failed(answer, "permission", "bind.user")

    def test_filter_with_a_syntax_error(self):
        self.assert_failed(self.read(self.serve(self.dc), filter="(&(mail=*)"), "invalid", "(&(mail=*)", "RFC 4515")

    def test_base_that_does_not_exist(self):
        answer = self.read(self.serve(self.dc), base=[f"OU=Nowhere,{BASE}"])
        self.assert_failed(answer, "not_found", f"OU=Nowhere,{BASE}", "bases")

    def test_base_that_is_no_name(self):
        self.assert_failed(self.read(self.serve(self.dc), base=["Staff"]), "invalid", "Staff", "bases")

    def test_base_of_another_domain(self):
        answer = self.read(self.serve(self.dc), base=["OU=Staff,DC=other,DC=example"])
        self.assert_failed(answer, "not_found", "ldap://other.example/", "OU=Staff,DC=other,DC=example")

    def test_attribute_that_the_schema_lacks(self):
        for key, more in (("filter", {"filter": "(|(mail=*)(proxyAdresses=*))"}),
                          ("addresses", {"addresses": ["proxyAdresses"]}),
                          ("fallback", {"fallback": ["mail", "proxyAdresses"]})):
            with self.subTest(key):
                answer = self.read(self.serve(self.dc), **more)
                self.assert_failed(answer, "not_found", f"correct its name in {key}")
                self.assertIn("attribute proxyadresses", answer.message.lower())

    def test_objects_without_a_guid(self):
        server = self.serve(self.dc)

        def bare(request, answer, connection):
            entry = ber.entry(f"CN=Bare,{BASE}", [("mail", ["bare@example.com"])])
            answer.entries = [ber.message(answer.number, entry)]
            connection.send(answer.encoded() + answer.done())
        server.on("page", bare)
        self.assert_failed(self.read(server), "not_found", "CN=Bare", "objectGUID")


if __name__ == "__main__":
    unittest.main()
