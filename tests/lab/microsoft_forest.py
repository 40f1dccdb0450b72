"""microsoft_forest: the data of an Active Directory: objects, and controllers that replicate them.

    forest = Forest(controllers=2)
    dc1, dc2 = forest.controllers
    guid = dc1.add("CN=Ada,OU=Staff", proxyAddresses=["SMTP:ada@example.com"])
    dc1.modify(guid, proxyAddresses=["SMTP:ada@example.com", "smtp:a@example.com"])
    dc1.rename(guid, parent="OU=Left"); dc1.delete(guid)
    dc2.replicate()             # dc2 sees nothing of it before that

As in [MS-ADTS] 3.1.1.1.9 every controller counts its own changes (USN), whoever made them, and knows
of each attribute which change of which controller (invocationId, its USN) made it what it is. DNs are
given without the domain's own suffix.
"""

import random
import re
import struct
import threading
import uuid

BASE = "DC=corp,DC=example,DC=com"

# Attribute → how its values compare. What is not here the schema does not know.
SCHEMA = {name.lower(): (name, syntax) for syntax, names in {
    "text": "cn ou dc name displayName sn givenName description mail mailNickname proxyAddresses "
            "targetAddress sAMAccountName objectClass objectCategory distinguishedName isDeleted "
            "lastKnownParent memberOf member msExchRequireAuthToSendTo msExchHideFromAddressLists "
            "legacyExchangeDN userPrincipalName whenChanged whenCreated dNSHostName isCriticalSystemObject "
            "lDAPDisplayName attributeID",
    "octets": "objectGUID parentGUID invocationId replUpToDateVector objectSid msDS-NCReplCursors",
    "integer": "instanceType uSNChanged uSNCreated userAccountControl groupType sAMAccountType "
               "msExchRecipientTypeDetails systemFlags linkID"}.items() for name in names.split()}
# systemFlags of those that are not replicated (1) or made up when they are asked for (4), and the two
# ends of the one link.
NOT_REPLICATED = {"uSNChanged": 19, "uSNCreated": 19, "whenChanged": 19, "distinguishedName": 19,
                  "replUpToDateVector": 19, "memberOf": 17, "parentGUID": 20}
LINKS = {"member": 2, "memberOf": 3}
# What a deleted object keeps ([MS-ADTS] 3.1.1.5.5.1.1).
KEPT = {"objectclass", "objectguid", "name", "cn", "ou", "isdeleted", "lastknownparent", "samaccountname",
        "instancetype"}
# The classes of an object by its most specific one.
CLASSES = {"user": ["top", "person", "organizationalPerson", "user"],
           "contact": ["top", "person", "organizationalPerson", "contact"],
           "group": ["top", "group"], "publicFolder": ["top", "publicFolder"],
           "organizationalUnit": ["top", "organizationalUnit"], "container": ["top", "container"],
           "domainDNS": ["top", "domain", "domainDNS"], "configuration": ["top", "configuration"],
           "attributeSchema": ["top", "attributeSchema"], "dMD": ["top", "dMD"], "server": ["top", "server"],
           "nTDSDSA": ["top", "applicationSettings", "nTDSDSA"]}


def folded(dn):
    """A DN as a key: without case and blanks around separators."""
    return re.sub(r"\s*(?<!\\)([,=])\s*", r"\1", dn.strip()).lower()


def encoded(value):
    return value if isinstance(value, bytes) else str(value).encode()


class NoSuchObject(Exception):
    pass


class Stamp:
    """Which change made an attribute what it is."""
    __slots__ = ("order", "usn", "origin", "origin_usn")

    def __init__(self, order, usn, origin, origin_usn):
        self.order = order              # over all controllers, to tell the later one
        self.usn = usn                  # of the controller whose record it is
        self.origin, self.origin_usn = origin, origin_usn


