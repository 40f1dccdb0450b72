"""How a source finds its servers and proves who it is: Kerberos, client certificates, the DNS."""

import json
import os
import shutil
import socket
import tempfile
import threading
import unittest
from pathlib import Path

import make_ldif
import source_read
from active_directory import ActiveDirectory
from addresses import claim_port
from certificates import Authority
from daemon import Daemon
from gate import Gate
from keytab import write_keytab
from name_server import NameServer, ask_only, claim_name_server
from slapd import Slapd

FOLDER = None
NAMES = None


def setUpModule():
    global FOLDER, NAMES
    FOLDER = Path(tempfile.mkdtemp(prefix="rcptsync-au-"))
    unittest.addModuleCleanup(shutil.rmtree, FOLDER, ignore_errors=True)
    NAMES = NameServer({}, host=claim_name_server(), port=53)
    unittest.addModuleCleanup(NAMES.close)
    ask_only(NAMES, FOLDER)
    # Nothing of this machine's own settings.
    set_kerberos("")


def set_kerberos(settings):
    """The krb5.conf of every process that is started from now on."""
    path = FOLDER / f"krb5-{len(settings)}.conf"
    path.write_text(settings)
    os.environ["KRB5_CONFIG"] = str(path)


class SourceTest(unittest.TestCase):
    def start(self, source, **options):
        """source-read with a configuration of this one source."""
        path = Path(tempfile.mkstemp(dir=FOLDER, suffix=".yaml")[1])
        path.write_text(json.dumps({"sources": [{"name": "corp", **source}],
                                    "targets": [{"name": "mx", "host": "mx.example.net"}]}))
        return source_read.start(config=path, **options)

    def read(self, source, **options):
        return source_read.finish(self.start(source, **options))

    def assert_failed(self, answer, code, *words):
        self.assertFalse(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.code, code, answer.message)
        for word in words:
            self.assertIn(word, answer.message)


