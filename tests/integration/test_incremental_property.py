"""Full and incremental reads in any order, over a directory that changes and servers that fail: after each complete
read what was collected equals what one clean full read finds.

    RCPTSYNC_SEED=17 python3 -m unittest test_incremental_property      # that sequence again
"""

import os
import random
import shutil
import tempfile
import time
import unittest
from pathlib import Path

import microsoft_faults as faults
import source_read
from active_directory import ActiveDirectory
from microsoft_directory import BAD_CONTROL, OTHER_COOKIE, Account, MicrosoftServer
from microsoft_forest import BASE, Forest, populate, recipients
from source_state import SourceState, differences

READER = "reader@corp.example.com"
FIXED = os.environ.get("RCPTSYNC_SEED")
# How long the random sequences go on; each is short.
SECONDS = 18
STEPS = 12
# What a source reads; what is elsewhere does not belong to it.
BASES = ("OU=Staff", "CN=Users")


class Directory:
    """Random changes of a MicrosoftForest."""

    def __init__(self, dc, chooser):
        self.dc, self.chooser = dc, chooser
        self.number = 0
        populate(dc, 25)
        populate(dc, 5, "CN=Users", 100)
        populate(dc, 8, "OU=Left", 200)
        dc.add("OU=Site,OU=Staff", "organizationalUnit")
        populate(dc, 6, "OU=Site,OU=Staff", 300)

    def people(self):
        return [record for record in self.dc.records.values()
                if not record.deleted and record.values["objectclass"][-1] in (b"user", b"contact", b"group")]

    def units(self):
        return [record for record in self.dc.records.values()
                if not record.deleted and record.values["objectclass"][-1] == b"organizationalUnit"]

    def place(self):
        """Where an object may stand: in a base or not, as a GUID."""
        places = [self.dc.find(name) for name in ("OU=Staff", "CN=Users", "OU=Left")]
        return self.chooser.choice(places + [unit.guid for unit in self.units()])

    def person(self):
        return self.chooser.choice(self.people()).guid

    def change(self):
        """One random change; says which."""
        changes = (self.add, self.add, self.values, self.values, self.values, self.delete, self.rename, self.move,
                   self.move, self.empty, self.leave_the_filter, self.many_values, self.move_unit, self.add_unit,
                   self.delete_unit, self.unrelated, self.value_and_back)
        change = self.chooser.choice(changes)
        change()
        return change.__name__

    def add(self):
        self.number += 1
        kind = self.chooser.choice(["user", "contact", "group"])
        dn = self.dc.records[self.place()].dn[:-len(BASE) - 1]
        self.dc.add(f"CN=New {self.number},{dn}", kind, proxyAddresses=[f"SMTP:new{self.number}@example.com"],
                    mail=f"new{self.number}@example.com")

    def values(self):
        self.number += 1
        texts = [f"smtp:v{self.number}.{i}@example.com" for i in range(self.chooser.randint(1, 4))]
        self.dc.modify(self.person(), proxyAddresses=texts + ["X400:c=DE"])

    def value_and_back(self):
        guid = self.person()
        before = self.dc.records[guid].values.get("proxyaddresses")
        self.dc.modify(guid, proxyAddresses=["smtp:between@example.com"])
        self.dc.modify(guid, proxyAddresses=before)

    def delete(self):
        self.dc.delete(self.person())

    def rename(self):
        self.number += 1
        self.dc.rename(self.person(), f"CN=Renamed {self.number}")

    def move(self):
        guid, place = self.person(), self.place()
        name = self.dc.records[guid].name
        if not any(self.dc.records[child].name == name for child in self.dc.records[place].children):
            self.dc.rename(guid, parent=place)

    def empty(self):
        self.dc.modify(self.person(), proxyAddresses=None)

    def leave_the_filter(self):
        self.dc.modify(self.person(), proxyAddresses=None, mail=None)

    def many_values(self):
        self.number += 1
        self.dc.modify(self.person(), proxyAddresses=[f"smtp:m{self.number}.{i}@example.com" for i in range(2000)])

    def add_unit(self):
        self.number += 1
        dn = self.dc.records[self.place()].dn[:-len(BASE) - 1]
        self.dc.add(f"OU=Unit {self.number},{dn}", "organizationalUnit")

    def move_unit(self):
        units = [unit for unit in self.units() if unit.name not in ("OU=Staff", "OU=Left")]
        if units:
            unit = self.chooser.choice(units)
            place = self.place()
            if place not in [record.guid for record in self.dc.below(unit.guid)] and unit.name not in [
                    self.dc.records[child].name for child in self.dc.records[place].children]:
                self.dc.rename(unit.guid, parent=place)

    def delete_unit(self):
        units = [unit for unit in self.units() if unit.name not in ("OU=Staff", "OU=Left")]
        if units and len(self.people()) > 20:
            self.dc.delete(self.chooser.choice(units).guid)

    def unrelated(self):
        self.dc.modify(self.person(), displayName=f"Name {self.chooser.random()}")


