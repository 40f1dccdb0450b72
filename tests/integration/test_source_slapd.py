"""The LDAP source against a real OpenLDAP and against a server that misbehaves."""

import base64
import os
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path

import ldap_faults as faults
import make_ldif
import source_read
from certificates import Authority
from ldap_faults import FaultServer, Silent, people
from slapd import Slapd

OBJECTS = 6000
SUFFIX = make_ldif.SUFFIX


def expected():
    """key → what a whole read has to bring, from the generator."""
    return {entry.guid.hex(): entry for entry in make_ldif.entries(OBJECTS)}


class SlapdCase(unittest.TestCase):
    """One slapd for all tests of a class; what a test changes it puts right again."""

    settings = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-source-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.slapd = Slapd(cls.folder / "slapd", settings=cls.settings).start(objects=OBJECTS)
        cls.addClassCleanup(cls.slapd.stop)

    def read(self, *servers, **options):
        return source_read.finish(self.start(*servers, **options))

    def start(self, *servers, **options):
        defaults = {"ca_file": self.slapd.ca_file, "user": self.slapd.reader_dn,
                    "password_file": self.slapd.password_file, "page_size": 500}
        return source_read.start(*(servers or [self.slapd.uri]),
                                 **{name: value for name, value in (defaults | options).items()
                                    if value is not None})

    def assert_whole(self, answer):
        self.assertTrue(answer.complete, answer.output[-2000:])
        want = expected()
        self.assertEqual({found.key for found in answer.objects}, set(want))
        for found in answer.objects:
            entry = want[found.key]
            self.assertEqual(sorted(found.smtp), sorted(entry.smtp))
            self.assertEqual(found.kind.replace(" ", ""), entry.kind.lower())
            self.assertEqual(found.drop, 10 if entry.sender_authentication else 0)
            self.assertEqual(found.origin, entry.dn)

    def assert_failed(self, answer, code, *words):
        self.assertFalse(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.code, code, answer.message)
        for word in words:
            self.assertIn(word, answer.message)
        self.assertNotIn(self.slapd.reader_password, answer.output)


