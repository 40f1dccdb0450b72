"""ldap_faults: a small LDAP server that reads well, until it is told to misbehave.

    with FaultServer(people(2500)) as server:
        server.on_page(2, result(51, after=10))    # ten entries of page 2, then code 51
        server.uri                                      # ldap://127.0.0.1:…

It knows what a paging reader needs: bind, StartTLS (with a certificate), the root DSE, paged
searches (RFC 2696) and ranges of values as Active Directory cuts them. It is no directory: every
search below any base finds all entries.
"""

import socket
import ssl
import threading

from ldap_ber import (PAGED, START_TLS, ber, control_values, elements, ldap_result, message, octets,
                      paging, receive, search_done, search_entry)

# Faults: each gets the connection and the page that was asked for.

class Page:
    def __init__(self, number, index, entries, cookie, attributes):
        self.number = number            # the message's
        self.index = index              # of the page, from 1
        self.entries = entries          # (dn, attributes) of this page
        self.cookie = cookie            # what a good server would end with
        self.attributes = attributes

    def encoded(self, count=None):
        return b"".join(search_entry(self.number, dn, values)
                        for dn, values in self.entries[:count])


def result(code, after=0, text="", cookie=b"", referral=None):
    """`after` entries of the page, then this code."""
    def fault(connection, page):
        connection.send(page.encoded(after) +
                        search_done(page.number, code, text, cookie, referral))
    return fault


def without_control(connection, page):
    """The page, and success without a word about paging."""
    connection.send(page.encoded() + search_done(page.number))


def cut(after=3):
    """`after` entries and a half one, then the connection is closed."""
    def fault(connection, page):
        whole = page.encoded(after + 1)
        connection.send(whole[:-20])
        connection.close()
    return fault


def silence(after=3):
    """`after` entries, then nothing more."""
    def fault(connection, page):
        connection.send(page.encoded(after))
        connection.wait()
    return fault


def drip(after=3, every=0.2):
    """`after` entries, then one byte at a time."""
    def fault(connection, page):
        connection.send(page.encoded(after))
        for byte in page.encoded()[len(page.encoded(after)):]:
            connection.send(bytes((byte,)))
            if connection.wait(every):
                return
    return fault


def slow(every):
    """The page, but each entry only after so many seconds."""
    def fault(connection, page):
        for dn, attributes in page.entries:
            if connection.wait(every):
                return
            connection.send(search_entry(page.number, dn, attributes))
        connection.send(search_done(page.number, cookie=page.cookie))
    return fault


def raw(data, after=3):
    """`after` entries, then bytes of the test's choice, then nothing more."""
    def fault(connection, page):
        connection.send(page.encoded(after) + data)
        connection.wait()
    return fault


def first_page_again(connection, page):
    """Always the first page, and always a next one."""
    connection.send(page.encoded() + search_done(page.number, cookie=b"0"))


def empty_pages(connection, page):
    """Never an entry, and always a next page."""
    connection.send(search_done(page.number, cookie=str(page.index).encode()))


class Connection:
    def __init__(self, server, sock):
        self.server = server
        self.sock = sock
        self.pages = 0

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def wait(self, seconds=None):
        """Waits until the server stops; true if it does."""
        return self.server.stopping.wait(seconds)

    def messages(self):
        """The (number, tag, contents, controls) that come in."""
        stream = self.sock.makefile("rb")
        while (got := receive(stream.read)) is not None:
            number, tag, contents, controls = got
            yield number, tag, contents, controls
            if (tag, contents) == (0x77, ber(0x80, START_TLS)):
                stream = self.sock.makefile("rb")