class Recorder:
    """A relay that keeps what passes."""

    def __init__(self, address, port, upstream):
        self.bytes = bytearray()
        self._upstream = (upstream, port)
        self._listener = socket.create_server((address, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self.bytes += data
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()


class Kerberos(SourceTest):
    OBJECTS = 300

    @classmethod
    def setUpClass(cls):
        # Samba wants SASL inside TLS to be allowed by name; Microsoft's servers take it as it is.
        cls.domain = ActiveDirectory(FOLDER / "ad", strong_auth="allow_sasl_over_tls").start(
            objects=cls.OBJECTS)
        cls.addClassCleanup(cls.domain.stop)
        # samba_dnsupdate would do it, with a DNS that takes updates.
        cls.domain.modify(f"dn: CN=DC1,OU=Domain Controllers,{cls.domain.base}\nchangetype: modify\n"
                          "add: servicePrincipalName\n"
                          f"servicePrincipalName: ldap/dc1.{cls.domain.realm.lower()}\n")
        cls.realm = cls.domain.realm
        cls.dns_domain = cls.realm.lower()
        cls.host = f"{cls.domain.host}.{cls.dns_domain}"
        cls.principal = f"svc-reader@{cls.realm}"
        cls.keytab = write_keytab(FOLDER / "keytab", cls.principal, cls.domain.password)

    def setUp(self):
        NAMES.names = {self.host: self.domain.address, f"alias.{self.dns_domain}": self.domain.address}
        NAMES.services = {
            f"_kerberos._udp.{self.dns_domain}": [(0, 100, 88, self.host)],
            f"_kerberos._tcp.{self.dns_domain}": [(0, 100, 88, self.host)],
            f"_ldap._tcp.dc._msdcs.{self.dns_domain}": [(0, 100, 389, self.host)],
        }
        NAMES.silent = False

    def source(self, *servers, principal=None, keytab=None, **more):
        where = {"servers": list(servers or [f"ldap://{self.host}"])} if "domain" not in more else {}
        return {"type": "active-directory", **where, "ca_file": self.domain.ca_file,
                "connect_timeout": "20s",
                "bind": {"method": "gssapi", "principal": principal or self.principal,
                         "keytab": str(keytab or self.keytab)}, **more}

    def assert_whole(self, answer):
        self.assertTrue(answer.complete, answer.output[-2000:])
        found = {o.origin.lower() for o in answer.objects}
        for entry in make_ldif.entries(self.OBJECTS):
            self.assertIn(entry.dn.replace(make_ldif.SUFFIX, self.domain.base).lower(), found)

    def test_sealed_without_tls(self):
        relay = f"127.0.11.{self.domain.address.rsplit('.', 1)[1]}"
        recorder = Recorder(relay, 389, self.domain.address)
        self.addCleanup(recorder.close)
        NAMES.names[self.host] = relay
        NAMES.names[f"kdc.{self.dns_domain}"] = self.domain.address
        for kind in ("udp", "tcp"):
            NAMES.services[f"_kerberos._{kind}.{self.dns_domain}"] = [
                (0, 100, 88, f"kdc.{self.dns_domain}")]
        self.assert_whole(self.read(self.source(start_tls=False)))
        self.assertIn(b"GSSAPI", recorder.bytes)
        for clear in (b"proxyAddresses", b"@example", b"objectGUID"):
            self.assertNotIn(clear, recorder.bytes)

    def test_inside_tls(self):
        for server in (f"ldap://{self.host}", f"ldaps://{self.host}"):
            with self.subTest(server):
                self.assert_whole(self.read(self.source(server)))

    def test_servers_from_the_domain(self):
        answer = self.read(self.source(domain=self.dns_domain))
        self.assert_whole(answer)
        self.assertEqual(answer.fields["server"], f"ldap://{self.host}:389")

    def test_wrong_key(self):
        wrong = write_keytab(FOLDER / "wrong-keytab", self.principal, "not-the-password")
        self.assert_failed(self.read(self.source(keytab=wrong)), "credentials",
                           "the key in the keytab is not that of", self.principal)

    def test_unknown_principal(self):
        nobody = f"nobody@{self.realm}"
        keytab = write_keytab(FOLDER / "nobody-keytab", nobody, "x")
        self.assert_failed(self.read(self.source(principal=nobody, keytab=keytab)), "credentials",
                           f"the KDC knows no {nobody}")

    def test_unknown_service(self):
        self.assert_failed(self.read(self.source(f"ldap://alias.{self.dns_domain}", start_tls=False)),
                           "not_found", f"no service ldap/alias.{self.dns_domain}", "setspn")

    def test_unknown_realm(self):
        principal = "svc-reader@NOWHERE.EXAMPLE.COM"
        keytab = write_keytab(FOLDER / "nowhere-keytab", principal, "x")
        self.assert_failed(self.read(self.source(principal=principal, keytab=keytab)), "unreachable",
                           "where a KDC of NOWHERE.EXAMPLE.COM is")

    def test_disabled_account(self):
        dn = f"CN=svc-reader,CN=Users,{self.domain.base}"
        change = f"dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: "
        self.domain.modify(f"{change}66050\n")
        try:
            self.assert_failed(self.read(self.source()), "credentials", "disabled or locked")
        finally:
            self.domain.modify(f"{change}66048\n")

    def test_keytab_is_checked(self):
        other = write_keytab(FOLDER / "other-keytab", f"other@{self.realm}", "x")
        text = FOLDER / "no-keytab"
        text.touch(0o600)
        text.write_text("hello\n")
        open_to_all = FOLDER / "open-keytab"
        shutil.copy(self.keytab, open_to_all)
        open_to_all.chmod(0o644)
        for keytab, words in ((other, f"no key for {self.principal}, but for other@{self.realm}"),
                              (text, "is no keytab"), (open_to_all, "chmod"),
                              (FOLDER / "missing-keytab", "missing-keytab")):
            with self.subTest(keytab):
                process = self.start(self.source(keytab=keytab), check=True)
                output, _ = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 1, output)
                self.assertIn("bind.keytab", output)
                self.assertIn(words, output)
        process = self.start(self.source(), check=True)
        output, _ = process.communicate(timeout=60)
        self.assertEqual((process.returncode, output), (0, ""))

    def silent_kdc(self):
        """The KDC of the realm is an address where packets vanish."""
        address = "127.0.12.1"
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.create_server((address, 0), backlog=64)
        self.addCleanup(udp.close)
        self.addCleanup(tcp.close)
        port = tcp.getsockname()[1]
        udp.bind((address, port))
        NAMES.names[f"kdc.{self.dns_domain}"] = address
        for kind in ("udp", "tcp"):
            NAMES.services[f"_kerberos._{kind}.{self.dns_domain}"] = [
                (0, 100, port, f"kdc.{self.dns_domain}")]
        return udp

    def test_silent_kdc_meets_the_deadline(self):
        self.silent_kdc()
        answer = self.read(self.source(connect_timeout="2s"))
        self.assert_failed(answer, "timeout", f"no answer from a KDC of {self.realm}")
        self.assertGreater(answer.wall, 1.5)
        self.assertLess(answer.wall, 8)

    def test_silent_kdc_meets_a_stop(self):
        self.silent_kdc()
        answer = self.read(self.source(connect_timeout="1h"), cancel_after=300)
        self.assertEqual(answer.code, "cancelled", answer.output)


class ClientCertificate(SourceTest):
    @classmethod
    def setUpClass(cls):
        NAMES.silent = False
        cls.folder = FOLDER / "slapd"
        subject = "cn=reader.dir.test"
        cls.directory = Slapd(
            cls.folder, settings=f"TLSVerifyClient try\n"
            f"authz-regexp \"^{subject}$\" \"{Slapd.reader_dn}\"\n"
            f'access to * by dn.exact="{Slapd.reader_dn}" read by anonymous auth by * none'
        ).start(objects=100)
        cls.authority = Authority(cls.folder / "tls")
        cls.addClassCleanup(cls.directory.stop)
        cls.pair = cls.issue("client", "reader.dir.test")

    @classmethod
    def issue(cls, name, subject, authority=None, **more):
        pair = (authority or cls.authority).issue(name, [subject], client=True, **more)
        pair.key.chmod(0o600)
        return pair

    def source(self, *servers, pair=None, **more):
        certificate, key = pair or self.pair
        return {"type": "ldap", "servers": list(servers or [self.directory.ldaps_uri]),
                "ca_file": self.directory.ca_file, "bases": [self.directory.suffix],
                "filter": "(|(proxyAddresses=*)(mail=*))",
                "bind": {"method": "external", "cert_file": str(certificate), "key_file": str(key)},
                **more}

    def test_over_ldaps_and_start_tls(self):
        for server in (self.directory.ldaps_uri, self.directory.uri):
            with self.subTest(server):
                answer = self.read(self.source(server))
                self.assertTrue(answer.complete, answer.output)
                self.assertEqual(int(answer.fields["objects"]), 100)

    def test_certificate_of_another_authority(self):
        pair = self.issue("stranger", "reader.dir.test", Authority(FOLDER / "other-ca", "Other CA"))
        answer = self.read(self.source(pair=pair))
        self.assertFalse(answer.complete)
        self.assertIn("bind.cert_file", answer.message)

    def test_server_that_asks_for_no_certificate(self):
        with Slapd(FOLDER / "plain").start() as plain:
            answer = self.read(self.source(plain.ldaps_uri, ca_file=plain.ca_file))
        self.assert_failed(answer, "remote", "the server saw no certificate of ours")

    def test_pair_is_checked(self):
        other = self.issue("other", "other.dir.test")
        expired = self.issue("expired", "reader.dir.test", expired=True)
        open_to_all = FOLDER / "open.key"
        shutil.copy(self.pair.key, open_to_all)
        open_to_all.chmod(0o640)
        for pair, words in (((self.pair.certificate, other.key), "is not the key of the certificate"),
                            (expired, "expired on"),
                            ((self.pair.certificate, open_to_all), "chmod"),
                            ((self.pair.key, self.pair.key), "holds no certificate"),
                            ((self.pair.certificate, "/dev/null"), "bind.key_file")):
            with self.subTest(words):
                process = self.start(self.source(pair=pair), check=True)
                output, _ = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 1, output)
                self.assertIn(words, output)
                answer = self.read(self.source(pair=pair))
                self.assertFalse(answer.complete)
                self.assertIn(words, answer.message)


