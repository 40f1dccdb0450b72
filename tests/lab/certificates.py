"""certificates: a small certificate authority for servers on loopback.

    authority = Authority(folder)
    server = authority.issue("server", names=["localhost", "127.0.0.1"])
    server.certificate, server.key      # PEM files
    authority.certificate               # what a client has to trust
"""

import ipaddress
import subprocess
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    certificate: Path
    key: Path


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Authority:
    """Makes its own key in `folder` the first time; afterwards takes what is there."""

    def __init__(self, folder, name="Laboratory CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.pem"
        self._key = self.folder / "ca.key"
        if not self.certificate.exists():
            _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-days", "3650", "-subj", f"/CN={name}",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                     "-keyout", self._key, "-out", self.certificate)

    def issue(self, name, names, expired=False, client=False):
        """A certificate for host names and addresses; for a server, or a client. `name` names the
        files."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        if pair.certificate.exists():
            return pair
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        alternatives = ",".join(("IP:" if _is_address(n) else "DNS:") + n for n in names)
        extensions.write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n"
                              f"extendedKeyUsage={'client' if client else 'server'}Auth\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={names[0]}", "-keyout", pair.key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                 "-CAcreateserial", "-days", "-1" if expired else "3650", "-extfile", extensions,
                 "-out", pair.certificate)
        return pair


def _is_address(name):
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return False
