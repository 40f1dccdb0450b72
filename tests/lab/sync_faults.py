"""sync_faults: a small LDAP server with content synchronization (RFC 4533), until told to misbehave.

    with SyncServer(entries(100)) as server:
        server.change(sent=[3], gone=[7])           # the next refresh tells this
        server.refresh = lambda connection, number: connection.send(…)    # or anything else

Built on ldap_faults: everything but the refresh is done there.
"""

import uuid

from ldap_ber import ber, elements, integer, ldap_result, message, octets, search_entry
from ldap_faults import FaultServer

SYNC = b"1.3.6.1.4.1.4203.1.9.1"
BASE = "dc=example,dc=test"
PRESENT, ADD, MODIFY, DELETE = range(4)


def key(index):
    return (0x1000 + index).to_bytes(16, "big")


def entries(count):
    return [(f"cn=Person {i},{BASE}",
             {"objectClass": ["top", "person"], "entryUUID": [str(uuid.UUID(bytes=key(i)))],
              "mail": [f"person{i}@example.com"]}) for i in range(count)]


def csn(second, sid=0):
    return f"202601310945{second:02}.000000Z#000000#{sid:03x}#000000"


def cookie(*csns):
    return "rid=000,csn=" + ";".join(csns)


def boolean(value):
    return ber(0x01, b"\xff" if value else b"\0")


def controls(oid, value):
    return ber(0xA0, ber(0x30, octets(oid), octets(value)))


def state_value(kind, unique):
    return ber(0x30, integer(kind, 0x0A), octets(unique))


def sync_entry(number, dn, attributes, kind, unique, value=None):
    """An entry with its sync state; `value`: other bytes instead of the state."""
    plain = list(elements(search_entry(number, dn, attributes)))[0][1]
    protocol = list(elements(plain))[1]
    return message(number, ber(protocol[0], protocol[1]),
                   controls(SYNC + b".2", value or state_value(kind, unique)))


def sync_done(number, text=None, deletes=False, code=0, value=None):
    if value is None:
        value = ber(0x30, b"" if text is None else octets(text), boolean(deletes))
    return message(number, ldap_result(0x65, code), controls(SYNC + b".3", value))


def sync_info(number, value):
    return message(number, ber(0x79, octets(SYNC + b".4", 0x80), octets(value, 0x81)))


def id_set(keys, deletes):
    return ber(0xA3, boolean(deletes), ber(0x31, *map(octets, keys)))


class SyncServer(FaultServer):
    def __init__(self, people, **options):
        super().__init__(people, **options)
        self.root = {"objectClass": ["top", "OpenLDAProotDSE"], "namingContexts": [BASE],
                     "supportedControl": [SYNC + b".1"]}
        self.csns = [csn(1)]
        self.refresh = None
        self.refreshes = []             # cookies that came with a refresh

    def change(self, sent=(), gone=()):
        """The server has moved on; a refresh sends these entries and names those as gone."""
        self.csns = [csn(2)]

        def refresh(connection, number):
            connection.send(sync_info(number, id_set([key(i) for i in gone], True)) +
                            b"".join(self.sent(number, i) for i in sent) +
                            sync_done(number, cookie(*self.csns), True))
        self.refresh = refresh

    def sent(self, number, index, **changes):
        dn, attributes = self.entries[index]
        return sync_entry(number, dn, attributes, ADD, **{"unique": key(index)} | changes)

    def _search(self, connection, number, parts, controls_sent):
        request = next((list(elements(one)) for _, one in elements(controls_sent)
                        if SYNC in one), None)
        if request is None:
            super()._search(connection, number, parts, controls_sent)
            return
        if parts[1][1][0] == 0:
            connection.send(sync_entry(number, BASE, {}, ADD, bytes(16)) +
                            sync_done(number, cookie(*self.csns), True))
            return
        value = list(elements(next(elements(request[-1][1]))[1]))
        self.refreshes.append(value[1][1].decode())
        self.refresh(connection, number)
