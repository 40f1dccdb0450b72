"""sshd: an OpenSSH server of one's own on loopback, with its own keys and a client's.

    with Sshd(folder).start() as server:
        server.port, server.known_hosts, server.key("ed25519")

It runs in the foreground as a child of the caller, as root, and takes public keys only. With `user`
(see Account) the client's keys are that account's; by default they are root's. A second start()
keeps port and keys.
"""

import itertools
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

from addresses import claim_port
from processes import accepts, end, spawn, wait_ready

KEY_TYPES = ("ed25519", "ecdsa", "rsa")


class Account:
    """An account without privileges that exists as long as this object is open.

    `UsePAM no` makes sshd refuse accounts that useradd has just made, because their password is
    locked (`!`); `*` means that there is none.
    """

    _numbers = itertools.count()

    def __init__(self, shell="/bin/sh"):
        self.name = f"rcpt-{os.getpid()}-{next(self._numbers)}"
        self._change("useradd", "--create-home", "--shell", shell, self.name)
        self._change("usermod", "-p", "*", self.name)
        entry = pwd.getpwnam(self.name)
        self.uid, self.gid, self.home = entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)

    def own(self, *paths):
        for path in paths:
            os.chown(path, self.uid, self.gid)

    def close(self):
        self._change("userdel", "--force", "--remove", self.name)

    @staticmethod
    def _change(*command):
        """Runs one of the shadow tools; 1 and 10 mean that another one has the files locked."""
        for _ in range(100):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (1, 10):
                break
            time.sleep(0.1)
        if done.returncode not in (0, 12):  # 12: it had no mail folder
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sshd:
    def __init__(self, folder, host="127.0.0.1", settings="", host_keys=KEY_TYPES, user="root",
                 command=None):
        """`settings`: lines for sshd_config, before all others, so they win. `host_keys`: types
        that the server has. `command`: words to start sshd with, for example unshare."""
        self.folder = Path(folder)
        self.host, self.port = host, claim_port(host)
        self.settings, self.host_key_types, self.user = settings, host_keys, user
        self.command = list(command or [])
        self.process = None
        self.known_hosts = str(self.folder / "known_hosts")
        self.folder.mkdir(parents=True, exist_ok=True)
        for kind in KEY_TYPES:
            self._make_key(self.folder / f"host_{kind}", kind)
            self._make_key(self.folder / f"id_{kind}", kind)
        self.authorize(*KEY_TYPES)
        self.know(*host_keys)

    @staticmethod
    def _make_key(file, kind):
        if not file.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "lab", "-f", file],
                           check=True, stdin=subprocess.DEVNULL)

    def key(self, kind="ed25519"):
        """File of a private key that the server takes."""
        return str(self.folder / f"id_{kind}")

    def host_key(self, kind="ed25519"):
        """`ssh-ed25519 AAAA…`"""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def fingerprint(self, kind="ed25519"):
        """`SHA256:…`"""
        return subprocess.run(["ssh-keygen", "-lf", self.folder / f"host_{kind}.pub"], check=True,
                              capture_output=True, text=True).stdout.split()[1]

    def know(self, *kinds):
        """Makes known_hosts list these host keys and no others."""
        Path(self.known_hosts).write_text("".join(
            f"[{self.host}]:{self.port} {self.host_key(kind)}\n" for kind in kinds))

    def authorize(self, *kinds, options=""):
        """Makes the server take these keys and no others."""
        file = self.folder / "authorized_keys"
        file.write_text("".join(
            f"{options} {(self.folder / f'id_{kind}.pub').read_text()}".lstrip() for kind in kinds))
        file.chmod(0o644)

    def start(self):
        """Returns when it answers."""
        os.makedirs("/run/sshd", exist_ok=True)
        config = self.folder / "sshd_config"
        host_keys = "".join(f"HostKey {self.folder}/host_{kind}\n" for kind in self.host_key_types)
        config.write_text(f"""{self.settings}
ListenAddress {self.host}
Port {self.port}
{host_keys}PidFile none
AuthorizedKeysFile {self.folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
UseDNS no
MaxStartups 200
LogLevel VERBOSE
""")
        log = self.folder / "log"
        self.process = spawn([*self.command, "/usr/sbin/sshd", "-D", "-e", "-f", config], log)
        wait_ready(self.process, lambda: accepts(self.host, self.port), "sshd", log)
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def target(self, **more):
        """What push-once needs to reach this server, with `more` keys."""
        return {"host": self.host, "port": self.port, "user": self.user,
                "known_hosts": self.known_hosts, "key_file": [self.key()], **more}

    def sessions(self):
        """Process ids of the processes that serve connections."""
        return _children(self.process.pid)

    def pause(self):
        """SIGSTOP: connections are still taken by the kernel, nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """Ends the server and every connection with all that it runs."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGCONT)
        below = list(_descendants(process.pid))  # each connection has a session of its own
        end(process)
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _children(pid):
    try:
        return [int(child) for child in
                Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _descendants(pid):
    for child in _children(pid):
        yield child
        yield from _descendants(child)