class Record:
    """One object as one controller has it."""
    __slots__ = ("guid", "head", "parent", "name", "values", "stamps", "created", "usn", "children", "dn",
                 "shown")

    def __init__(self, guid):
        self.guid = guid
        self.head = None                # GUID of its naming context's head
        self.parent = None
        self.name = ""                  # `CN=Ada`
        self.values = {}                # lower name → values as bytes
        self.stamps = {}                # lower name → Stamp
        self.created = self.usn = 0
        self.children = {}
        self.dn = ""
        self.shown = {}                 # the server's cache of encoded entries

    @property
    def deleted(self):
        return self.values.get("isdeleted") == [b"TRUE"]


class Change:
    """What one controller made; the others get it."""
    __slots__ = ("order", "guid", "parent", "name", "values", "usn")


class Forest:
    def __init__(self, controllers=1, base=BASE, seed=1):
        self.base = base
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.order = 0
        self.made = {}                  # invocationId → the Changes of that origin
        self.controllers = []
        for number in range(controllers):
            self.controllers.append(Controller(self, f"DC{number + 1}"))
        first = self.controllers[0]
        first.add_head(base, "domainDNS")
        first.add_head(f"CN=Configuration,{base}", "configuration")
        first.add_head(f"CN=Schema,CN=Configuration,{base}", "dMD")
        for name, _ in SCHEMA.values():
            flags = {"systemFlags": NOT_REPLICATED[name]} if name in NOT_REPLICATED else {}
            links = {"linkID": LINKS[name]} if name in LINKS else {}
            first.add(f"CN={name},CN=Schema,CN=Configuration", "attributeSchema", lDAPDisplayName=name, **flags,
                      **links)
        first.add("CN=Deleted Objects", "container", isDeleted="TRUE")
        first.add("CN=Users", "container")
        first.add("OU=Staff", "organizationalUnit")
        first.add("OU=Left", "organizationalUnit")
        servers = ""
        for name in ("CN=Sites", "CN=Default-First-Site-Name", "CN=Servers"):
            servers = f"{name},{servers}".rstrip(",")
            first.add(f"{servers},CN=Configuration", "container")
        for controller in self.controllers:
            at = f"CN={controller.name},{servers},CN=Configuration"
            first.add(at, "server")
            controller.settings_dn = f"CN=NTDS Settings,{at},{base}"
            first.add(f"CN=NTDS Settings,{at}", "nTDSDSA", invocationId=[controller.invocation])
        self.replicate()

    def guid(self):
        return self.random.randbytes(16)

    def replicate(self):
        """Everybody gets everything."""
        for controller in self.controllers:
            controller.replicate()