class FaultServer:
    """`entries`: (dn, {attribute: [values]}). `tls`: a certificates.Pair, for LDAPS and StartTLS.
    `value_limit`: more values of one attribute come in ranges, as from Active Directory."""

    def __init__(self, entries=(), tls=None, ldaps=False, value_limit=None):
        self.entries = list(entries)
        self.value_limit = value_limit
        self.bind_answer = (0, "")
        self.start_tls_answer = 0
        self.root = {"defaultNamingContext": ["dc=example,dc=test"]}
        self.references = []
        self.searches = []              # (base, scope, attributes, controls were there)
        self.binds = []                 # names
        self.stopping = threading.Event()
        self._faults = {}
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.certificate, tls.key)
        self._ldaps = ldaps
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"{'ldaps' if ldaps else 'ldap'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def on_page(self, index, fault):
        """From the `index`th page of a connection on (once, unless the fault makes the reader ask
        again) `fault` answers. 0: every page."""
        self._faults[index] = fault

    def stop(self):
        self.stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self._ldaps:
                sock = self._context.wrap_socket(sock, server_side=True)
            connection = Connection(self, sock)
            for number, tag, contents, controls in connection.messages():
                if not self._answer(connection, number, tag, contents, controls):
                    break
        except OSError:
            pass
        finally:
            sock.close()

    def _answer(self, connection, number, tag, contents, controls):
        if tag == 0x50:  # abandon: its contents are a number, not elements
            return True
        parts = list(elements(contents))
        if tag == 0x60:
            self.binds.append(parts[1][1].decode())
            code, text = self.bind_answer
            connection.send(message(number, ldap_result(0x61, code, text)))
        elif tag == 0x77:
            code = self.start_tls_answer if self._context else 2
            connection.send(message(number, ldap_result(0x78, code)))
            if code == 0:
                connection.sock = self._context.wrap_socket(connection.sock, server_side=True)
        elif tag == 0x63:
            self._search(connection, number, parts, controls)
        else:
            return False
        return True

    def _search(self, connection, number, parts, controls):
        base, scope = parts[0][1].decode(), parts[1][1][0]
        attributes = [name.decode() for _, name in elements(parts[7][1])]
        self.searches.append((base, scope, attributes, bool(controls)))
        if scope == 0:
            found = [("", self.root)] if base == "" else [e for e in self.entries if e[0] == base]
            page = Page(number, 0, [(dn, self._cut(values, attributes)) for dn, values in found],
                        None, attributes)
            connection.send(page.encoded() + search_done(number, 0 if found else 32))
            return
        size, cookie = _paging(controls)
        start = int(cookie or b"0")
        connection.pages += 1
        shown = self.entries[start:start + size]
        following = str(start + size).encode() if start + size < len(self.entries) else b""
        page = Page(number, connection.pages,
                    [(dn, self._cut(values, attributes)) for dn, values in shown], following,
                    attributes)
        fault = self._faults.get(connection.pages, self._faults.get(0))
        if fault:
            fault(connection, page)
            return
        references = b"".join(message(number, ber(0x73, octets(uri))) for uri in self.references)
        connection.send(page.encoded() + references + search_done(number, cookie=following))

    def _cut(self, attributes, wanted):
        """What stands in the answer of an entry's attributes."""
        shown = {}
        for name, values in attributes.items():
            ranges = [w for w in wanted if w.lower().startswith(name.lower() + ";range=")]
            if ranges:
                first = int(ranges[0].split("=")[1].split("-")[0])
                self._range(shown, name, values, first)
            elif not wanted or name.lower() in map(str.lower, wanted):
                if self.value_limit and len(values) > self.value_limit:
                    shown[name] = []
                    self._range(shown, name, values, 0)
                else:
                    shown[name] = values
        return shown

    def _range(self, shown, name, values, first):
        limit = self.value_limit or len(values)
        part = values[first:first + limit]
        last = "*" if first + limit >= len(values) else str(first + limit - 1)
        if part:
            shown[f"{name};range={first}-{last}"] = part


def _paging(controls):
    value = control_values(controls).get(PAGED)
    return paging(value) if value else (1 << 30, b"")


def people(count, **more):
    """Entries with objectGUID and one address each; `more` attributes for every one of them."""
    return [(f"cn=Person {i},dc=example,dc=test",
             {"objectClass": ["top", "person", "user"],
              "objectGUID": [i.to_bytes(16, "big")],
              "proxyAddresses": [f"SMTP:person{i}@example.com"], **more})
            for i in range(count)]


class Silent:
    """Accepts connections and never says a word."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri, self.ldaps_uri = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
