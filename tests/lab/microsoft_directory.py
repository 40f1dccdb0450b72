"""microsoft_directory: an LDAP server in front of a microsoft_forest that keeps Microsoft's rules.

    forest = Forest(controllers=2)
    with MicrosoftServer(forest.controllers[0]) as server:
        server.uri                                      # ldap://127.0.0.1:…
        server.on("page", result(51, after=10), at=2)   # ten entries of page 2, then code 51

What real domain controllers enforce and Samba does not: 1000 entries an answer, 1500 values an
attribute, DirSync in portions, cookies that belong to their connection, rights ([MS-ADTS] 3.1.1.3;
"Polling for Changes Using the DirSync Control" and "Searching Using Range Retrieval" in the Windows
documentation). Faults stand in microsoft_faults.py. No TLS: that is tested elsewhere.
"""

import re
import socket
import struct
import threading
import time
import uuid

import ldap_ber as ber
from ldap_filter import compiled
from microsoft_forest import SCHEMA, folded

DIRSYNC, NOTIFICATION = b"1.2.840.113556.1.4.841", b"1.2.840.113556.1.4.528"
SHOW_DELETED, SHOW_RECYCLED = b"1.2.840.113556.1.4.417", b"1.2.840.113556.1.4.2064"
EXTENDED_DN = b"1.2.840.113556.1.4.529"
KNOWN_CONTROLS = {ber.PAGED, DIRSYNC, NOTIFICATION, SHOW_DELETED, SHOW_RECYCLED, EXTENDED_DN,
                  b"1.2.840.113556.1.4.1339", b"1.2.840.113556.1.4.1340", b"1.2.840.113556.1.4.1341",
                  b"1.2.840.113556.1.4.801", b"1.2.840.113556.1.4.473", b"2.16.840.1.113730.3.4.9"}
OBJECT_SECURITY = 1
PAGE, VALUES, COOKIES, NOTIFICATIONS = 1000, 1500, 10, 5
ONLY_IF_NAMED = {"repluptodatevector", "parentguid", "msds-ncreplcursors"}

# code, text
NOT_BOUND = 1, ("000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind "
                "must be completed on the connection., data 0, v4563")
TOO_MANY = 4, "000023F2: SizErr: DSID-0C0909EE, problem 4 (SIZE_LIMIT), data 0"
PLAINTEXT = 8, ("00002028: LdapErr: DSID-0C090273, comment: The server requires binds to turn on integrity checking "
                "if SSL\\TLS are not already active on the connection, data 0, v4563")
LIMIT = 11, "00002024: LdapErr: DSID-0C0907DE, comment: Administrative limit exceeded, data 0, v4563"
BAD_CONTROL = 12, "00000057: LdapErr: DSID-0C0907DE, comment: Error processing control, data 0, v4563"
NO_OBJECT = 32, "0000208D: NameErr: DSID-0310028B, problem 2001 (NO_OBJECT), data 0, best match of:"
BAD_NAME = 34, "0000208F: NameErr: DSID-03100225, problem 2006 (BAD_NAME), data 8350, best match of:"
NO_CHANGES_RIGHT = 50, "00002105: LdapErr: DSID-0C0908F0, comment: Error processing control, data 0, v4563"
OTHER_COOKIE = 53, "0000203D: LdapErr: DSID-0C090CD5, comment: Error processing control, data 0, v4563"
NO_ATTRIBUTES = 53, "00002121: SvcErr: DSID-03140B35, problem 5003 (WILL_NOT_PERFORM), data 0"
UNWILLING = 53, "00002077: SvcErr: DSID-031A11EF, problem 5003 (WILL_NOT_PERFORM), data 0"


class Account:
    def __init__(self, password="secret", data=None, get_changes=False, sees_deleted=False, sees=None,
                 sees_vector=True):
        """`data`: why a bind is refused, `52e`; `get_changes`: DS-Replication-Get-Changes; `sees_deleted`:
        may read CN=Deleted Objects; `sees(record)`: false for what it may not read."""
        self.password, self.data = password, data
        self.get_changes, self.sees_deleted, self.sees_vector = get_changes, sees_deleted, sees_vector
        self.sees = sees or (lambda record: True)


