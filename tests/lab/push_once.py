"""push_once: runs the program push-once and reads its answers.

    push(server.target(path="/…"), table=b"a@example.org\\tOK\\n") -> one dictionary for the target
    start(targets, table, …) / finish(running)                     -> several, in order of the targets
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

PROGRAM = Path(os.environ.get("RCPTSYNC_BUILD", ".")) / "tests" / "bench" / "push-once"


class Running(NamedTuple):
    process: subprocess.Popen
    names: list
    files: list


def _file(data):
    file = tempfile.NamedTemporaryFile(prefix="rcptsync-table-")
    file.write(data)
    file.flush()
    return file


def start(targets, table, access=None, force=False, believed=None, judge=None):
    files = [_file(table)]
    command = [PROGRAM]
    if access is not None:
        files.append(_file(access))
        command += ["--access", files[-1].name]
    command += ["--force"] if force else []
    command += ["--believed", believed] if believed else []
    command += ["--judge", judge] if judge else []
    command.append(files[0].name)
    names = []
    for number, target in enumerate(targets):
        names.append(target.get("name", str(number)))
        command.append(json.dumps({**target, "name": names[-1]}))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    return Running(process, names, files)


def finish(running, timeout=300):
    output, errors = running.process.communicate(timeout=timeout)
    for file in running.files:
        file.close()
    if running.process.returncode not in (0, 1):
        raise AssertionError(f"push-once ended with {running.process.returncode}: {errors[-3000:]}")
    answers = {}
    for line in output.splitlines():
        answer = json.loads(line)
        answers[answer["target"]] = answer
    return [answers[name] for name in running.names]


def push(target, table, **options):
    return finish(start([target], table, **options))[0]