class ServersFromTheDns(SourceTest):
    DOMAIN = "dir.test"

    @classmethod
    def setUpClass(cls):
        cls.directory = Slapd(FOLDER / "dns", names=["one.dir.test", "two.dir.test", "localhost",
                                                     "127.0.0.1"]).start(objects=50)
        cls.addClassCleanup(cls.directory.stop)

    def setUp(self):
        NAMES.names = {f"{host}.{self.DOMAIN}": "127.0.0.1" for host in ("one", "two")}
        NAMES.names["elsewhere.test"] = "127.0.0.1"
        NAMES.services = {}
        NAMES.silent = False
        NAMES.asked.clear()

    def records(self, *records):
        NAMES.services[f"_ldap._tcp.{self.DOMAIN}"] = list(records)

    def source(self, **more):
        where = {} if "servers" in more else {"domain": self.DOMAIN}
        return {"type": "ldap", **where, "ca_file": self.directory.ca_file,
                "bases": [self.directory.suffix], "filter": "(|(proxyAddresses=*)(mail=*))",
                "bind": {"method": "simple", "user": self.directory.reader_dn,
                         "password_file": self.directory.password_file}, **more}

    def assert_read_from(self, answer, host, port):
        self.assertTrue(answer.complete, answer.output)
        self.assertEqual(answer.fields["server"], f"ldap://{host}.{self.DOMAIN}:{port}")
        self.assertEqual(int(answer.fields["objects"]), 50)

    def test_priority_decides_and_a_dead_server_is_passed_over(self):
        dead = claim_port()
        self.records((20, 0, self.directory.port, f"two.{self.DOMAIN}"),
                     (10, 0, dead, f"one.{self.DOMAIN}"))
        answer = self.read(self.source())
        self.assert_read_from(answer, "two", self.directory.port)
        self.assertIn(f"one.{self.DOMAIN}:{dead}", answer.warnings[0])

        self.records((10, 0, self.directory.port, f"one.{self.DOMAIN}"), (20, 0, dead, f"two.{self.DOMAIN}"))
        answer = self.read(self.source())
        self.assert_read_from(answer, "one", self.directory.port)
        self.assertEqual(answer.warnings, [])

    def test_last_server_is_preferred(self):
        self.records((10, 0, self.directory.port, f"one.{self.DOMAIN}"),
                     (20, 0, self.directory.port, f"two.{self.DOMAIN}"))
        preferred = f"ldap://two.{self.DOMAIN}:{self.directory.port}"
        self.assert_read_from(self.read(self.source(), preferred=preferred), "two", self.directory.port)

    def test_no_record(self):
        self.assert_failed(self.read(self.source()), "not_found", f"_ldap._tcp.{self.DOMAIN}")
        NAMES.services[f"_ldap._tcp.{self.DOMAIN}"] = []
        self.assert_failed(self.read(self.source()), "not_found", f"_ldap._tcp.{self.DOMAIN}")

    def test_not_offered(self):
        self.records((0, 0, 0, "."))
        self.assert_failed(self.read(self.source()), "not_found", "offers no LDAP")

    def test_name_outside_the_domain(self):
        self.records((0, 0, self.directory.port, "elsewhere.test"))
        self.assert_failed(self.read(self.source()), "untrusted", "elsewhere.test", "does not lie within")
        self.records((0, 0, self.directory.port, "elsewhere.test"),
                     (10, 0, self.directory.port, f"one.{self.DOMAIN}"))
        answer = self.read(self.source())
        self.assert_read_from(answer, "one", self.directory.port)
        self.assertIn("elsewhere.test", answer.warnings[0])

    def test_certificate_has_to_be_for_the_target(self):
        NAMES.names[f"three.{self.DOMAIN}"] = "127.0.0.1"
        self.records((0, 0, self.directory.port, f"three.{self.DOMAIN}"))
        self.assert_failed(self.read(self.source()), "untrusted", f"not for three.{self.DOMAIN}")

    def test_silent_name_server(self):
        NAMES.silent = True
        answer = self.read(self.source(connect_timeout="2s"))
        self.assert_failed(answer, "timeout", "no name server answers")
        self.assertLess(answer.wall, 8)
        answer = self.read(self.source(connect_timeout="1h"), cancel_after=300)
        self.assertEqual(answer.code, "cancelled", answer.output)

    def test_refused_account_is_not_tried_elsewhere(self):
        password = FOLDER / "wrong-password"
        password.touch(0o600)
        password.write_text("wrong\n")
        bind = {"method": "simple", "user": self.directory.reader_dn, "password_file": str(password)}
        with Gate(self.directory.port) as first, Gate(self.directory.port) as second:
            asked = []
            first.after(1, lambda: asked.append("first"))
            second.after(1, lambda: asked.append("second"))
            servers = [f"ldap://127.0.0.1:{gate.port}" for gate in (first, second)]
            answer = self.read(self.source(servers=servers, bind=bind))
            self.assert_failed(answer, "credentials", "wrong user name or password", servers[0])
            self.assertEqual(asked, ["first"])
            self.assertNotIn(servers[1], answer.message)


if __name__ == "__main__":
    unittest.main()
