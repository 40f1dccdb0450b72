"""company: a slapd whose people, and so whose table of recipients, the caller knows by heart.

    with Company(folder).open(60) as company:
        company.hire("ada", "bob")      # ada@example.com, bob@example.com
        company.leave("bob")
        company.table()                 # what a gateway has to hold now, in format postfix
        company.restore()               # the 60 of the beginning
"""

import base64

from slapd import Slapd

DOMAIN = "example.com"


class Company(Slapd):
    def open(self, count=60, domain=DOMAIN):
        """Starts it with `count` people: person000@example.com and so on."""
        self.people = {f"person{number:03}": [f"person{number:03}@{domain}"] for number in range(count)}
        self._founders = dict(self.people)
        self.start(ldif="\n".join(self._record(name, addresses) for name, addresses in self.people.items()))
        return self

    def dn(self, name):
        return f"cn={name},ou=Users,{self.suffix}"

    def hire(self, *names, domain=DOMAIN, addresses=None):
        """Adds people, each with one address of their name, or one person with these addresses."""
        new = {name: addresses or [f"{name}@{domain}"] for name in names}
        self.add("\n".join(self._record(name, listed) for name, listed in new.items()))
        self.people.update(new)

    def add_raw(self, name, *values):
        """A person whose proxyAddresses are these bytes. They are not expected in any table."""
        lines = "".join(f"proxyAddresses:: {base64.b64encode(value).decode()}\n" for value in values)
        self.add(f"dn: {self.dn(name)}\nobjectClass: user\ncn: {name}\n{lines}")
        self.people[name] = []

    def leave(self, *names):
        self.modify("\n".join(f"dn: {self.dn(name)}\nchangetype: delete\n" for name in names))
        for name in names:
            del self.people[name]

    def restore(self):
        """The people of the beginning again."""
        strangers = [name for name in self.people if name not in self._founders]
        if strangers:
            self.leave(*strangers)
        missing = {name: listed for name, listed in self._founders.items() if name not in self.people}
        if missing:
            self.add("\n".join(self._record(name, listed) for name, listed in missing.items()))
            self.people.update(missing)

    def addresses(self):
        return sorted({address for listed in self.people.values() for address in listed})

    def table(self, *others):
        """The bytes of a table in format postfix that has everybody, and `others`."""
        return postfix_table(*self.addresses(), *others)

    def _record(self, name, addresses):
        proxies = "".join(f"proxyAddresses: SMTP:{address}\n" for address in addresses)
        return (f"dn: {self.dn(name)}\nobjectClass: user\ncn: {name}\nmail: {addresses[0]}\n{proxies}"
                f"proxyAddresses: X400:c=DE;a= ;p=Example;s={name};\n")


def postfix_table(*addresses):
    return b"".join(line + b"\tOK\n" for line in sorted({address.encode() for address in addresses}))