class Reading(SlapdCase):
    def test_start_tls(self):
        answer = self.read()
        self.assert_whole(answer)
        self.assertEqual(answer.fields["server"], self.slapd.uri)

    def test_ldaps(self):
        self.assert_whole(self.read(self.slapd.ldaps_uri))

    def test_localhost_is_this_machine_to_libldap(self):
        names = ["127.0.0.1", socket.gethostname(), socket.getfqdn()]
        with Slapd(self.folder / "own-name", names=names).start() as named:
            for uri in (named.uri, named.ldaps_uri):
                answer = self.read(uri.replace("127.0.0.1", "localhost"), ca_file=named.ca_file)
                self.assertTrue(answer.complete, answer.message)
        for uri in (self.slapd.uri, self.slapd.ldaps_uri):
            self.assert_failed(self.read(uri.replace("127.0.0.1", "localhost")), "untrusted",
                               "own name", "127.0.0.1")

    def test_plaintext_only_when_asked_for(self):
        self.assert_whole(self.read(plaintext=True))

    def test_every_page_size(self):
        for size in (1, 7, OBJECTS - 1, OBJECTS, 100000):
            options = {"base": [f"ou=Groups,{SUFFIX}"]} if size == 1 else {}
            with self.subTest(size=size):
                answer = self.read(page_size=size, **options)
                self.assertTrue(answer.complete, answer.message)
                if not options:
                    self.assert_whole(answer)

    def test_without_bases_the_server_names_its_own(self):
        self.assert_whole(self.read(base=None))

    def test_several_bases(self):
        bases = [f"ou={name},{SUFFIX}" for name in ("Users", "Groups", "Contacts", "Public Folders")]
        self.assert_whole(self.read(base=bases))

    def test_missing_base_fails_the_whole_read(self):
        answer = self.read(base=[f"ou=Users,{SUFFIX}", f"ou=Nowhere,{SUFFIX}"])
        self.assert_failed(answer, "not_found", "ou=Nowhere", "bases")

    def test_fallback_only_without_an_address(self):
        guid = base64.b64encode(bytes(range(16))).decode()
        dn = f"cn=Only mail,ou=Contacts,{SUFFIX}"
        self.slapd.add(f"dn: {dn}\nobjectClass: contact\ncn: Only mail\nobjectGUID:: {guid}\n"
                       "mail: only.mail@example.com\n"
                       "proxyAddresses: SIP:only.mail@example.com\n")
        self.addCleanup(self.slapd.delete, dn)
        found = {o.origin: o for o in self.read().objects}
        self.assertEqual(found[dn].values, [("mail", "only.mail@example.com")])
        others = {attribute for o in found.values() if o.origin != dn for attribute, _ in o.values}
        self.assertEqual(others, {"proxyAddresses"})

    def test_entry_uuid_where_there_is_no_guid(self):
        dn = f"cn=Plain,ou=Contacts,{SUFFIX}"
        self.slapd.add(f"dn: {dn}\nobjectClass: inetOrgPerson\ncn: Plain\nsn: Plain\n"
                       "mail: plain@example.com\n")
        self.addCleanup(self.slapd.delete, dn)
        answer = self.read(type="ldap", filter="(objectClass=inetOrgPerson)", addresses=["mail"])
        self.assertEqual([(o.origin, o.smtp, o.kind, len(o.key)) for o in answer.objects],
                         [(dn, ["plain@example.com"], "user", 32)])
        self.assert_failed(self.read(filter="(objectClass=inetOrgPerson)"), "not_found",
                           "objectGUID", "type: ldap")

    def test_sender_authentication_kept_if_wanted(self):
        self.assertEqual({o.drop for o in self.read(keep_protected=True).objects}, {0})

    def test_attribute_names_in_any_case(self):
        answer = self.read(addresses=["PROXYADDRESSES"])
        self.assertEqual(len(answer.objects), OBJECTS)
        self.assertEqual(answer.objects[0].values[0][0], "PROXYADDRESSES")

    def test_aliases_and_oids(self):
        dn = f"cn=Tagged,ou=Contacts,{SUFFIX}"
        self.slapd.add(f"dn: {dn}\nobjectClass: inetOrgPerson\nobjectClass: extensibleObject\n"
                       "cn: Tagged\nsn: Tagged\nemail: a@example.com\n"
                       "mail;lang-de: b@example.com\nmail: c@example.com\n")
        self.addCleanup(self.slapd.delete, dn)
        of_it = {"type": "ldap", "filter": "(&(cn=Tagged)(rfc822Mailbox=*))"}
        for addresses, found in (
                (["emailAddress"], [("email", "a@example.com")]),
                (["1.2.840.113549.1.9.1"], [("email", "a@example.com")]),
                (["0.9.2342.19200300.100.1.3;lang-de"], [("mail;lang-de", "b@example.com")]),
                (["RFC822mailbox"], [("mail", "b@example.com"), ("mail", "c@example.com")])):
            with self.subTest(addresses):
                answer = self.read(addresses=addresses, **of_it)
                self.assertTrue(answer.complete, answer.output)
                self.assertEqual([sorted(o.values) for o in answer.objects], [found])

    def test_attribute_that_the_schema_lacks(self):
        for key, more in (("addresses", {"addresses": ["mial"]}),
                          ("fallback", {"fallback": ["mial"]}),
                          ("filter", {"filter": "(&(mail=*)(!(mial=x)))"})):
            with self.subTest(key):
                self.assert_failed(self.read(**more), "not_found", "does not know the attribute mial",
                                   f"correct its name in {key}")

    def test_schema_that_may_not_be_read(self):
        hidden = 'database frontend\naccess to dn.subtree="cn=Subschema" by * none\naccess to * by * read'
        with Slapd(self.folder / "closed", settings=hidden, syncprov=False).start(
                objects=10) as closed:
            answer = self.read(closed.uri, ca_file=closed.ca_file, addresses=["mial"],
                               password_file=closed.password_file)
            self.assertTrue(answer.complete, answer.output)
            self.assertEqual(len(answer.objects), 10)


