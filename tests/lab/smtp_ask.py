"""smtp_ask: asks an SMTP server what it thinks of recipients, without sending mail.

    Session(port).rcpt("a@example.org") -> 250
    smtp_ask.py PORT ADDRESS…            prints one `CODE TEXT` line for each, on one connection

A Session stays open, so that one smtpd can be asked before and after its table was replaced.
"""

import socket
import sys


class Session:
    def __init__(self, port, host="127.0.0.1", timeout=30, smtputf8=False):
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._replies = self._socket.makefile("rb")
        self._expect(220, self._reply())
        self._expect(250, self.command("EHLO lab.example"))
        self._expect(250, self.command("MAIL FROM:<>" + " SMTPUTF8" * smtputf8))

    def command(self, line):
        """(code, text) of the reply to one command."""
        self._socket.sendall(line.encode() + b"\r\n")
        return self._reply()

    def answer(self, address):
        """(code, text) of RCPT TO."""
        return self.command(f"RCPT TO:<{address}>")

    def rcpt(self, address):
        """The code alone."""
        return self.answer(address)[0]

    def close(self):
        try:
            self.command("QUIT")
        except OSError:
            pass
        self._replies.close()
        self._socket.close()

    def _reply(self):
        text = b""
        while True:
            line = self._replies.readline(4096)
            if not line:
                raise ConnectionError("the SMTP server closed the connection")
            text += line[4:]
            if line[3:4] != b"-":
                return int(line[:3]), text.decode("utf-8", "replace").strip()

    @staticmethod
    def _expect(code, reply):
        if reply[0] != code:
            raise ConnectionError(f"the SMTP server said {reply[0]} {reply[1]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(port, address, host="127.0.0.1"):
    """The code for one recipient on a connection of its own."""
    with Session(port, host) as session:
        return session.rcpt(address)


if __name__ == "__main__":
    with Session(int(sys.argv[1])) as connection:
        for recipient in sys.argv[2:]:
            print(*connection.answer(recipient))
