"""processes: servers of one's own as children, and the promise that none of them outlives its test.

    process = spawn(["slapd", …], folder / "log")
    wait_ready(process, lambda: accepts(host, port), "slapd", log)
    end(process)

Each server has a session of its own, so what it started is found after it is gone. If one of these
sessions still has a process when all cleanups of a test module have run, the module fails and names
it, and the process is killed.
"""

import os
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

_sessions = set()


def spawn(command, log, **options):
    """A child that reads nothing and appends all that it says to the file `log`."""
    with open(log, "ab") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                                   start_new_session=True, **options)
    _sessions.add(process.pid)
    return process


def wait_ready(process, ready, name, log, seconds=60):
    """Until ready() holds. Ends the process and raises if that does not come."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.02)
    what = "does not answer" if process.poll() is None else "ended"
    end(process, signal.SIGKILL)
    raise RuntimeError(f"{name} {what}: {Path(log).read_text(errors='replace')[-2000:]}")


def accepts(host, port):
    """True if somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def end(process, number=signal.SIGTERM, seconds=20):
    """Sends the signal to the process and its children, and kills what has not ended then. A stopped
    one goes on first. Returns when nothing of its session is left."""
    if process.poll() is None:
        signal_group(process, signal.SIGCONT)
        signal_group(process, number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            process.wait()
    left = _left({process.pid}, signal.SIGKILL)
    if left:
        raise RuntimeError(f"cannot be ended: {left}")
    _sessions.discard(process.pid)


def signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _none_left():
    """They may still be on their way out, and no longer than that."""
    left = _left(_sessions)
    _left(_sessions, signal.SIGKILL)
    if left:
        raise AssertionError(f"processes that outlive their test: {'; '.join(left)}")


def _left(sessions, number=None, seconds=5):
    """What is still there of these sessions at the end of the time, as `PID COMMAND`. `number`: a
    signal that each of them gets again and again."""
    deadline = time.monotonic() + seconds
    while True:
        left = {pid: name for pid, name in _processes(sessions)}
        if not left or time.monotonic() > deadline:
            return [f"{pid} {name}" for pid, name in left.items()]
        for pid in left if number else ():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def _processes(sessions):
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # proc(5): PID (NAME) STATE PPID PGRP SESSION …, and the name may hold anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) in sessions and fields[0] not in "ZX":
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(entry.name), words.decode(errors="replace").strip()
        except OSError:
            continue


# The first of all module cleanups is the last to run, after those that end servers.
unittest.addModuleCleanup(_none_left)