class Refusals(SlapdCase):
    settings = (f'limits dn.exact="cn=limited,{SUFFIX}" size=700\n'
                f'limits dn.exact="{Slapd.reader_dn}" size=unlimited')

    def password(self, text):
        path = Path(tempfile.mkstemp(dir=self.folder)[1])
        path.write_text(text)
        return path

    def test_wrong_password(self):
        answer = self.read(password_file=self.password("not-it"))
        self.assert_failed(answer, "credentials", "wrong user name or password", "password file",
                           self.slapd.reader_dn)
        self.assertNotIn("not-it", answer.output)

    def test_password_is_read_anew_each_time(self):
        path = self.password("not-it")
        self.assertFalse(self.read(password_file=path).complete)
        path.write_text(self.slapd.reader_password)
        self.assertTrue(self.read(password_file=path).complete)

    def test_password_file_open_to_others(self):
        path = self.password(self.slapd.reader_password)
        path.chmod(0o644)
        self.assert_failed(self.read(password_file=path), "permission", "chmod 600", str(path))

    def test_empty_password_never_becomes_an_anonymous_bind(self):
        self.assert_failed(self.read(password_file=self.password("\n")), "credentials")

    def test_filter(self):
        self.assert_failed(self.read(filter="(|(mail=*)"), "invalid", "(|(mail=*)", "RFC 4515")

    def test_size_limit_in_the_middle(self):
        dn = f"cn=limited,{SUFFIX}"
        self.slapd.add(f"dn: {dn}\nobjectClass: organizationalRole\ncn: limited\n"
                       "objectClass: simpleSecurityObject\nuserPassword: limited-secret\n")
        self.addCleanup(self.slapd.delete, dn)
        answer = self.read(user=dn, password_file=self.password("limited-secret"))
        self.assert_failed(answer, "limit", "page 2", "size limit", "raise it")

    def test_untrusted_authority(self):
        other = Authority(self.folder / "other", name="Another CA")
        for uri in (self.slapd.uri, self.slapd.ldaps_uri):
            with self.subTest(uri=uri):
                self.assert_failed(self.read(uri, ca_file=other.certificate), "untrusted",
                                   "Laboratory CA", "ca_file", str(other.certificate))

    def test_certificate_is_verified_whatever_the_surroundings_say(self):
        other = Authority(self.folder / "other", name="Another CA")
        os.environ["LDAPTLS_REQCERT"] = "never"
        self.addCleanup(os.environ.pop, "LDAPTLS_REQCERT")
        self.assert_failed(self.read(ca_file=other.certificate), "untrusted")

    def test_size_limit_of_the_surroundings_does_not_cut(self):
        os.environ["LDAPSIZELIMIT"] = "10"
        self.addCleanup(os.environ.pop, "LDAPSIZELIMIT")
        self.assert_whole(self.read())

    def test_ca_file_without_certificates(self):
        self.assert_failed(self.read(ca_file="/etc/passwd"), "invalid", "/etc/passwd", "PEM")

    def test_expired_certificate(self):
        with Slapd(self.folder / "expired", expired=True).start() as old:
            for uri in (old.uri, old.ldaps_uri):
                with self.subTest(uri=uri):
                    self.assert_failed(self.read(uri, ca_file=old.ca_file), "untrusted",
                                       "expired on", "renew")

    def test_certificate_for_another_name(self):
        with Slapd(self.folder / "name", names=["dc9.example.net", "192.0.2.9"]).start() as other:
            for uri in (other.uri, other.ldaps_uri,
                        other.ldaps_uri.replace("127.0.0.1", "localhost")):
                with self.subTest(uri=uri):
                    self.assert_failed(self.read(uri, ca_file=other.ca_file), "untrusted",
                                       "dc9.example.net, 192.0.2.9", "servers")

    def test_ldaps_on_a_plain_port(self):
        answer = self.read(self.slapd.uri.replace("ldap:", "ldaps:"))
        self.assert_failed(answer, "protocol", "no TLS handshake", "636")

    def test_nobody_listens(self):
        with Silent() as gone:
            uri = gone.uri
        self.assert_failed(self.read(uri), "unreachable", uri, "Connection refused")

    def test_name_that_does_not_exist(self):
        answer = self.read("ldaps://no-such-host.invalid")
        self.assertIn(answer.code, ("unreachable", "timeout"))
        self.assertIn("no-such-host.invalid", answer.message)


