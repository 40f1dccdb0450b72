"""source_read: runs the program source-read and takes its answer apart."""

import os
import queue
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

PROGRAM = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "tests" / "bench" / "source-read"


class Found(NamedTuple):
    key: str            # hexadecimal
    kind: str
    drop: int           # recipient::Drop; 0: kept
    origin: str
    values: list        # (attribute, value)

    @property
    def smtp(self):
        return [value[5:] if value.lower().startswith("smtp:") else value
                for _, value in self.values]


class Answer(NamedTuple):
    complete: bool
    code: str           # of the failure
    message: str        # of the failure
    fields: dict        # of a complete read: objects, references, server, kind, unseen_gone
    behind: str         # of a complete read: in what the server lags
    warnings: list
    objects: list       # Found, since the last restart
    present: list       # keys of objects that are there and unchanged, since the last restart
    removed: list       # keys of objects that are gone, since the last restart
    restarts: int
    wall: float         # seconds that the read took
    output: str


def read(*servers, **options):
    """read(uri, …, ca_file=…, base=[…], plaintext=True): options are those of the program, with _
    for -, lists for several, True for those without a value. Without servers: read(config=FILE,
    source=NAME). With cookie=FILE and incremental=True a read goes on from an earlier one."""
    return finish(start(*servers, **options))


def start(*servers, **options):
    """The running program; finish() waits for it."""
    command = [PROGRAM, "--print"]
    for server in servers:
        command += ["--server", server]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            command += [f"--{name.replace('_', '-')}"] + ([] if one is True else [str(one)])
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=120)
    lines = output.splitlines()
    last = lines[-1] if lines else ""
    if process.returncode not in (0, 1) or not last.startswith(("complete ", "failed ")):
        raise AssertionError(f"source-read ended with {process.returncode}:\n{output[-3000:]}")
    objects, present, removed, warnings, restarts = [], [], [], [], 0
    for line in lines:
        if line.startswith("object\t"):
            _, key, kind, drop, origin, *values = line.split("\t")
            objects.append(Found(key, kind, int(drop), origin,
                                 [tuple(value.split("=", 1)) for value in values]))
        elif line.startswith("present\t"):
            present.append(line.split("\t")[1])
        elif line.startswith("remove\t"):
            removed.append(line.split("\t")[1])
        elif line == "restart":
            objects, present, removed, restarts = [], [], [], restarts + 1
        elif line.startswith("warning "):
            warnings.append(line[len("warning "):])
    answer, _, behind = last.partition(" behind=")
    fields = dict(re.findall(r"(\w+)=(\S+)", answer)) if last.startswith("complete") else {}
    failed = re.match(r"failed (\w+)(?: wall=(\S+) user=\S+ system=\S+)? (.*)", last)
    wall = float(fields["wall"] if fields else failed[2] or 0)
    return Answer(not failed, failed[1] if failed else "", failed[3] if failed else "", fields,
                  behind, warnings, objects, present, removed, restarts, wall, output)


class Watch:
    """The program with --watch: with Watch(uri, …, cookie=FILE) as watch: watch.wait_ring()."""

    def __init__(self, *servers, **options):
        self.process = start(*servers, watch=True, **options)
        self.lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), line.rstrip("\n")))

    def wait_ring(self, timeout=60):
        """Waits for the next ring, says how many seconds it took."""
        began = time.monotonic()
        try:
            when, line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no ring within {timeout} s") from None
        if line != "ring":
            raise AssertionError(f"the watch ended: {line}")
        return when - began

    def drain(self):
        """Forgets the rings so far."""
        while not self.lines.empty():
            self.lines.get_nowait()

    def wait_end(self, timeout=60):
        """Waits until the program ends by itself; its last line."""
        self.process.wait(timeout)
        self._reader.join(timeout)
        last = ""
        while not self.lines.empty():
            _, last = self.lines.get_nowait()
        return last

    def close(self):
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