class Refused(Exception):
    """A search that ends with this code."""

    def __init__(self, reason, referral=None):
        super().__init__(reason[1])
        self.code, self.text = reason
        self.referral = referral


class Answer:
    """What a good server would send, for a fault to spoil: each a whole LDAP message."""

    def __init__(self, number, entries=(), code=0, text="", controls=b"", referral=None):
        self.number = number
        self.entries = list(entries)
        self.code, self.text, self.controls, self.referral = code, text, controls, referral

    def done(self):
        return ber.search_done(self.number, self.code, self.text, referral=self.referral, controls=self.controls)

    def encoded(self, count=None):
        return b"".join(self.entries[:count])


class Request:
    def __init__(self, kind, index, base="", attributes=()):
        self.kind = kind                # bind, root, page, range, dirsync, base, search, notify
        self.index = index              # among those of the kind on this connection, from 1
        self.base, self.attributes = base, attributes

    def __repr__(self):
        return f"{self.kind} {self.index} {self.base} {self.attributes}"


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.account = None
        self.counts = {}                # kind → how many so far
        self.cookies = {}               # of paged searches: cookie → what is left
        self.notifications = {}         # message number → function of a record
        self.begin_again = False        # a fault: the next page is the first one again
        self.sending = threading.Lock()

    def send(self, data):
        with self.sending:
            self.sock.sendall(data)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def wait(self, seconds=None):
        """Waits until the server ends; true if it does."""
        return self.server.stopping.wait(seconds)


