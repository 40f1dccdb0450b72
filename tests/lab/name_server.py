"""name_server: a name server of one's own that knows a handful of IPv4 addresses and services.

    with NameServer({"dc1.lab.test": "127.0.0.1"}, port=53):
        …
    server = NameServer({…}, host=claim_name_server(), port=53,
                        services={"_ldap._tcp.lab.test": [(0, 100, 389, "dc1.lab.test")]})
    ask_only(server, folder)        # for this process and its children from now on

It answers in a thread of the caller, on the loopback of the network that it was made in. Names it
does not know do not exist (NXDOMAIN). `names` and `services` may be changed while it runs, and with
`silent` set it says nothing.
"""

import ctypes
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from addresses import claim_address

A, SRV, IN = 1, 33, 1


def claim_name_server():
    """An address for a name server, which always has port 53."""
    return claim_address("127.0.53", 53, socket.SOCK_DGRAM)


class NameServer:
    def __init__(self, names, port=0, host="127.0.0.1", services=None):
        """`services`: lists of (priority, weight, port, target)."""
        self.names = {name.lower(): address for name, address in names.items()}
        self.services = {name.lower(): records for name, records in (services or {}).items()}
        self.silent = False
        self.asked = []  # names, in order
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            question, peer = self._socket.recvfrom(4096)
            if not question:
                return
            answer = self._answer(question)
            if not self.silent:
                self._socket.sendto(answer, peer)

    def _answer(self, question):
        """RFC 1035 §4.1: header, the question again, the records of the wanted kind."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("ascii", "replace"))
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind, _ = struct.unpack("!HH", question[at + 1:at + 5])
        asked = question[12:at + 5]
        self.asked.append(name)
        answers = []
        if kind == A and name in self.names:
            answers = [socket.inet_aton(self.names[name])]
        if kind == SRV:
            answers = [struct.pack("!HHH", *record[:3]) + _name(record[3])
                       for record in self.services.get(name, ())]
        no_such_name = 0 if name in self.names or name in self.services else 3
        header = question[:2] + struct.pack("!HHHHH", 0x8580 | no_such_name, 1, len(answers), 0, 0)
        records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, IN, 60, len(data)) + data
                           for data in answers)
        return header + asked + records

    def close(self):
        # An empty datagram from itself is the sign to stop.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _name(text):
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def ask_only(server, folder):
    """This process and its children see the file system with a resolv.conf that names `server`, which
    has port 53. Needs root; nobody else notices."""
    new_mount_namespace = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(new_mount_namespace) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    settings = Path(folder) / "resolv.conf"
    settings.write_text(f"nameserver {server.host}\noptions timeout:1 attempts:2\n")
    present = os.path.realpath("/etc/resolv.conf")
    Path(present).parent.mkdir(parents=True, exist_ok=True)
    Path(present).touch()
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", settings, present], check=True)
