"""name_server: a name server of one's own that knows a handful of IPv4 addresses.

    with NameServer({"dc1.lab.test": "127.0.0.1"}, port=53):
        …

It answers in a thread of the caller, on the loopback of the network that it was made in. Names it
does not know do not exist (NXDOMAIN).
"""

import socket
import struct
import threading

A, IN = 1, 1


class NameServer:
    def __init__(self, names, port=0, host="127.0.0.1"):
        self.names = {name.lower(): address for name, address in names.items()}
        self.asked = []  # names, in order
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            question, peer = self._socket.recvfrom(4096)
            if not question:
                return
            self._socket.sendto(self._answer(question), peer)

    def _answer(self, question):
        """RFC 1035 §4.1: header, the question again, at most one address."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("ascii", "replace"))
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind, _ = struct.unpack("!HH", question[at + 1:at + 5])
        asked = question[12:at + 5]
        self.asked.append(name)
        address = self.names.get(name)
        no_such_name = 0 if address else 3
        answers = 1 if address and kind == A else 0
        header = question[:2] + struct.pack("!HHHHH", 0x8580 | no_such_name, 1, answers, 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, A, IN, 60, 4) + socket.inet_aton(address or "0.0.0.0")
        return header + asked + (record if answers else b"")

    def close(self):
        # An empty datagram from itself is the sign to stop.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
