"""source_read: runs the program source-read and takes its answer apart."""

import os
import re
import subprocess
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
    fields: dict        # of a complete read: objects, references, server
    warnings: list
    objects: list       # Found, since the last restart
    restarts: int
    wall: float         # seconds that the read took
    output: str


def read(*servers, **options):
    """read(uri, …, ca_file=…, base=[…], plaintext=True): options are those of the program, with _
    for -, lists for several, True for those without a value."""
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
    objects, warnings, restarts = [], [], 0
    for line in lines:
        if line.startswith("object\t"):
            _, key, kind, drop, origin, *values = line.split("\t")
            objects.append(Found(key, kind, int(drop), origin,
                                 [tuple(value.split("=", 1)) for value in values]))
        elif line == "restart":
            objects, restarts = [], restarts + 1
        elif line.startswith("warning "):
            warnings.append(line[len("warning "):])
    fields = dict(re.findall(r"(\w+)=(\S+)", last)) if last.startswith("complete") else {}
    failed = re.match(r"failed (\w+)(?: wall=(\S+) user=\S+ system=\S+)? (.*)", last)
    wall = float(fields["wall"] if fields else failed[2] or 0)
    return Answer(not failed, failed[1] if failed else "", failed[3] if failed else "", fields,
                  warnings, objects, restarts, wall, output)
