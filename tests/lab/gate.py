"""gate: a TCP relay on loopback that does something in the middle of a transfer.

    with Gate(server.port) as gate:
        gate.port                                   # connect here instead
        gate.after(20000, server.kill)              # when so many bytes came back from the server
        gate.wait_open()                            # until somebody is connected
    gate.received                               # bytes that came from the server so far
    gate.accepted                               # when each client connected, as time.monotonic()
"""

import socket
import threading
import time


class Gate:
    def __init__(self, upstream, host="127.0.0.1"):
        self._upstream = (host, upstream)
        self._lock = threading.Lock()
        self._left, self._action = None, None
        self._sockets, self.open, self.received = set(), 0, 0
        self.accepted = []
        self.done = threading.Event()       # the action of after() has happened
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def after(self, count, action):
        """Calls `action` once, when `count` more bytes have come from the server."""
        with self._lock:
            self._left, self._action = count, action
            self.done.clear()

    def wait_open(self, seconds=30):
        self._wait(lambda: self.open > 0, seconds, "nobody connects")

    def wait_closed(self, seconds=60):
        self._wait(lambda: self.open == 0, seconds, "the connection stays open")

    def wait_accepted(self, count, seconds=60):
        """Until so many clients have connected; when the last of them did, as time.monotonic()."""
        self._wait(lambda: len(self.accepted) >= count, seconds, "nobody connects again")
        return self.accepted[count - 1]

    def wait_quiet(self, silence=0.2, seconds=60):
        """Until no byte came from the server for so many seconds; the bytes so far."""
        deadline = time.monotonic() + seconds
        while True:
            before = self.received
            time.sleep(silence)
            if self.received == before:
                return before
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not stop talking")

    def close(self):
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _shut(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _wait(condition, seconds, otherwise):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(otherwise)
            time.sleep(0.01)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            try:
                server = socket.create_connection(self._upstream, timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for one in (client, server):  # a relay that holds small packets back adds 40 ms to an answer
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {client, server}
                self.open += 1
            ended = threading.Barrier(2, action=lambda pair=(client, server): self._ended(*pair))
            threading.Thread(target=self._pump, args=(client, server, False, ended), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True, ended), daemon=True).start()

    def _pump(self, source, sink, counted, ended):
        try:
            while data := source.recv(4096):
                sink.sendall(data)
                if counted:
                    self._count(len(data))
        except OSError:
            pass
        _shut(source)
        _shut(sink)
        ended.wait()

    def _count(self, size):
        with self._lock:
            self.received += size
            if self._action is None:
                return
            self._left -= size
            if self._left > 0:
                return
            action, self._action = self._action, None
        action()
        self.done.set()

    def _ended(self, client, server):
        client.close()
        server.close()
        with self._lock:
            self._sockets -= {client, server}
            self.open -= 1


def _shut(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