class Controller:
    def __init__(self, forest, name):
        self.forest = forest
        self.name = name
        self.invocation = forest.guid()
        forest.made[self.invocation] = []
        self.settings_dn = ""           # of its nTDSDSA object
        self.usn = 12000 + 4000 * len(forest.controllers)
        self.records = {}               # GUID → Record, in the order of their creation
        self.by_dn = {}                 # folded DN → GUID
        self.seen = {}                  # invocationId of others → their USN up to which all is here
        self.on_change = []             # called with each Record that changed here

    # ---- what an administrator does ---------------------------------------------------------------------------------

    def add(self, dn, kind="user", **attributes):
        """A new object; `dn` without the domain. Gives its GUID."""
        with self.forest.lock:
            name, _, above = dn.partition(",")
            parent = self.find(above)
            values = {key.lower(): list(map(encoded, value if isinstance(value, list) else [value]))
                      for key, value in attributes.items()}
            kind_name, _, title = name.partition("=")
            values |= {"objectclass": list(map(encoded, CLASSES[kind])), "instancetype": [b"4"],
                       kind_name.lower(): [title.encode()], "name": [title.encode()]}
            if kind in ("user", "contact"):
                values["objectcategory"] = [f"CN=Person,CN=Schema,CN=Configuration,{self.forest.base}".encode()]
            return self._make(self.forest.guid(), values, name, parent)

    def add_head(self, dn, kind):
        """The head of a naming context."""
        name = dn.split(",")[0]
        self._make(self.forest.guid(), {"objectclass": list(map(encoded, CLASSES[kind])), "instancetype": [b"5"],
                          "name": [name.partition("=")[2].encode()]}, dn, None)

    def modify(self, which, **attributes):
        """Sets attributes to these values; None or [] empties one."""
        with self.forest.lock:
            values = {key.lower(): list(map(encoded, value if isinstance(value, list) else [value]))
                      if value else None for key, value in attributes.items()}
            self._make(self.find(which), values)

    def rename(self, which, name=None, parent=None):
        """`name`: `CN=Eve`; `parent`: where it moves to."""
        with self.forest.lock:
            record = self.records[self.find(which)]
            name = name or record.name
            kind, _, title = name.partition("=")
            self._make(record.guid, {kind.lower(): [title.encode()], "name": [title.encode()]}, name,
                       self.find(parent) if parent is not None else record.parent)

    def delete(self, which):
        """Makes a tombstone of an object and of all below it."""
        with self.forest.lock:
            record = self.records[self.find(which)]
            for child in list(record.children):
                self.delete(child)
            values = {name: None for name in record.values if name not in KEPT}
            parent = self.records[record.parent]
            title = record.values["name"][0] + b"\nDEL:" + str(uuid.UUID(bytes_le=record.guid)).encode()
            values |= {"isdeleted": [b"TRUE"], "name": [title], "lastknownparent": [parent.dn.encode()]}
            kind = record.name.partition("=")[0]
            values[kind.lower()] = [title]
            self._make(record.guid, values, f"{kind}={title.decode()}", self.find("CN=Deleted Objects"))

    def find(self, which):
        """GUID of a GUID or a DN; without the domain, if it is not an empty one, which is the domain."""
        if isinstance(which, bytes):
            return which
        dn = f"{which},{self.forest.base}" if which else self.forest.base
        guid = self.by_dn.get(folded(dn))
        if guid is None:
            raise NoSuchObject(dn)
        return guid

    # ---- replication ------------------------------------------------------------------------------------------------

    def replicate(self, limit=None):
        """Gets what the others have made, at most `limit` changes, oldest first; true if that was all."""
        with self.forest.lock:
            waiting = sorted(((change, origin) for origin, made in self.forest.made.items()
                              if origin != self.invocation
                              for change in made if change.usn > self.seen.get(origin, 0)),
                             key=lambda one: one[0].order)
            for change, origin in waiting[:limit]:
                self._apply(change, origin)
                self.seen[origin] = change.usn
            return limit is None or len(waiting) <= limit

    def vector(self):
        """replUpToDateVector: what it has of the others ([MS-DRSR] 5.204, version 2)."""
        with self.forest.lock:
            cursors = b"".join(origin + struct.pack("<QQ", usn, 0) for origin, usn in sorted(self.seen.items()))
            return struct.pack("<IIII", 2, 0, len(self.seen), 0) + cursors if self.seen else b""

    def snapshot(self):
        """The whole state, for roll_back()."""
        with self.forest.lock:
            return self.usn, list(map(_copy, self.records.values())), dict(self.seen)

    def roll_back(self, snapshot, restored=False):
        """An old state again: as when the disk of a virtual machine is put back, or, `restored`, from a
        backup as it should be: then it gets a new invocationId and what it has lost from the others."""
        with self.forest.lock:
            self.usn, records, seen = snapshot
            self.records = {record.guid: _copy(record) for record in records}
            self.by_dn = {folded(record.dn): record.guid for record in records}
            self.seen = dict(seen)
            if not restored:
                made = self.forest.made[self.invocation]
                self.forest.made[self.invocation] = [change for change in made if change.usn <= self.usn]
                return
            self.seen[self.invocation] = self.usn
            self.invocation = self.forest.guid()
            self.forest.made[self.invocation] = []
            self._make(self.by_dn[folded(self.settings_dn)], {"invocationid": [self.invocation]})

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _make(self, guid, values, name=None, parent=None):
        with self.forest.lock:
            self.forest.order += 1
            change = Change()
            change.order, change.guid, change.values = self.forest.order, guid, values
            change.name, change.parent = name, parent
            change.usn = self.usn + 1
            self._apply(change, self.invocation)
            self.forest.made[self.invocation].append(change)
            return guid

    def _apply(self, change, origin):
        record = self.records.get(change.guid)
        gone = bool(change.values.get("isdeleted"))
        if record is not None and record.deleted:
            return                      # a deletion is final
        self.usn += 1
        if record is None:
            record = self.records[change.guid] = Record(change.guid)
            record.created = self.usn
        values = dict(change.values)
        if gone:
            values |= {name: None for name in record.values if name not in KEPT and name not in values}
        for name, new in values.items():
            stamp = record.stamps.get(name)
            if stamp is not None and stamp.order > change.order and not gone:
                continue
            record.stamps[name] = Stamp(change.order, self.usn, origin, change.usn)
            if new:
                record.values[name] = new
            else:
                record.values.pop(name, None)
        if change.name is not None and record.stamps["name"].order == change.order:
            self._place(record, change)
        record.usn = self.usn
        record.shown.clear()
        for listener in self.on_change:
            listener(record)

    def _place(self, record, change):
        parent = self.records.get(change.parent)
        if record.parent in self.records:
            self.records[record.parent].children.pop(record.guid, None)
        record.name, record.parent = change.name, change.parent
        record.head = record.guid if parent is None else parent.head
        if parent is not None:
            parent.children[record.guid] = None
        self._name(record)

    def _name(self, record):
        """Its DN and those of all below it."""
        if self.by_dn.get(folded(record.dn)) == record.guid:
            del self.by_dn[folded(record.dn)]
        parent = self.records.get(record.parent)
        shown = record.name.replace("\n", "\\0A")
        record.dn = f"{shown},{parent.dn}" if parent is not None else record.name
        record.shown.clear()
        self.by_dn[folded(record.dn)] = record.guid
        for child in record.children:
            self._name(self.records[child])

    def below(self, guid):
        """The object and all below it, as Records."""
        record = self.records[guid]
        if record.head == guid:
            return [one for one in self.records.values() if one.head == guid]
        found, waiting = [], [guid]
        while waiting:
            record = self.records[waiting.pop()]
            found.append(record)
            waiting.extend(record.children)
        return found