class Deadlines(SlapdCase):
    def setUp(self):
        silent = Silent()
        self.addCleanup(silent.__exit__)
        self.silent = silent

    def test_silent_server(self):
        for uri, options in ((self.silent.uri, {}), (self.silent.ldaps_uri, {}),
                             (self.silent.uri, {"plaintext": True})):
            with self.subTest(uri=uri, **options):
                answer = self.read(uri, connect_timeout=1, **options)
                self.assert_failed(answer, "timeout", "connect_timeout")
                self.assertLess(answer.wall, 2)

    def test_paused_while_reading(self):
        process = self.start(read_timeout=1, page_size=1)
        time.sleep(0.3)
        self.slapd.pause()
        try:
            answer = source_read.finish(process)
        finally:
            self.slapd.resume()
        self.assert_failed(answer, "timeout", "read_timeout")
        self.assertLess(answer.wall, 3)

    def test_killed_while_reading(self):
        process = self.start(page_size=1)
        time.sleep(0.3)
        self.slapd.kill()
        try:
            answer = source_read.finish(process)
        finally:
            self.slapd.start()
        self.assert_failed(answer, "incomplete", "closed the connection")
        self.assert_whole(self.read())

    def test_stop_is_heard_at_every_point(self):
        for uri, options in ((self.silent.uri, {}), (self.silent.ldaps_uri, {}),
                             (self.slapd.uri, {"page_size": 1}),
                             ("ldaps://192.0.2.1", {})):
            with self.subTest(uri=uri):
                answer = self.read(uri, connect_timeout=30, cancel_after=200, **options)
                self.assertLess(answer.wall, 1.2)
                if uri != "ldaps://192.0.2.1" or answer.code != "unreachable":
                    self.assert_failed(answer, "cancelled")

    def test_next_server_reads_everything_anew(self):
        answer = self.read(self.silent.ldaps_uri, self.slapd.uri, connect_timeout=1)
        self.assert_whole(answer)
        self.assertEqual(answer.restarts, 1)
        self.assertEqual(answer.fields["server"], self.slapd.uri)
        self.assertIn(self.silent.ldaps_uri, answer.warnings[0])

    def test_server_lost_in_the_middle_leaves_nothing_behind(self):
        with FaultServer(people(100)) as first:
            first.on_page(2, faults.cut())
            answer = self.read(first.uri, self.slapd.uri, plaintext=True, page_size=10)
        self.assert_whole(answer)
        self.assertEqual(answer.restarts, 1)

    def test_preferred_server_first(self):
        answer = self.read(self.silent.uri, self.slapd.uri, preferred=self.slapd.uri)
        self.assert_whole(answer)
        self.assertEqual(answer.restarts, 0)
        self.assertNotIn(self.silent.uri, str(answer.warnings))

    def test_all_servers_failed_and_each_is_named(self):
        answer = self.read(self.silent.uri, self.silent.ldaps_uri, connect_timeout=1)
        self.assert_failed(answer, "timeout", self.silent.uri, self.silent.ldaps_uri)