class MicrosoftServer:
    def __init__(self, controller, accounts=None):
        self.controller, self.forest = controller, controller.forest
        self.accounts = accounts or {"reader@corp.example.com": Account()}
        self.require_encryption = False
        self.page_limit, self.value_limit, self.portion = PAGE, VALUES, 1000
        self.plain_if_whole = False     # the range 0-* of a short attribute comes without a range
        self.referrals_at = 0           # continuation references stand after so many entries of the first page
        self.other_cookie = "refuse"    # what DirSync does with another controller's cookie: refuse, full, vector
        self.other_cookie_reason = OTHER_COOKIE
        self.bogus_cookie_reason = BAD_CONTROL
        self.ready = True               # isGlobalCatalogReady, isSynchronized
        self.requests = []              # every Request so far
        self.chance = None              # chance(request): a fault or None
        self.stopping = threading.Event()
        self._faults = []
        self._listener = None
        self._connections = set()
        self.port = 0
        self.start()

    # ---- its life ---------------------------------------------------------------------------------------------------

    @property
    def uri(self):
        return f"ldap://127.0.0.1:{self.port}"

    def start(self):
        """Listens, again on the same port."""
        self.stopping.clear()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.controller.on_change.append(self._changed)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """Every connection is lost, and nobody listens any more."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self.controller.on_change.remove(self._changed)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.drop()

    def drop(self):
        """Every connection is lost."""
        for connection in list(self._connections):
            connection.close()

    def on(self, kind, fault, at=1, times=None):
        """`fault(request, answer, connection)` answers the request of that kind from number `at` of a
        connection on, so many times; of any kind: `*`."""
        self._faults.append([kind, fault, at, times])

    def clear(self):
        """No faults any more."""
        self._faults.clear()
        self.chance = None

    def wait_watched(self, seconds=60):
        """Until somebody asked for change notifications; false if nobody does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(connection.notifications for connection in list(self._connections)):
                return True
            time.sleep(0.02)
        return False

    def asked(self, kind):
        return [request for request in self.requests if request.kind == kind]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- connections ------------------------------------------------------------------------------------------------

    def _accept(self, listener):
        while not self.stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(Connection(self, sock),), daemon=True).start()

    def _serve(self, connection):
        self._connections.add(connection)
        try:
            with connection.sock, connection.sock.makefile("rb") as stream:
                while not self.stopping.is_set() and (got := ber.receive(stream.read)) is not None:
                    if not self._take(connection, *got):
                        break
        except (OSError, ValueError):
            pass                        # the client, or a fault, closed it
        finally:
            self._connections.discard(connection)

    def _take(self, connection, number, tag, contents, controls):
        if tag == 0x60:
            self._bind(connection, number, list(ber.elements(contents)))
        elif tag == 0x63:
            self._search(connection, number, list(ber.elements(contents)), ber.control_values(controls))
        elif tag == 0x50:
            connection.notifications.pop(int.from_bytes(contents, "big"), None)
        elif tag == 0x77:
            connection.send(ber.message(number, ber.ldap_result(0x78, 2, "Unsupported extended operation.")))
        else:
            return False
        return True

    def _request(self, connection, kind, base="", attributes=()):
        index = connection.counts[kind] = connection.counts.get(kind, 0) + 1
        request = Request(kind, index, base, attributes)
        self.requests.append(request)
        return request

    def _fault(self, request):
        for waiting in self._faults:
            kind, fault, at, times = waiting
            if kind in (request.kind, "*") and request.index >= at and times != 0:
                if times is not None:
                    waiting[3] -= 1
                return fault
        return self.chance(request) if self.chance else None

    def _send(self, connection, request, answer):
        fault = self._fault(request)
        if fault is None:
            connection.send(answer.encoded() + answer.done())
        else:
            fault(request, answer, connection)

    def _bind(self, connection, number, parts):
        name, password = parts[1][1].decode(), parts[2][1].decode(errors="replace")
        request = self._request(connection, "bind", name)
        account, code, text = self.accounts.get(name), 0, ""
        connection.account = None
        if name and self.require_encryption:
            code, text = PLAINTEXT
        elif name and (account is None or account.password != password or account.data):
            data = account.data if account and account.data else "52e"
            code, text = 49, (f"80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data {data}, "
                              "v4563")
        elif name:
            connection.account = account
        answer = Answer(number, code=code, text=text)
        answer.done = lambda: ber.message(number, ber.ldap_result(0x61, answer.code, answer.text))
        self._send(connection, request, answer)

    # ---- searches ---------------------------------------------------------------------------------------------------

    def _search(self, connection, number, parts, controls):
        base, scope = parts[0][1].decode(), parts[1][1][0]
        attributes = tuple(name.decode() for _, name in ber.elements(parts[7][1]))
        kind = ("dirsync" if DIRSYNC in controls else "notify" if NOTIFICATION in controls else
                "page" if ber.PAGED in controls else
                "root" if not base and scope == 0 else
                "range" if any(";range=" in name.lower() for name in attributes) else
                "base" if scope == 0 else "search")
        request = self._request(connection, kind, base, attributes)
        try:
            if not base and scope == 0:
                answer = Answer(number, [ber.message(number, self._root(attributes))])
            elif connection.account is None:
                raise Refused(NOT_BOUND)
            else:
                matches = compiled(*parts[6], lambda name: SCHEMA.get(name, (None, None))[1])
                with self.forest.lock:
                    answer = getattr(self, f"_{kind if kind in ('page', 'dirsync', 'notify') else 'plain'}")(
                        connection, number, base, scope, matches, attributes, controls)
        except Refused as why:
            answer = Answer(number, code=why.code, text=why.text, referral=why.referral)
        if answer is not None:
            self._send(connection, request, answer)

    def _root(self, attributes):
        here, base = self.controller, self.forest.base
        configuration = f"CN=Configuration,{base}"
        server = here.settings_dn.partition(",")[2]
        truth = "TRUE" if self.ready else "FALSE"
        with self.forest.lock:
            usn = str(here.usn)
        known = {"defaultNamingContext": [base], "rootDomainNamingContext": [base],
                 "configurationNamingContext": [configuration],
                 "schemaNamingContext": [f"CN=Schema,{configuration}"],
                 "namingContexts": [base, configuration, f"CN=Schema,{configuration}", f"DC=DomainDnsZones,{base}",
                                    f"DC=ForestDnsZones,{base}"],
                 "dsServiceName": [here.settings_dn], "serverName": [server],
                 "dnsHostName": [f"{here.name.lower()}.corp.example.com"],
                 "ldapServiceName": [f"corp.example.com:{here.name.lower()}$@CORP.EXAMPLE.COM"],
                 "highestCommittedUSN": [usn], "supportedLDAPVersion": ["3", "2"],
                 "supportedControl": sorted(KNOWN_CONTROLS),
                 "supportedSASLMechanisms": ["GSSAPI", "GSS-SPNEGO", "EXTERNAL", "DIGEST-MD5"],
                 "supportedCapabilities": ["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670",
                                           "1.2.840.113556.1.4.1791", "1.2.840.113556.1.4.1935"],
                 "isSynchronized": [truth], "isGlobalCatalogReady": [truth], "domainFunctionality": ["7"],
                 "forestFunctionality": ["7"], "domainControllerFunctionality": ["7"],
                 "currentTime": [time.strftime("%Y%m%d%H%M%S.0Z", time.gmtime())],
                 "subschemaSubentry": [f"CN=Aggregate,CN=Schema,{configuration}"]}
        wanted = {name.lower() for name in attributes}
        return ber.entry("", [(name, values) for name, values in known.items()
                              if not wanted or "*" in wanted or name.lower() in wanted])

    def _base(self, base, account, deleted):
        """The Record of a search base."""
        base = re.sub(r"^<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,(.*)>$", r"CN=Deleted Objects,\1", base)
        if match := re.fullmatch(r"<GUID=([0-9a-fA-F-]+)>", base):
            digits = match[1]
            try:
                guid = uuid.UUID(digits).bytes_le if "-" in digits else bytes.fromhex(digits)
            except ValueError:
                raise Refused(BAD_NAME) from None
        elif not re.fullmatch(r"([^=,]+=([^,\\]|\\.)*)(,[^=,]+=([^,\\]|\\.)*)*", base):
            raise Refused(BAD_NAME)
        else:
            guid = self.controller.by_dn.get(folded(base))
            if guid is None and not folded(base).endswith(folded(self.forest.base)):
                domain = base.lower().partition("dc=")[2].replace(",dc=", ".")
                raise Refused((10, "0000202B: RefErr: DSID-031007F9, data 0, 1 access points"),
                              f"ldap://{domain}/{base}")
        record = self.controller.records.get(guid)
        if record is None or not account.sees(record) or (record.deleted and not (deleted and account.sees_deleted)):
            raise Refused(NO_OBJECT)
        return record

    def _in_scope(self, base, scope):
        if scope == 0:
            return [base]
        if scope == 1:
            return [self.controller.records[child] for child in base.children]
        return self.controller.below(base.guid)

    def _found(self, connection, base, scope, matches, controls):
        account, deleted = connection.account, SHOW_DELETED in controls or SHOW_RECYCLED in controls
        found = []
        for record in self._in_scope(self._base(base, account, deleted), scope):
            if record.deleted and not (deleted and account.sees_deleted):
                continue
            if account.sees(record) and matches(lambda name, one=record: self._values(one, name)):
                found.append(record)
        return found

    def _plain(self, connection, number, base, scope, matches, attributes, controls):
        found = self._found(connection, base, scope, matches, controls)
        answer = Answer(number, (self._entry(connection, number, record, attributes)
                                 for record in found[:self.page_limit]))
        if len(found) > self.page_limit:
            answer.code, answer.text = TOO_MANY
        return answer

    def _page(self, connection, number, base, scope, matches, attributes, controls):
        size, cookie = ber.paging(controls[ber.PAGED])
        if connection.begin_again:
            cookie, connection.begin_again = b"", False
        if cookie:
            if cookie not in connection.cookies:
                raise Refused(BAD_CONTROL)
            left = connection.cookies.pop(cookie)
        else:
            left = [record.guid for record in self._found(connection, base, scope, matches, controls)]
        count = min(size, self.page_limit) or self.page_limit
        shown, left = left[:count], left[count:]
        following = b""
        if left:
            following = self.forest.random.randbytes(24)
            connection.cookies[following] = left
            while len(connection.cookies) > COOKIES:
                connection.cookies.pop(next(iter(connection.cookies)))
        answer = Answer(number, controls=ber.paged_control(following))
        for guid in shown:              # as they are now
            record = self.controller.records.get(guid)
            if record is not None and not record.deleted and connection.account.sees(record):
                answer.entries.append(self._entry(connection, number, record, attributes))
        if not cookie and scope == 2 and folded(base) == folded(self.forest.base):
            for name in ("ForestDnsZones", "DomainDnsZones"):
                uri = f"ldap://{name}.corp.example.com/DC={name},{self.forest.base}"
                answer.entries.insert(self.referrals_at, ber.search_reference(number, uri))
            uri = f"ldap://corp.example.com/CN=Configuration,{self.forest.base}"
            answer.entries.append(ber.search_reference(number, uri))
        return answer

    def _dirsync(self, connection, number, base, scope, matches, attributes, controls):
        try:
            flags, size, cookie = (contents for _, contents in
                                   ber.elements(next(ber.elements(controls[DIRSYNC]))[1]))
        except (ValueError, IndexError, StopIteration):
            raise Refused(BAD_CONTROL) from None
        account = connection.account
        secured = bool(int.from_bytes(flags, "big", signed=True) & OBJECT_SECURITY)
        if ber.PAGED in controls:
            raise Refused(UNWILLING)
        if not secured and not account.get_changes:
            raise Refused(NO_CHANGES_RIGHT)
        head = self._base(base, account, False)
        if head.head != head.guid or scope != 2:
            raise Refused(UNWILLING)
        changed, since = self._since(cookie)
        deleted = SHOW_DELETED in controls and (account.sees_deleted or not secured)
        found = sorted((record for record in self.controller.below(head.guid) if record.usn > since),
                       key=lambda record: record.usn)
        limit, used, examined = int.from_bytes(size, "big"), 0, 0
        answer, position = Answer(number), self.controller.usn
        for record in found:
            if examined >= self.portion or (used and limit and used >= limit):
                position = last
                break
            examined, last = examined + 1, record.usn
            if record.deleted and not deleted or secured and not account.sees(record):
                continue
            if not matches(lambda name, one=record: self._values(one, name)):
                continue
            if shown := self._changed_values(connection, record, attributes, changed):
                entry = ber.message(number, ber.entry(record.dn, shown))
                used += len(entry)
                answer.entries.append(entry)
        more = position != self.controller.usn
        value = ber.ber(0x30, ber.integer(int(more)), ber.integer(0), ber.octets(self._cookie(position)))
        answer.controls = ber.ber(0x30, ber.octets(DIRSYNC), ber.octets(value))
        return answer

    def _cookie(self, position):
        here = self.controller
        vector = dict(here.seen)
        return (b"MSDS" + struct.pack("<I", 3) + here.invocation + struct.pack("<QI", position, len(vector)) +
                b"".join(origin + struct.pack("<Q", usn) for origin, usn in sorted(vector.items())))

    def _since(self, cookie):
        """Of a cookie: whether a Stamp is later, and the USN up to which nothing is."""
        here = self.controller
        if not cookie:
            return (lambda stamp: True), 0
        whole = len(cookie) >= 36 and len(cookie) == 36 + 24 * struct.unpack_from("<I", cookie, 32)[0]
        if cookie[:4] != b"MSDS" or not whole:
            raise Refused(self.bogus_cookie_reason)
        origin, position = cookie[8:24], struct.unpack_from("<Q", cookie, 24)[0]
        if origin == here.invocation:
            return (lambda stamp: stamp.usn > position), position
        if self.other_cookie == "refuse":
            raise Refused(self.other_cookie_reason)
        if self.other_cookie == "full":
            return (lambda stamp: True), 0
        vector = {cookie[at:at + 16]: struct.unpack_from("<Q", cookie, at + 16)[0]
                  for at in range(36, len(cookie), 24)}
        vector[origin] = position
        return (lambda stamp: stamp.origin_usn > vector.get(stamp.origin, 0)), 0

    def _changed_values(self, connection, record, attributes, changed):
        """What DirSync shows: of what was asked for, that which changed; nothing if nothing did."""
        wanted = {name.lower() for name in attributes}
        every = not wanted or "*" in wanted
        shown = []
        for name, stamp in record.stamps.items():
            if (every or name in wanted) and name not in ("objectguid", "instancetype") and changed(stamp):
                self._limited(shown, SCHEMA[name][0], record.values.get(name, []))
        moved = changed(record.stamps["name"])
        if moved and "name" in wanted and "parentguid" in wanted and record.parent:
            shown.append(("parentGUID", [record.parent]))
        if not shown:
            return []
        return shown + [("objectGUID", [record.guid]), ("instanceType", record.values.get("instancetype", []))]

    def _notify(self, connection, number, base, scope, matches, attributes, controls):
        if len(connection.notifications) >= NOTIFICATIONS:
            raise Refused(LIMIT)
        top = self._base(base, connection.account, False)

        def tell(record):
            inside = record.guid == top.guid if scope == 0 else \
                record.parent == top.guid if scope == 1 else record.head == top.head
            if inside and connection.account.sees(record):
                try:
                    connection.send(self._entry(connection, number, record, attributes))
                except OSError:
                    connection.notifications.pop(number, None)
        connection.notifications[number] = tell
        return None

    def _changed(self, record):
        for connection in list(self._connections):
            for tell in list(connection.notifications.values()):
                tell(record)

    # ---- entries ----------------------------------------------------------------------------------------------------

    def _values(self, record, name):
        """The values of an attribute, with those that are made up when they are asked for."""
        if name in record.values:
            return record.values[name]
        if name == "objectguid":
            return [record.guid]
        if name == "usnchanged":
            return [b"%d" % record.usn]
        if name == "usncreated":
            return [b"%d" % record.created]
        if name == "distinguishedname":
            return [record.dn.encode()]
        if name == "parentguid":
            return [record.parent] if record.parent else []
        if name == "repluptodatevector" and record.head == record.guid:
            vector = self.controller.vector()
            return [vector] if vector else []
        return []

    def _entry(self, connection, number, record, attributes):
        """A SearchResultEntry with these attributes."""
        constant = "replUpToDateVector" not in attributes
        body = record.shown.get((attributes, self.value_limit)) if constant else None
        if body is None:
            body = ber.entry(record.dn, self._shown(connection.account, record, attributes))
            if constant:
                record.shown[attributes, self.value_limit] = body
        return ber.message(number, body)

    def _shown(self, account, record, attributes):
        wanted = {name.lower(): name for name in attributes}
        names = [name for name in wanted if name in SCHEMA]
        if not wanted or "*" in wanted:
            names += [name for name in SCHEMA if name not in ONLY_IF_NAMED and name not in names]
        shown = []
        for name in names:
            if name == "repluptodatevector" and not account.sees_vector:
                continue
            values = self._values(record, name)
            if values:
                self._limited(shown, SCHEMA[name][0], values)
        for name in wanted:
            if match := re.fullmatch(r"([^;]+);range=(\d+)-(\d+|\*)", name):
                self._ranged(shown, record, *match.groups())
        return shown

    def _ranged(self, shown, record, name, first, last):
        values = self._values(record, name) if name in SCHEMA else []
        first = int(first)
        if not values:
            return
        if first >= len(values):
            raise Refused(NO_ATTRIBUTES)
        if not first and self.plain_if_whole and len(values) <= self.value_limit:
            shown.append((SCHEMA[name][0], values))
        else:
            self._part(shown, SCHEMA[name][0], values, first, len(values) if last == "*" else int(last) - first + 1)

    def _limited(self, shown, name, values):
        """An attribute that was asked for as a whole."""
        if len(values) <= self.value_limit:
            shown.append((name, values))
        else:
            shown.append((name, []))
            self._part(shown, name, values, 0, self.value_limit)

    def _part(self, shown, name, values, first, count):
        part = values[first:first + min(count, self.value_limit)]
        end = first + len(part)
        shown.append((f"{name};range={first}-{'*' if end >= len(values) else end - 1}", part))
