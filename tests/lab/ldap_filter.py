"""ldap_filter: an LDAP filter as it stands in a search request (RFC 4511 §4.5.1.7), as a function.

    matches = compiled(tag, contents, syntax)
    matches(values)         # True, False, or None: undefined

`values(name)` gives the values of an attribute, as bytes, for its name in lower case. `syntax(name)`
says how they compare: "text", "octets", "integer", or None for an attribute that the schema lacks;
what asks for such a one is undefined, which matches nothing and stays so under a `not`, as Active
Directory has it.
"""

from ldap_ber import elements

BIT_AND, BIT_OR = b"1.2.840.113556.1.4.803", b"1.2.840.113556.1.4.804"


class BadFilter(Exception):
    """A filter of a kind that no client of ours sends."""


def compiled(tag, contents, syntax):
    if tag in (0xA0, 0xA1):
        parts = [compiled(*part, syntax) for part in elements(contents)]
        return _all(parts) if tag == 0xA0 else _any(parts)
    if tag == 0xA2:
        inner = compiled(*next(elements(contents)), syntax)
        return lambda values: None if (got := inner(values)) is None else not got
    if tag == 0x87:
        return _test(contents, syntax, lambda kind, values: bool(values))
    parts = list(elements(contents))
    if tag == 0xA3:
        return _equality(parts[0][1], parts[1][1], syntax)
    if tag == 0xA4:
        return _substrings(parts[0][1], list(elements(parts[1][1])), syntax)
    if tag in (0xA5, 0xA6):
        return _order(tag == 0xA5, parts[0][1], parts[1][1], syntax)
    if tag == 0xA9:
        return _extensible(dict(parts), syntax)
    raise BadFilter(f"filter of tag {tag:02x}")


def _all(parts):
    def conjunction(values):
        verdict = True
        for part in parts:
            got = part(values)
            if got is False:
                return False
            if got is None:
                verdict = None
        return verdict
    return conjunction


def _any(parts):
    def disjunction(values):
        verdict = False
        for part in parts:
            got = part(values)
            if got:
                return True
            if got is None:
                verdict = None
        return verdict
    return disjunction


def _test(name, syntax, test):
    name = name.decode().lower()
    kind = syntax(name)
    if kind is None:
        return lambda values: None
    return lambda values: test(kind, values(name))


def _equality(name, wanted, syntax):
    folded = wanted.lower()

    def equal(kind, values):
        if kind == "octets":
            return wanted in values
        return any(value.lower() == folded for value in values)
    return _test(name, syntax, equal)


def _substrings(name, parts, syntax):
    def fits(value):
        value, at = value.lower(), 0
        for tag, part in parts:
            part = part.lower()
            if tag == 0x80:
                if not value.startswith(part):
                    return False
                at = len(part)
            elif tag == 0x81:
                at = value.find(part, at)
                if at < 0:
                    return False
                at += len(part)
            elif len(value) - len(part) < at or not value.endswith(part):
                return False
        return True
    return _test(name, syntax, lambda kind, values: any(map(fits, values)))


def _order(greater, name, wanted, syntax):
    def ordered(kind, values):
        if kind == "integer":
            limit = int(wanted)
            return any(int(value) >= limit if greater else int(value) <= limit for value in values)
        return any(value >= wanted if greater else value <= wanted for value in values)
    return _test(name, syntax, ordered)


def _extensible(parts, syntax):
    rule, name, wanted = parts.get(0x81), parts.get(0x82, b""), int(parts[0x83])
    if rule not in (BIT_AND, BIT_OR):
        return lambda values: None

    def bits(kind, values):
        return any(int(value) & wanted == wanted if rule == BIT_AND else int(value) & wanted
                   for value in values)
    return _test(name, syntax, bits)
