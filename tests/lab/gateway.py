"""gateway: a mail gateway as an administrator sets it up for mode scp.

    with Gateway(folder, "mx1", kind="lmdb") as gateway:
        gateway.install(table)      # a first table by hand, Postfix answers from it
        gateway.target()            # for the configuration
        gateway.table(), gateway.ask("a@example.com"), gateway.sessions_served()

An account without privileges that owns one folder, an sshd that lets it in, and a Postfix that takes
its relay recipients from that folder.
"""

import subprocess
from contextlib import ExitStack
from pathlib import Path

import smtp_ask
from daemon import scp_target
from postfix import Postfix
from sshd import Account, Sshd

DOMAINS = ("example.com", "example.net")


class Gateway:
    def __init__(self, folder, name, kind="lmdb", domains=DOMAINS, access=False):
        """`access`: its main.cf also asks the access table beside the recipients."""
        self.name, self.kind = name, kind
        self.folder = Path(folder) / name
        self._stack = ExitStack()
        try:
            self.account = self._stack.enter_context(Account())
            self.tables = self.folder / "tables"
            self.tables.mkdir(parents=True)
            self.account.own(self.tables)
            self.path = self.tables / "relay_recipients"
            self.access_path = self.tables / "relay_recipients_access"
            self.sshd = self._stack.enter_context(Sshd(self.folder / "ssh", user=self.account.name).start())
            self.postfix = Postfix(self.folder / "postfix", maps=f"{kind}:{self.path}", domains=domains,
                                   access=f"{kind}:{self.access_path}" if access else None,
                                   settings="maillog_file_permissions = 0644")
            self._stack.callback(self.postfix.stop)
        except BaseException:
            self._stack.close()
            raise

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def target(self, **more):
        return scp_target(self.sshd, self.name, self.path, **{"postfix_config": self.postfix.config, **more})

    def install(self, table=b"", access=None):
        """Puts tables there as an administrator would by hand; the indexes too."""
        for path, content in ((self.path, table), (self.access_path, access)):
            if content is None:
                continue
            path.write_bytes(content)
            subprocess.run(["postmap", "-c", self.postfix.config, f"{self.kind}:{path}"], check=True)
            self.account.own(path, *self.tables.glob(f"{path.name}.*"))

    def clear(self):
        """No tables, as on the first day. Postfix answers 451 then until it is reloaded."""
        for file in self.tables.iterdir():
            file.unlink()

    def table(self):
        return self.path.read_bytes()

    def access_table(self):
        return self.access_path.read_bytes()

    def ask(self, address):
        """The code for RCPT TO on a connection of its own."""
        return self.postfix.ask(address)

    def answer(self, address):
        """(code, text)"""
        with smtp_ask.Session(self.postfix.port) as session:
            return session.answer(address)

    def sessions_served(self):
        """How many SSH connections there have been."""
        return self.sshd.log().count("Connection from")
