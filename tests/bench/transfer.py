"""transfer: a table on its way to an sshd, by rcptsync and by scp."""

import hashlib
import json
import os
import shlex
from pathlib import Path

# What push-once and this sshd agree on with libssh2 1.10, and the scp beside it is told to use.
CIPHER, MAC = "aes128-ctr", "hmac-sha2-256"


def write_table(path, size):
    """A sorted list of addresses of about `size` bytes; returns its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "wb") as stream:
        number = 0
        while stream.tell() < size:
            lines = b"".join(b"given.family%09d@example.com\n" % at for at in range(number, number + 10000))
            number += 10000
            stream.write(lines)
            digest.update(lines)
    return digest.hexdigest()


class Transfer:
    """One table, one server, one folder over there. Every command ends with the table in `path`."""

    def __init__(self, folder, programs, server, size):
        self.folder, self.server = Path(folder), server
        self.folder.mkdir(parents=True)
        self.table, self.path = self.folder / "table", self.folder / "there" / "recipients"
        self.path.parent.mkdir()
        self.digest = write_table(self.table, size)
        self._push_once = str(Path(programs) / "push-once")

    def clear(self):
        """No file of an earlier run is overwritten, which would cost differently."""
        for file in self.path.parent.iterdir():
            file.unlink()
        os.sync()

    def check(self):
        with open(self.path, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != self.digest:
                raise RuntimeError(f"{self.path} is not what was sent")

    def send(self):
        """Connect, log in, SCP, acknowledgement: what scp does."""
        return [self._push_once, "--only-send", str(self.table), self._target()]

    def push(self):
        """A whole push: look at the target, SCP to a new name, then lock, digest, fsync, rename, digest."""
        return [self._push_once, str(self.table), self._target()]

    def scp(self, *options):
        return ["scp", "-q", *self._client("-P"), *options, str(self.table), self._place(self.path)]

    def scp_and_check(self):
        """The least that leaves a target as safe: scp to a new name, then digest, fsync and rename."""
        new = f"{self.path}.new"
        copy = ["scp", "-O", "-q", *self._client("-P"), *same_cipher(), str(self.table), self._place(new)]
        finish = ["ssh", *self._client("-p"), *same_cipher(), f"{self.server.user}@{self.server.host}",
                  f"echo '{self.digest}  {new}' | sha256sum --check --status && sync {new} && "
                  f"mv {new} {self.path} && sync {self.path.parent}"]
        return ["sh", "-c", f"{shlex.join(copy)} && {shlex.join(finish)}"]

    def _target(self):
        return json.dumps(self.server.target(path=str(self.path), format="list"))

    def _client(self, port_option):
        return ["-F", "none", port_option, str(self.server.port), "-i", self.server.key(),
                "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={self.server.known_hosts}",
                "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "Compression=no"]

    def _place(self, path):
        return f"{self.server.user}@{self.server.host}:{path}"


def same_cipher():
    return ["-o", f"Ciphers={CIPHER}", "-o", f"MACs={MAC}"]
