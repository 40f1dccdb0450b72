"""active_directory: a Samba domain controller of one's own on loopback.

    with ActiveDirectory(folder).start(objects=3000) as domain:
        domain.ldaps_uri, domain.uri, domain.global_catalogue_uri, domain.ca_file
        domain.reader, domain.password_file        # svc-reader@lab.example.com
        domain.modify("dn: …\\nchangetype: modify\\n…")

Samba's LDAP ports are fixed, so each has an address of its own in 127.0.10.0/24. It needs root, and
a folder whose name is short: sockets with long names stand below it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from addresses import claim_address
from certificates import Authority
from ldap_server import LdapServer
from processes import spawn, wait_ready

HERE = Path(__file__).resolve().parent


class ActiveDirectory(LdapServer):
    realm, netbios, host = "LAB.EXAMPLE.COM", "LAB", "dc1"
    base = "DC=lab,DC=example,DC=com"
    reader, administrator = "svc-reader@lab.example.com", "administrator@lab.example.com"
    password = "Passw0rd.Lab1"

    def __init__(self, folder, address=None, strong_auth=True):
        """`strong_auth`: no password without encryption, as in a hardened domain; True, False or
        smb.conf's word for it."""
        self.folder = Path(folder).resolve()
        if len(str(self.folder)) > 70:
            raise ValueError(f"{self.folder} is too long for Samba's sockets")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = address or claim_address("127.0.10", 389)
        self.uri, self.ldaps_uri = f"ldap://{self.address}", f"ldaps://{self.address}"
        self.global_catalogue_uri = f"ldaps://{self.address}:3269"
        authority = Authority(self.folder / "tls")
        domain = self.realm.lower()
        self._pair = authority.issue("server", [f"{self.host}.{domain}", domain, "localhost",
                                                self.address])
        self._pair.key.chmod(0o600)
        self.ca_file = str(authority.certificate)
        self.password_file = str(self.folder / "reader-password")
        Path(self.password_file).touch(0o600)
        Path(self.password_file).write_text(self.password + "\n")
        self._strong_auth = strong_auth

    def start(self, objects=0, seed=1, values=1700):
        """Provisions the first time (some seconds, and one for a thousand objects), starts the
        controller, returns when it answers. `values`: of the one entry with many addresses."""
        for name in ("private", "state", "cache", "lock", "bind-dns", "ncalrpc", "run", "log",
                     "etc"):
            (self.folder / name).mkdir(exist_ok=True)
        self._configure()
        if not (self.folder / "provisioned").exists():
            self._offline("provision", self.folder, self.password, self.host, self.address)
            self._configure()
            self._offline("fill", self.folder, self.password, objects, seed, values)
            (self.folder / "provisioned").touch()
        log = self.folder / "log" / "stdout"
        self.process = spawn(["samba", "-F", "--no-process-group", "-l", self.folder / "log",
                              "-M", "single", "-s", self.folder / "etc" / "smb.conf"], log)
        wait_ready(self.process, self._answers, "Samba", log)
        return self

    def offline(self, command, *arguments):
        """A command of samba_directory.py on the database, while the controller does not run."""
        self._offline(command, self.folder, *arguments)

    def copy(self, folder):
        """Another controller, on an address of its own, with what this one holds now: as when the disk
        of a virtual machine is copied. This one must not run."""
        own = ("run", "ncalrpc", "log")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=lambda at, names: [
            name for name in names if (Path(at) == self.folder and name in own) or name == "server.pem"
            or (Path(at) / name).is_socket()])
        return ActiveDirectory(folder, strong_auth=self._strong_auth)

    def _configure(self):
        folder = self.folder
        strong_auth = {True: "yes", False: "no"}.get(self._strong_auth, self._strong_auth)
        (folder / "etc" / "smb.conf").write_text(f"""\
[global]
  netbios name = {self.host.upper()}
  workgroup = {self.netbios}
  realm = {self.realm}
  server role = active directory domain controller
  server services = ldap, cldap, kdc, rpc
  interfaces = {self.address}/8
  bind interfaces only = yes
  disable netbios = yes
  private dir = {folder}/private
  lock directory = {folder}/lock
  state directory = {folder}/state
  cache directory = {folder}/cache
  binddns dir = {folder}/bind-dns
  pid directory = {folder}/run
  ncalrpc dir = {folder}/ncalrpc
  log file = {folder}/log/samba.log
  logging = file
  ldap server require strong auth = {strong_auth}
  tls enabled = yes
  tls cafile = {self.ca_file}
  tls certfile = {self._pair.certificate}
  tls keyfile = {self._pair.key}
  dsdb:schema update allowed = true
  ldb:nosync = true
[sysvol]
  path = {folder}/state/sysvol
  read only = no
[netlogon]
  path = {folder}/state/sysvol/{self.realm.lower()}/scripts
  read only = no
""")

    def _offline(self, *arguments):
        done = subprocess.run([sys.executable, HERE / "samba_directory.py", *map(str, arguments)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        (self.folder / "log" / arguments[0]).write_text(done.stdout)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]}: {done.stdout[-2000:]}")

    def _administrator(self):
        return self.ldaps_uri, self.administrator, self.password, self.ca_file

    def _answers(self):
        return self._tool("ldapsearch", "-LLL", "-o", "nettimeout=2", "-s", "base",
                          "-b", self.base, "dn", stdin=subprocess.DEVNULL).returncode == 0
