"""ldap_ber: LDAP messages as bytes (X.690, RFC 4511), as far as the servers of this folder need them."""

PAGED = b"1.2.840.113556.1.4.319"
START_TLS = b"1.3.6.1.4.1.1466.20037"


def ber(tag, *contents):
    body = b"".join(contents)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def integer(value, tag=0x02):
    return ber(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value, tag=0x04):
    return ber(tag, value if isinstance(value, bytes) else value.encode())


def elements(body):
    """The (tag, contents) pairs that stand one after the other in `body`."""
    position = 0
    while position < len(body):
        tag, size, position = body[position], body[position + 1], position + 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(body[position:position + count], "big")
            position += count
        yield tag, body[position:position + size]
        position += size


# Messages to the reader.

def message(number, *contents):
    return ber(0x30, integer(number), *contents)


def ldap_result(tag, code, text="", referral=None, extra=b""):
    uris = ber(0xA3, octets(referral)) if referral else b""
    return ber(tag, integer(code, 0x0A), octets(""), octets(text), uris, extra)


def entry(dn, attributes):
    """A SearchResultEntry; `attributes`: (name, values) pairs."""
    listed = (ber(0x30, octets(name), ber(0x31, *map(octets, values))) for name, values in attributes)
    return ber(0x64, octets(dn), ber(0x30, *listed))


def search_entry(number, dn, attributes):
    return message(number, entry(dn, attributes.items()))


def search_reference(number, *uris):
    return message(number, ber(0x73, *map(octets, uris)))


def paged_control(cookie):
    return ber(0x30, octets(PAGED), octets(ber(0x30, integer(0), octets(cookie))))


def search_done(number, code=0, text="", cookie=None, referral=None, controls=b""):
    """The end of a search; `cookie` None: without the paged results control."""
    if cookie is not None:
        controls += paged_control(cookie)
    return message(number, ldap_result(0x65, code, text, referral),
                   ber(0xA0, controls) if controls else b"")


# Messages from the reader.

def receive(read):
    """The (number, tag, contents, controls) of the next message, None at the end. `read(n)` gives n
    bytes, fewer at the end."""
    head = read(2)
    if len(head) < 2:
        return None
    size = head[1]
    if size & 0x80:
        size = int.from_bytes(read(size & 0x7F), "big")
    parts = list(elements(read(size)))
    if len(parts) < 2:
        return None
    return (int.from_bytes(parts[0][1], "big"), parts[1][0], parts[1][1],
            parts[2][1] if len(parts) > 2 else b"")


def control_values(controls):
    """OID → value of the controls of a message."""
    found = {}
    for _, control in elements(controls):
        parts = list(elements(control))
        found[parts[0][1]] = parts[-1][1] if len(parts) > 1 and parts[-1][0] == 0x04 else b""
    return found


def paging(value):
    """The size and the cookie of a paged results control's value."""
    (_, size), (_, cookie) = elements(next(elements(value))[1])
    return int.from_bytes(size, "big"), cookie
