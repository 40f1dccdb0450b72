#!/usr/bin/python3
"""make_ldif: a made-up company as LDIF, in the shape that Exchange gives to Active Directory.

    make_ldif.py OBJECTS [SEED] > company.ldif

The same numbers give the same bytes, and entry i does not depend on how many follow it. 85 of 100
entries are users (every twentieth disabled: a shared mailbox still receives mail), the others
groups, contacts and public folders. Entries carry between one and five SMTP addresses, and X500,
X400 and SIP values in the usual shares; one in a hundred has an address that is not ASCII.
"""

import base64
import random
import sys
from typing import NamedTuple

SUFFIX = "dc=example,dc=test"
DOMAINS = ("example.com", "corp.example.net", "mail.example.org")
_GIVEN = ("Anna Bernd Carla David Elena Frank Greta Hans Ines Jonas Katja Lars Maria Nils Olga Peter "
          "Quinn Rosa Stefan Tanja Ulrich Vera Walter Xenia Yusuf Zoe Christopher Friederike "
          "Guillermo Josephine").split()
_FAMILY = ("Adler Becker Castro Dietrich Ebert Fischer Graf Hoffmann Ivanov Jansen Koch Lehmann "
           "Meyer Neumann Oconnor Pohl Quandt Richter Schmidt Tanaka Ullmann Vogel Wagner Xu Yilmaz "
           "Zimmermann Blankenship Featherstone Hollingsworth Kowalczyk Montgomery").split()
_EXCHANGE = "/o=Example/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients"


class Entry(NamedTuple):
    dn: str
    kind: str           # objectClass: user, group, contact or publicFolder
    guid: bytes         # objectGUID
    mail: str
    proxies: list       # proxyAddresses, with prefixes
    attributes: dict    # everything else
    sender_authentication: bool

    @property
    def smtp(self):
        """The addresses among the proxies, without prefix."""
        return [value[5:] for value in self.proxies if value[:5].lower() == "smtp:"]


def containers():
    """LDIF of the suffix and the organizational units."""
    lines = [f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\n"
             "dc: example\no: Example\n"]
    for name in ("Users", "Groups", "Contacts", "Public Folders"):
        lines.append(f"dn: ou={name},{SUFFIX}\nobjectClass: organizationalUnit\nou: {name}\n")
    for site in range(20):
        lines.append(f"dn: ou=Site{site:02},ou=Users,{SUFFIX}\nobjectClass: organizationalUnit\n"
                     f"ou: Site{site:02}\n")
    return "\n".join(lines) + "\n"


def entries(count, seed=1):
    """`count` entries, one after the other."""
    rnd = random.Random(seed)
    bits, chance = rnd.getrandbits, rnd.random
    for i in range(count):
        number = bits(64)
        given, family = _GIVEN[number % len(_GIVEN)], _FAMILY[(number >> 8) % len(_FAMILY)]
        first = number >> 16 & 1
        domain, other = DOMAINS[first], DOMAINS[2 - 2 * first]
        share = (number >> 24) % 100
        kind = ("user" if share < 85 else "group" if share < 93 else
                "contact" if share < 99 else "publicFolder")
        if kind == "user":
            alias, local, name = f"{given[0]}{family}{i}", f"{given}.{family}{i}", f"{given} {family} {i}"
            parent = f"ou=Site{(number >> 32) % 20:02},ou=Users"
        elif kind == "group":
            alias, local, name = f"grp-{family}-{i}", f"Team.{family}.{i}", f"Team {family} {i}"
            parent = "ou=Groups"
        elif kind == "contact":
            alias, local, name = f"ext{i}", f"ext-{given}.{family}{i}", f"{given} {family} (ext) {i}"
            parent = "ou=Contacts"
        else:
            alias, local, name = f"pf-{i}", f"pf.{family}.{i}", f"Folder {family} {i}"
            parent = "ou=Public Folders"

        proxies = [f"SMTP:{local}@{domain}",
                   f"smtp:{alias}@{domain}",
                   f"smtp:{local.lower()}@{other}",
                   f"smtp:{alias}@{other}",
                   f"smtp:u{bits(40):x}@{DOMAINS[0]}"][:1 + (number >> 40) % 5]
        if chance() < 0.01:
            proxies.append(f"smtp:jürgen.{alias}@münchen.example")
        if chance() < 0.8:
            proxies.append(f"X500:{_EXCHANGE}/cn={bits(64):016x}-{alias}")
        if chance() < 0.3:
            proxies.append(f"X400:c=DE;a= ;p=Example;o=Exchange;s={family};g={given};i={i};")
        if kind == "user" and chance() < 0.5:
            proxies.append(f"SIP:{local.lower()}@{domain}")

        more = {"cn": name, "displayName": name, "mailNickname": alias,
                "uSNChanged": str(100000 + i),
                "legacyExchangeDN": f"{_EXCHANGE}/cn={bits(64):016x}-{alias}"}
        sender_authentication = False
        if kind == "user":
            more |= {"sAMAccountName": alias, "givenName": given, "sn": family,
                     "userAccountControl": "514" if number >> 48 & 15 == 0 else "512",
                     "homeMDB": f"CN=DB{number >> 52 & 15:02},CN=Databases,CN=Example,CN=Microsoft "
                                "Exchange,CN=Services,CN=Configuration,DC=example,DC=test"}
        elif kind == "group":
            sender_authentication = (number >> 48) % 3 == 0
            more |= {"sAMAccountName": alias, "groupType": "8",
                     "msExchRequireAuthToSendTo": "TRUE" if sender_authentication else "FALSE"}
        elif kind == "contact":
            more["targetAddress"] = f"SMTP:{local.lower()}@partner.example"
        yield Entry(f"cn={name},{parent},{SUFFIX}", kind, bits(128).to_bytes(16, "big"),
                    f"{local}@{domain}", proxies, more, sender_authentication)


def _line(attribute, value):
    if value.isascii():
        return f"{attribute}: {value}"
    return f"{attribute}:: {base64.b64encode(value.encode()).decode()}"


def record(entry):
    """One entry as an LDIF record with its closing empty line."""
    lines = [f"dn: {entry.dn}", f"objectClass: {entry.kind}",
             f"objectGUID:: {base64.b64encode(entry.guid).decode()}", f"mail: {entry.mail}"]
    lines += [_line("proxyAddresses", value) for value in entry.proxies]
    lines += [_line(attribute, value) for attribute, value in entry.attributes.items()]
    return "\n".join(lines) + "\n\n"


def write(stream, count, seed=1):
    """The whole directory of `count` entries to a text stream."""
    stream.write(containers())
    for entry in entries(count, seed):
        stream.write(record(entry))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: make_ldif.py OBJECTS [SEED]")
    write(sys.stdout, *map(int, sys.argv[1:]))
