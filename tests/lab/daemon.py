"""daemon: rcptsyncd as it runs for an administrator, with a configuration in a folder of its own.

    daemon = Daemon(folder, programs, sources=[…], targets=[…])
    with daemon.start():
        daemon.wait(lambda status: all(t["state"] == "current" for t in status["targets"]))
        daemon.status(), daemon.table(), daemon.lines("push-done")

The configuration is JSON, which is YAML. Sources and targets are dicts of configuration keys.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from processes import end, spawn


def ldap_source(directory, name="corp", **more):
    """The source for a slapd of slapd.py."""
    return {"name": name, "type": "ldap", "servers": [directory.ldaps_uri], "ca_file": directory.ca_file,
            "bind": {"method": "simple", "user": directory.reader_dn, "password_file": directory.password_file},
            "bases": [directory.suffix], "filter": "(|(proxyAddresses=*)(mail=*))", "read_timeout": "5s", **more}


def polled_source(directory, name="corp", **more):
    """The same for a test that says itself when the directory is read: each read is full, no doorbell rings."""
    return ldap_source(directory, name, incremental="off", **more)


def scp_target(server, name, path, **more):
    """The target for an sshd of sshd.py."""
    return {"name": name, **server.target(), "path": str(path), "timeout": "30s", **more}


class Daemon:
    def __init__(self, folder, programs, sources, targets, **sections):
        """`programs`: the folder with rcptsyncd and rcptsyncctl. `sections`: further parts of the configuration."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.programs = Path(programs)
        self.state = self.folder / "state"
        self.file = self.folder / "rcptsync.yaml"
        self.log = self.folder / "journal.log"
        self.settings = {"state_dir": str(self.state), "schedule": {"poll": "1s", "jitter": "0%"},
                         "sources": sources, "targets": targets, **sections}
        self.process = None
        self.write()

    def write(self):
        """Puts `settings` into the configuration file."""
        self.file.write_text(json.dumps(self.settings, indent=1))

    def command(self, program, *arguments):
        return [str(self.programs / program), "--config", str(self.file), *arguments]

    def run(self, *arguments, timeout=120, **variables):
        """One rcptsyncd that ends by itself: --check, --once. `variables`: more for its environment."""
        return subprocess.run(self.command("rcptsyncd", *arguments), capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, env={**self._environment(), **variables})

    def start(self, verbose=True):
        self.process = spawn(self.command("rcptsyncd", *(["--verbose"] if verbose else [])), self.log,
                             env=self._environment())
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """SIGTERM. The seconds it took; the exit code is in `code`."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            self.code = process.wait(30)
        except subprocess.TimeoutExpired:
            raise RuntimeError("rcptsyncd did not stop:\n" + self.tail()) from None
        finally:
            seconds = time.monotonic() - began
            end(process, signal.SIGKILL)
        return seconds

    def kill(self):
        process, self.process = self.process, None
        end(process, signal.SIGKILL)

    def ctl(self, *arguments):
        return subprocess.run(self.command("rcptsyncctl", *arguments), capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    def status(self):
        done = self.ctl("--json", "status")
        return json.loads(done.stdout) if done.stdout else None

    def target(self, name):
        """What status says of one target."""
        return next(target for target in self.status()["targets"] if target["name"] == name)

    def table(self, target=None):
        return self.ctl("table", *(["--target", target] if target else [])).stdout

    def wait(self, condition, seconds=30, what="the condition"):
        """Until condition(status) holds; its value. A failure shows the last lines of the log."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status()
            value = status and condition(status)
            if value:
                return value
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"rcptsyncd ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come:\n{json.dumps(status, indent=1)}\n{self.tail()}")
            time.sleep(0.05)

    def wait_current(self, seconds=30):
        """Until every target holds the current generation; its number."""
        return self.wait(lambda status: status["generation"] and all(
            target["state"] == "current" and target["generation"] == status["generation"]
            for target in status["targets"]) and status["generation"], seconds, "every target current")

    def wait_line(self, text, seconds=30, after=0):
        """Until a line after byte `after` of the log contains the text; that line."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.text()[after:].splitlines():
                if text in line:
                    return line
            if time.monotonic() > deadline:
                raise TimeoutError(f"no line says {text!r}:\n{self.tail()}")
            time.sleep(0.05)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=40):
        return "\n".join(self.text().splitlines()[-lines:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.stop()

    @staticmethod
    def _environment():
        return {key: value for key, value in os.environ.items()
                if key not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY")}