def _copy(record):
    other = Record(record.guid)
    for name in ("head", "parent", "name", "created", "usn", "dn"):
        setattr(other, name, getattr(record, name))
    other.values, other.stamps = dict(record.values), dict(record.stamps)
    other.children = dict(record.children)
    return other


def populate(controller, count, below="OU=Staff", start=0):
    """`count` people, groups and contacts with addresses; their GUIDs."""
    kinds = ("user", "user", "user", "contact", "group")
    guids = []
    for number in range(start, start + count):
        kind = kinds[number % len(kinds)]
        proxies = [f"SMTP:person{number}@example.com", f"X500:/o=Example/cn=person{number}"]
        if number % 4 == 0:
            proxies.append(f"smtp:alias{number}@example.com")
        guids.append(controller.add(f"CN=Person {number},{below}", kind, proxyAddresses=proxies,
                                    mail=f"person{number}@example.com", displayName=f"Person {number}",
                                    sAMAccountName=f"person{number}", sAMAccountType="805306368"))
    return guids


def recipients(controller, *bases):
    """What a whole read of these bases has to bring, with the default filter and attributes: GUID in
    hex → (DN, addresses with their prefix, sorted)."""
    with controller.forest.lock:
        found = {}
        for base in bases or ("",):
            for record in controller.below(controller.find(base)):
                proxies, mail = record.values.get("proxyaddresses", []), record.values.get("mail", [])
                if record.deleted or not (proxies or mail):
                    continue
                smtp = [value.decode() for value in proxies if value.lower().startswith(b"smtp:")]
                found[record.guid.hex()] = record.dn, tuple(sorted(smtp or [value.decode() for value in mail]))
        return found
