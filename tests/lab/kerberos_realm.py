"""kerberos_realm: a Kerberos realm of one's own, with as many KDCs (MIT krb5kdc) as are started.

    realm = KerberosRealm(folder)
    first, second = realm.start_kdc(), realm.start_kdc()
    keytab = realm.add("reader", folder / "reader.keytab", life="6 seconds")
    realm.use(first, second)            # the krb5.conf of every process that is started from now on
    first.requests("AS_REQ")            # how many tickets of that kind it gave or refused

The KDCs share one database. Clocks may differ by a second, not by five minutes, so that a ticket
that has expired is of no use any more.
"""

import os
import signal
import subprocess
from pathlib import Path

from addresses import claim_port
from processes import accepts, end, spawn, wait_ready

REALM = "KDC.TEST"


class Kdc:
    def __init__(self, folder, profile):
        self.log, self.port = folder / "kdc.log", claim_port()
        folder.mkdir()
        self._profile = profile
        self._settings = folder / "kdc.conf"
        self._settings.write_text(profile + f"""
[kdcdefaults]
  kdc_listen = 127.0.0.1:{self.port}
  kdc_tcp_listen = 127.0.0.1:{self.port}
[logging]
  kdc = FILE:{self.log}
""")
        self._output = folder / "output"
        self.start()

    def start(self):
        self.process = spawn(["/usr/sbin/krb5kdc", "-n"], self._output,
                             env={**os.environ, "KRB5_KDC_PROFILE": str(self._settings),
                                  "KRB5_CONFIG": os.devnull})
        wait_ready(self.process, lambda: accepts("127.0.0.1", self.port), "krb5kdc", self._output)

    def stop(self):
        if self.process:
            end(self.process, signal.SIGKILL)
        self.process = None

    def requests(self, kind):
        """AS_REQ: log-ins; TGS_REQ: tickets for a service. A log-in is two requests, of which the
        first is told that more is needed, and is not counted."""
        text = self.log.read_text() if self.log.exists() else ""
        return sum(kind in line and "NEEDED_PREAUTH" not in line for line in text.splitlines())


class KerberosRealm:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self._profile = f"""\
[libdefaults]
  default_realm = {REALM}
  clockskew = 1
  dns_lookup_kdc = false
  dns_lookup_realm = false
[realms]
  {REALM} = {{
    database_name = {self.folder}/principal
    key_stash_file = {self.folder}/stash
    acl_file = {self.folder}/acl
    max_life = 1d
    supported_enctypes = aes256-cts-hmac-sha1-96:normal
  }}
"""
        self._settings = self.folder / "admin.conf"
        self._settings.write_text(self._profile)
        self.kdcs = []
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master-secret")

    def start_kdc(self):
        self.kdcs.append(Kdc(self.folder / f"kdc{len(self.kdcs)}", self._profile))
        return self.kdcs[-1]

    def stop(self):
        for kdc in self.kdcs:
            kdc.stop()

    def add(self, name, keytab, life="1 day"):
        """A principal with a key that only the keytab knows; the principal's name."""
        self._admin(f"addprinc -randkey +requires_preauth -maxlife \"{life}\" {name}")
        self.export(name, keytab)
        return f"{name}@{REALM}"

    def export(self, name, keytab):
        """Gives it a new key and puts that into the keytab, whose old content goes."""
        new = Path(f"{keytab}.new")
        self._admin(f"ktadd -k {new} {name}")
        new.chmod(0o600)
        new.rename(keytab)

    def new_key(self, name):
        """Gives it a new key that nobody knows."""
        self._admin(f"cpw -randkey {name}")

    def use(self, *kdcs):
        """`kdcs`: Kdc or HOST:PORT, in the order in which they are asked."""
        path = self.folder / f"krb5-{len(list(self.folder.iterdir()))}.conf"
        lines = "".join(f"    kdc = {kdc if isinstance(kdc, str) else f'127.0.0.1:{kdc.port}'}\n"
                        for kdc in kdcs)
        path.write_text(f"""\
[libdefaults]
  default_realm = {REALM}
  clockskew = 1
  dns_lookup_kdc = false
  dns_lookup_realm = false
[realms]
  {REALM} = {{
{lines}  }}
[domain_realm]
  localhost = {REALM}
""")
        os.environ["KRB5_CONFIG"] = str(path)

    def _admin(self, query):
        self._run("kadmin.local", "-r", REALM, "-q", query)

    def _run(self, program, *arguments):
        done = subprocess.run([f"/usr/sbin/{program}", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "KRB5_KDC_PROFILE": str(self._settings),
                                   "KRB5_CONFIG": str(self._settings)})
        if done.returncode != 0 or "while" in done.stderr:
            raise RuntimeError(f"{program} {arguments}: {done.stdout}{done.stderr}")