class Faults(unittest.TestCase):
    """A server that answers wrongly on page 3 of 5: never a complete read."""

    PAGE = 20

    def serve(self, **options):
        server = FaultServer(people(5 * self.PAGE), **options)
        self.addCleanup(server.stop)
        return server

    def read(self, server, **options):
        defaults = {"plaintext": True, "page_size": self.PAGE, "read_timeout": 1}
        return source_read.read(server.uri, **(defaults | options))

    def assert_failed(self, answer, code, *words):
        self.assertFalse(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.code, code, answer.message)
        for word in words:
            self.assertIn(word, answer.message)

    def test_the_server_reads_well(self):
        server = self.serve()
        answer = self.read(server)
        self.assertTrue(answer.complete, answer.output)
        self.assertEqual(len(answer.objects), 5 * self.PAGE)
        self.assertTrue(all(controls for _, scope, _, controls in server.searches if scope == 2))

    def test_result_codes(self):
        meanings = {1: ("permission", "without an account"), 3: ("limit", "time limit"),
                    4: ("limit", "size limit"), 9: ("incomplete", "part"),
                    11: ("limit", "limit of the server"), 12: ("remote", "paged results"),
                    32: ("not_found", "no such base"), 50: ("permission", "may not read"),
                    51: ("busy", "busy"), 52: ("busy", "stopping"), 53: ("remote", "unwilling"),
                    80: ("remote", "log")}
        for code, (kind, words) in meanings.items():
            for cookie in (b"", b"60", None):
                with self.subTest(code=code, cookie=cookie):
                    server = self.serve()
                    server.on_page(3, faults.result(code, after=10, text="so it is",
                                                    cookie=cookie))
                    self.assert_failed(self.read(server), kind, words, "page 3", f"code {code},",
                                       "so it is")

    def test_referral_result(self):
        server = self.serve()
        server.on_page(3, faults.result(10, referral="ldap://elsewhere.example/dc=x"))
        self.assert_failed(self.read(server), "not_found", "ldap://elsewhere.example/dc=x")

    def test_success_without_paging_control(self):
        server = self.serve()
        server.on_page(1, faults.without_control)
        self.assert_failed(self.read(server), "incomplete", "page 1", "RFC 2696")

    def test_cut_in_the_middle_of_a_message(self):
        server = self.serve()
        server.on_page(3, faults.cut())
        self.assert_failed(self.read(server), "incomplete", "page 3", "closed the connection")

    def test_silence(self):
        server = self.serve()
        server.on_page(3, faults.silence())
        answer = self.read(server)
        self.assert_failed(answer, "timeout", "page 3", "read_timeout")
        self.assertLess(answer.wall, 2)

    def test_drip_inside_a_message(self):
        server = self.serve()
        server.on_page(3, faults.drip(every=0.2))
        answer = self.read(server)
        self.assert_failed(answer, "timeout", "read_timeout")
        self.assertLess(answer.wall, 2.5)

    def test_entry_now_and_then(self):
        server = self.serve()
        server.on_page(3, faults.slow(every=0.7))
        answer = self.read(server)
        self.assert_failed(answer, "timeout", "page 3", "10 s")
        self.assertLess(answer.wall, 12)

    def test_drip_of_a_bind_answer(self):
        server = self.serve()
        server.bind_answer = (0, "x" * 200)
        whole = faults.Connection.send
        self.addCleanup(setattr, faults.Connection, "send", whole)

        def slowly(connection, data):
            for byte in data:
                whole(connection, bytes((byte,)))
                if connection.wait(0.1):
                    return
        faults.Connection.send = slowly
        answer = self.read(server, connect_timeout=1)
        self.assert_failed(answer, "timeout", "connect_timeout")
        self.assertLess(answer.wall, 2)

    def test_garbage(self):
        for data in (b"\xff" * 4000, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x80" * 100,
                     b"\x30\x84\xff\xff\xff\xff" + bytes(100), b"\x00" * 100,
                     faults.message(1 << 40, b"\x64\x00")):
            with self.subTest(data=data[:10]):
                server = self.serve()
                server.on_page(3, faults.raw(data))
                answer = self.read(server)
                self.assertFalse(answer.complete)
                self.assertLess(answer.wall, 2.5)

    def test_entry_that_is_none(self):
        for body in (b"", b"\x04\x7fcn=x", b"\x04\x01x\x30\x05\x30\x03\x04\x7fx",
                     b"\x04\x01x\x30\x06\x30\x04\x04\x00\x31\x7f"):
            with self.subTest(body=body):
                server = self.serve()

                def broken(connection, page, body=body):
                    connection.send(page.encoded() +
                                    faults.message(page.number, faults.ber(0x64, body)) +
                                    faults.search_done(page.number, cookie=page.cookie))
                server.on_page(3, broken)
                self.assertFalse(self.read(server).complete)

    def test_announced_size_is_bounded(self):
        server = self.serve()
        server.on_page(3, faults.raw(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x03\x64" + bytes(10000)))
        answer = self.read(server)
        self.assertFalse(answer.complete)
        self.assertLess(answer.wall, 2)

    def test_large_entry_is_read(self):
        server = self.serve()
        dn, attributes = server.entries[50]
        many = [f"smtp:alias{i:06}@example.com" for i in range(100000)]
        server.entries[50] = dn, attributes | {"proxyAddresses": many}
        answer = self.read(server, read_timeout=20)
        self.assertTrue(answer.complete, answer.message)
        self.assertEqual(len(answer.objects[50].values), 100000)

    def test_first_page_again_and_again(self):
        server = self.serve()
        server.on_page(0, faults.first_page_again)
        self.assert_failed(self.read(server), "protocol", "page 2", "lost its place")

    def test_empty_pages_without_end(self):
        server = self.serve()
        server.on_page(0, faults.empty_pages)
        self.assert_failed(self.read(server), "limit", "empty pages")

    def test_a_few_empty_pages_are_no_fault(self):
        server = self.serve()

        def empty(connection, page):
            connection.send(faults.search_done(page.number, cookie=b"40"))
        server.on_page(3, empty)
        answer = self.read(server)
        self.assertTrue(answer.complete, answer.message)
        self.assertEqual(len(answer.objects), 5 * self.PAGE)

    def test_unsolicited_farewell(self):
        server = self.serve()
        notice = faults.message(0, faults.ldap_result(
            0x78, 52, "going down", extra=faults.octets(b"1.3.6.1.4.1.1466.20036", 0x8A)))
        server.on_page(3, faults.raw(notice))
        # libldap itself leaks the notice, some hundred bytes.
        os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
        self.addCleanup(os.environ.pop, "ASAN_OPTIONS")
        self.assertFalse(self.read(server).complete)

    def test_no_connection_of_libldaps_own(self):
        """After a cut nobody may connect again, which libldap would do without encryption."""
        server = self.serve()
        server.on_page(3, faults.cut())
        self.read(server)
        self.assertEqual(len(server.binds), 1)

    def test_continuation_references_are_counted_not_followed(self):
        with Silent() as elsewhere:
            server = self.serve()
            server.references = [f"{elsewhere.uri}/cn=configuration", f"{elsewhere.uri}/cn=dns"]
            answer = self.read(server)
        self.assertTrue(answer.complete, answer.message)
        self.assertEqual(answer.fields["references"], "10")

    def test_guid_of_another_length(self):
        server = self.serve()
        dn, attributes = server.entries[50]
        server.entries[50] = dn, attributes | {"objectGUID": [b"short"]}
        self.assert_failed(self.read(server), "protocol", dn, "5 bytes")

    def test_dn_from_hell(self):
        server = self.serve()
        server.entries[50] = ("cn=a\nb\x1b[31m" + "é" * 2000, server.entries[50][1])
        answer = self.read(server)
        self.assertTrue(answer.complete, answer.message)
        self.assertLessEqual(len(answer.objects[50].origin.encode()), 1100)
        self.assertTrue(answer.objects[50].origin.startswith("cn=a\\nb\\x1b[31m"),
                        answer.objects[50].origin[:30])

    def test_refused_by_active_directory(self):
        reasons = {"52e": "wrong user name", "525": "no such account", "530": "hour",
                   "532": "expired", "533": "disabled", "701": "account has expired",
                   "773": "change its password", "775": "locked"}
        for data, words in reasons.items():
            with self.subTest(data=data):
                server = self.serve()
                server.bind_answer = (49, "80090308: LdapErr: DSID-0C09041C, comment: "
                                          f"AcceptSecurityContext error, data {data}, v4563\0")
                # Another server may know an account that this one does not, and asking costs nothing.
                code = "not_found" if data == "525" else "credentials"
                self.assert_failed(self.read(server), code, words)

    def test_encryption_demanded(self):
        server = self.serve()
        server.bind_answer = (8, "Transport encryption required.")
        self.assert_failed(self.read(server), "permission", "ldaps://", "start_tls")

    def test_no_start_tls_offered(self):
        server = self.serve()
        answer = source_read.read(server.uri, connect_timeout=2)
        self.assert_failed(answer, "remote", "StartTLS", "ldaps://")
        self.assertEqual(server.binds, [])


class Ranges(unittest.TestCase):
    """Attributes with more values than the server sends at once ([MS-ADTS] 3.1.1.3.1.3.3)."""

    def directory(self, values, limit=1500):
        entries = people(100)
        entries[40] = (entries[40][0], entries[40][1] | {
            "proxyAddresses": [f"smtp:many{i}@example.com" for i in range(values)]})
        server = FaultServer(entries, value_limit=limit)
        self.addCleanup(server.stop)
        return server

    def read(self, server):
        return source_read.read(server.uri, plaintext=True, page_size=30, read_timeout=2)

    def test_all_values(self):
        for values in (1499, 1500, 1501, 1700, 3000, 4501, 20000):
            with self.subTest(values=values):
                answer = self.read(self.directory(values))
                self.assertTrue(answer.complete, answer.message)
                self.assertEqual(len(answer.objects), 100)
                many = next(o for o in answer.objects if "Person 40," in o.origin)
                self.assertEqual(sorted(many.smtp),
                                 sorted(f"many{i}@example.com" for i in range(values)))

    def test_shortened_meanwhile_is_read_as_it_is_now(self):
        server = self.directory(1700)

        def shorten(connection, page):
            connection.send(page.encoded() + faults.search_done(page.number, cookie=page.cookie))
            dn, attributes = server.entries[40]
            server.entries[40] = dn, attributes | {
                "proxyAddresses": attributes["proxyAddresses"][:10]}
        server.on_page(2, shorten)
        answer = self.read(server)
        self.assertTrue(answer.complete, answer.message)
        many = next(o for o in answer.objects if "Person 40," in o.origin)
        self.assertEqual(len(many.smtp), 10)

    def test_renamed_meanwhile_fails_the_read(self):
        server = self.directory(1700)

        def rename(connection, page):
            server.entries[40] = ("cn=Renamed,dc=example,dc=test", server.entries[40][1])
            connection.send(page.encoded() + faults.search_done(page.number, cookie=page.cookie))
        server.on_page(2, rename)
        self.assertFalse(self.read(server).complete)

    def test_range_without_end(self):
        server = self.directory(3000)
        server._range = lambda shown, name, values, first: shown.update(
            {f"{name};range={first}-{first}": [b"smtp:again@example.com"]} if first else
            {f"{name};range=0-0": [b"smtp:again@example.com"]})
        answer = self.read(server)
        self.assertFalse(answer.complete)
        self.assertIn("does not come to an end", answer.message)

    def test_range_that_is_none(self):
        for option in ("range=a-b", "range=0", "range=5-1", "range=7-*",
                       "range=0-99999999999999999999"):
            with self.subTest(option=option):
                entries = people(10)
                entries[4][1][f"proxyAddresses;{option}"] = [b"smtp:x@example.com"]
                with FaultServer(entries) as server:
                    server._cut = lambda attributes, wanted: attributes
                    self.assertFalse(self.read(server).complete)


if __name__ == "__main__":
    unittest.main()
