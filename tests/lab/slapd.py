"""slapd: an OpenLDAP server of one's own on loopback, with an AD-like schema and made-up entries.

    with Slapd(folder).start(objects=1000) as directory:
        directory.uri, directory.ldaps_uri, directory.ca_file
        directory.reader_dn, directory.reader_password     # may read everything, without limits
        directory.modify("dn: …\\nchangetype: modify\\n…")

It runs in the foreground as a child of the caller; a second start() keeps database and ports.

    Slapd(other, provider=directory).start()                # a replica, which begins empty
"""

import shutil
import subprocess
import time
from pathlib import Path

import make_ldif
from addresses import claim_port
from certificates import Authority
from ldap_server import LdapServer
from processes import accepts, spawn, wait_ready

HERE = Path(__file__).resolve().parent


class Slapd(LdapServer):
    suffix = make_ldif.SUFFIX
    admin_dn, admin_password = f"cn=admin,{suffix}", "admin-secret"
    reader_dn, reader_password = f"cn=reader,{suffix}", "reader-secret"

    def __init__(self, folder, host="127.0.0.1", settings="", names=None, expired=False,
                 session_log=10000, syncprov=True, server_id=0, provider=None):
        """`settings`: more lines for the database part of slapd.conf. `names`, `expired`: what
        stands in the server's certificate; the right names by default. `session_log`: how many
        changes the overlay syncprov remembers; 0: none, so it tells what is left, not what is
        gone. `provider`: another Slapd, whose content this one replicates while `replicating`."""
        self.folder = Path(folder)
        self.host = host
        self.settings = settings
        self.session_log, self.syncprov, self.server_id = session_log, syncprov, server_id
        self.provider, self.replicating = provider, True
        self.port, self.ldaps_port = claim_port(host), claim_port(host)
        self.uri = f"ldap://{host}:{self.port}"
        self.ldaps_uri = f"ldaps://{host}:{self.ldaps_port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = Authority(self.folder / "tls")
        self.ca_file = str(authority.certificate)
        self._pair = authority.issue("server", names or ["localhost", host], expired)
        self.password_file = str(self.folder / "reader-password")
        Path(self.password_file).touch(0o600)
        Path(self.password_file).write_text(self.reader_password + "\n")

    def start(self, objects=0, ldif="", seed=1):
        """Fills the database the first time (`objects` made-up entries, then `ldif`), starts the
        server, returns when it answers."""
        database = self.folder / "db"
        self._configure(database)
        if not (database / "data.mdb").exists():
            database.mkdir(exist_ok=True)
            if not self.provider:
                self._fill(objects, ldif, seed)
        log = self.folder / "log"
        self.process = spawn([_slapd(), "-h", f"{self.uri} {self.ldaps_uri}",
                              "-f", self.folder / "slapd.conf", "-d", "0"], log)
        wait_ready(self.process, lambda: accepts(self.host, self.ldaps_port), "slapd", log)
        return self

    def make_anew(self, objects=0, ldif="", seed=1):
        """Another database with the same content, as after a disaster without a backup."""
        self.stop()
        shutil.rmtree(self.folder / "db")
        return self.start(objects, ldif, seed)

    def context_csns(self):
        """How far the database has come: the values of contextCSN."""
        found = self._tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-s", "base",
                           "-b", self.suffix, "contextCSN").stdout
        return sorted(line.split(": ")[1] for line in found.splitlines()
                      if line.startswith("contextCSN: "))

    def wait_replicated(self, timeout=60):
        """Waits until this replica has all that its provider has."""
        deadline = time.monotonic() + timeout
        while self.context_csns() != self.provider.context_csns():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not replicated: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def _administrator(self):
        return self.uri, self.admin_dn, self.admin_password, None

    def _configure(self, database):
        schemas = "\n".join(f"include /etc/ldap/schema/{name}.schema"
                            for name in ("core", "cosine", "inetorgperson"))
        (self.folder / "slapd.conf").write_text(f"""\
{schemas}
include {HERE}/adlike.schema
pidfile {self.folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb.la
moduleload syncprov.la
sizelimit unlimited
timelimit unlimited
threads 4
TLSCACertificateFile {self.ca_file}
TLSCertificateFile {self._pair.certificate}
TLSCertificateKeyFile {self._pair.key}
{f"serverID {self.server_id}" if self.server_id else ""}
database mdb
suffix "{self.suffix}"
rootdn "{self.admin_dn}"
rootpw {self.admin_password}
directory {database}
maxsize 17179869184
dbnosync
index objectClass eq
index entryCSN,entryUUID eq
index mailNickname,proxyAddresses pres
{self._replication()}
{self.settings}
{"overlay syncprov" if self.syncprov else ""}
{f"syncprov-sessionlog {self.session_log}" if self.syncprov and self.session_log else ""}
""")

    def _replication(self):
        if not self.provider or not self.replicating:
            return ""
        return (f'syncrepl rid=001 provider={self.provider.uri} type=refreshAndPersist '
                f'retry="1 +" searchbase="{self.suffix}" bindmethod=simple '
                f'binddn="{self.admin_dn}" credentials={self.admin_password}\n'
                f'updateref {self.provider.uri}')

    def _fill(self, objects, ldif, seed):
        path = self.folder / "data.ldif"
        with open(path, "w", encoding="utf-8") as stream:
            make_ldif.write(stream, objects, seed)
            stream.write(f"dn: {self.reader_dn}\nobjectClass: organizationalRole\n"
                         "objectClass: simpleSecurityObject\ncn: reader\n"
                         f"userPassword: {self.reader_password}\n\n{ldif}\n")
        loaded = subprocess.run([_slapd("slapadd"), "-q", "-w", "-f", self.folder / "slapd.conf",
                                 "-l", path], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, check=False)
        if loaded.returncode != 0:
            shutil.rmtree(self.folder / "db")
            raise RuntimeError(f"slapadd: {loaded.stderr}")
        path.unlink()


def _slapd(name="slapd"):
    return shutil.which(name) or f"/usr/sbin/{name}"