class Microsoft(unittest.TestCase):
    """On servers with Microsoft's rules, two for one directory."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-property-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.password = self.folder / "password"
        self.password.touch(0o600)
        self.password.write_text("secret\n")

    def fault(self, chooser):
        codes = (3, 8, 11, 50, 51, 53, 80)
        return chooser.choice([faults.result(code, after=chooser.randint(0, 5)) for code in codes] +
                              [faults.cut(chooser.randint(0, 5)), faults.without_control, faults.forget,
                               faults.begin_again, faults.garbage(b"\xff" * 100)])

    def sequence(self, seed, sees_deleted=True):
        """One random sequence. Says how many reads of each kind were complete."""
        chooser = random.Random(seed)
        forest = Forest(controllers=2, seed=seed)
        dc1, dc2 = forest.controllers
        directory = Directory(dc1, chooser)
        forest.replicate()
        account = Account(get_changes=chooser.random() < 0.5 and sees_deleted, sees_deleted=sees_deleted)
        servers = [MicrosoftServer(dc, {READER: account}) for dc in (dc1, dc2)]
        for server in servers:
            server.portion = chooser.choice([3, 10, 1000])
            server.value_limit = chooser.choice([1500, 700])
            server.other_cookie = chooser.choice(["refuse", "full", "vector"])
            server.other_cookie_reason = chooser.choice([OTHER_COOKIE, BAD_CONTROL, (2, "decoding"), (80, "other")])
            server.page_limit = chooser.choice([7, 50, 1000])
        cookie, state, history, kinds = self.folder / f"cookie-{seed}", SourceState(), [], {}
        deletions_open = False
        try:
            for _ in range(STEPS):
                changes = [directory.change() for _ in range(chooser.choice([0, 1, 1, 2, 5]))]
                forest.replicate()
                deletions_open |= any(change in ("delete", "delete_unit") for change in changes)
                mishap = chooser.choice(["none"] * 6 + ["dc1 down", "first fault", "late fault", "lost cookie",
                                                        "damaged cookie", "both down"])
                self.mishap(mishap, servers, cookie, chooser)
                kind = chooser.choice(["incremental"] * 3 + ["full"])
                answer = source_read.read(
                    *(server.uri for server in servers), base=[f"{base},{BASE}" for base in BASES], user=READER,
                    password_file=self.password, plaintext=True, read_timeout=10, cookie=cookie,
                    **({"incremental": True} if kind == "incremental" else {}))
                self.put_right(servers)
                history.append(f"{changes} {mishap} {kind}: {answer.output.splitlines()[-1][:200]}")
                if not answer.complete:
                    self.assertNotIn(mishap, ("none", "dc1 down", "lost cookie", "damaged cookie"),
                                     f"seed {seed}\n" + "\n".join(history))
                    continue
                state.take(answer)
                done = answer.fields["kind"]
                kinds[done] = kinds.get(done, 0) + 1
                if kind == "full":
                    self.assertEqual(done, "full")
                deletions_open &= done != "full"
                wanted = recipients(dc1, *BASES)
                got = state.objects
                if not sees_deleted and deletions_open:
                    got = {key: value for key, value in got.items() if key in wanted}
                # A rename of a parent need not change what is known of an object but its DN.
                wrong = differences({key: value[1] for key, value in got.items()},
                                    {key: value[1] for key, value in wanted.items()})
                self.assertFalse(wrong, f"seed {seed}\n" + "\n".join(history) + "\n" + wrong)
        finally:
            for server in servers:
                server.stop()
        return kinds

    def mishap(self, mishap, servers, cookie, chooser):
        if mishap == "dc1 down":
            servers[0].stop()
        elif mishap == "both down":
            servers[0].stop()
            servers[1].stop()
        elif mishap in ("first fault", "late fault"):
            rate = 0.3 if mishap == "first fault" else 0.1
            fault = self.fault(chooser)
            seed = chooser.random()
            for server in servers[:chooser.choice([1, 2])]:
                dice = random.Random(seed)
                server.chance = lambda request, dice=dice: fault if dice.random() < rate else None
        elif mishap == "lost cookie":
            cookie.unlink(missing_ok=True)
        elif mishap == "damaged cookie" and cookie.exists():
            data = bytearray(cookie.read_bytes())
            if data:
                data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
            cookie.write_bytes(data)

    def put_right(self, servers):
        for server in servers:
            server.clear()
            if server.stopping.is_set():
                server.start()

    def run_seeds(self, seconds, **options):
        """Sequence after sequence, from the same first one each time."""
        first = seed = int(FIXED or 1)
        deadline, kinds = time.monotonic() + seconds, {"full": 0, "incremental": 0}
        while seed == first or (not FIXED and time.monotonic() < deadline):
            for kind, count in self.sequence(seed, **options).items():
                kinds[kind] += count
            seed += 1
        return kinds

    def test_account_that_sees_deletions(self):
        kinds = self.run_seeds(SECONDS)
        self.assertTrue(all(kinds.values()), f"one kind of read never came to its end: {kinds}")

    def test_account_that_does_not(self):
        self.run_seeds(SECONDS / 3, sees_deleted=False)


class Samba(unittest.TestCase):
    """The same on a real controller, shorter."""

    STEPS = 8

    @classmethod
    def setUpClass(cls):
        # Samba's sockets have short names.
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-prop-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.domain = ActiveDirectory(cls.folder / "ad").start(objects=60)
        cls.addClassCleanup(cls.domain.stop)
        cls.domain.add("".join(f"dn: OU={name},{cls.domain.base}\nobjectClass: organizationalUnit\n\n"
                               for name in ("Staff", "Site,OU=Staff", "Left")))

    def read(self, **options):
        """As the administrator, who sees deletions."""
        return source_read.read(self.domain.ldaps_uri, ca_file=self.domain.ca_file, user=self.domain.administrator,
                                password_file=self.domain.password_file,
                                base=[f"OU=Staff,{self.domain.base}", f"OU=Users,{self.domain.base}"], **options)

    def change(self, chooser, people):
        """One random change; `people`: name → DN without the domain, kept up to date."""
        base = self.domain.base
        places = ["OU=Staff", self.site, "OU=Left"]
        what = chooser.choice(["add", "add", "values", "values", "delete", "rename", "move", "empty", "many", "unit"])
        self.number += 1
        name = chooser.choice(sorted(people)) if people else None
        if what == "unit":
            parent = chooser.choice(["OU=Staff", "OU=Left"])
            new = f"OU=Site{self.number},{parent}"
            self.domain.modify(f"dn: {self.site},{base}\nchangetype: modrdn\nnewrdn: OU=Site{self.number}\n"
                               f"deleteoldrdn: 1\nnewsuperior: {parent},{base}\n")
            for one, dn in people.items():
                people[one] = dn.replace(self.site, new)
            self.site = new
        elif what == "add" or not people:
            name = f"Person {self.number}"
            people[name] = f"CN={name},{chooser.choice(places)}"
            self.domain.add(f"dn: {people[name]},{base}\nobjectClass: contact\nmail: p{self.number}@example.com\n"
                            f"proxyAddresses: SMTP:p{self.number}@example.com\n")
        elif what == "delete":
            self.domain.delete(f"{people.pop(name)},{base}")
        elif what in ("rename", "move"):
            before = people.pop(name)
            parent = before.partition(",")[2]
            if what == "rename":
                name = f"Person {self.number}"
            else:
                parent = chooser.choice([place for place in places if place != parent])
            people[name] = f"CN={name},{parent}"
            self.domain.modify(f"dn: {before},{base}\nchangetype: modrdn\nnewrdn: CN={name}\ndeleteoldrdn: 1\n"
                               f"newsuperior: {parent},{base}\n")
        else:
            values = {"values": [f"smtp:v{self.number}@example.com"], "empty": [],
                      "many": [f"smtp:m{self.number}.{i}@example.com" for i in range(2000)]}[what]
            lines = "".join(f"proxyAddresses: {value}\n" for value in values)
            self.domain.modify(f"dn: {people[name]},{base}\nchangetype: modify\nreplace: proxyAddresses\n{lines}")
        return what

    def test_any_order_of_reads(self):
        seed = int(FIXED or 1)
        chooser = random.Random(seed)
        people, self.number, self.site = {}, 0, "OU=Site,OU=Staff"
        cookie, state, history = self.folder / "cookie", SourceState(), []
        for _ in range(self.STEPS):
            changes = [self.change(chooser, people) for _ in range(chooser.choice([0, 1, 2, 4]))]
            mishap = chooser.choice(["none"] * 5 + ["killed", "lost cookie"])
            kind = chooser.choice(["incremental"] * 3 + ["full"])
            if mishap == "killed":
                self.domain.kill()
                self.assertFalse(self.read(cookie=cookie, incremental=True, connect_timeout=2).complete)
                self.domain.start()
            elif mishap == "lost cookie":
                cookie.unlink(missing_ok=True)
            answer = self.read(cookie=cookie, **({"incremental": True} if kind == "incremental" else {}))
            history.append(f"{changes} {mishap} {kind}: {answer.output.splitlines()[-1][:200]}")
            self.assertTrue(answer.complete, f"seed {seed}\n" + "\n".join(history))
            state.take(answer)
            clean = SourceState()
            clean.take(self.read())
            wrong = differences({key: value[1] for key, value in state.objects.items()},
                                {key: value[1] for key, value in clean.objects.items()})
            self.assertFalse(wrong, f"seed {seed}\n" + "\n".join(history) + "\n" + wrong)


if __name__ == "__main__":
    unittest.main()
