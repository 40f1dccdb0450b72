"""measure: what a process cost, and what two of them cost beside each other."""

import os
import statistics
import subprocess
import time
from typing import NamedTuple


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float   # seconds, user and system, of the process and its children that it waited for


class Pairs:
    """Costs of A and B that were taken alternately, so that a slow minute of the machine hits both.

    The ratio is the median of the ratios of neighbours, not the ratio of two medians.
    """

    def __init__(self, ours, peers):
        self.ours, self.peers = ours, peers

    def ratio(self, quantity):
        return statistics.median(getattr(ours, quantity) / getattr(peer, quantity)
                                 for ours, peer in zip(self.ours, self.peers))


def alternate(rounds, *measures):
    """Calls each measure in turn, `rounds` times; a list of costs for each. One round before the
    first is not counted: it fills caches."""
    costs = [[] for _ in measures]
    for number in range(rounds + 1):
        for measure, into in zip(measures, costs):
            cost = measure()
            if number > 0:
                into.append(cost)
    return costs


def median(costs, quantity):
    return statistics.median(getattr(cost, quantity) for cost in costs)


def run(command, environment=None, output=None, code=0):
    """The cost of a whole process, from its start to its end. It must end with that exit code."""
    with open(output or os.devnull, "wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream,
                                   stderr=subprocess.PIPE, env=environment)
        words = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: "
                           f"{words.decode(errors='replace')[-1000:]}")
    return Cost(wall, used.ru_utime + used.ru_stime)


def output(command):
    """What a process prints. It must succeed."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout


def cpu_clock(pid):
    """CPU seconds that a running process and all its threads have used so far, ended ones too.

    The clock of clock_getcpuclockid(3). /proc/PID/stat has the same sum, but in steps of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def peak_memory(command, environment=None):
    """Peak resident size in bytes of a process of its own. rusage has it too, but there a child
    starts with the peak of the interpreter that it was forked from."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=environment) as process:
        peak = 0
        while process.poll() is None:
            peak = _status(process.pid).get("VmHWM", peak)
            time.sleep(0.02)
    return peak


def memory(pid):
    """(peak resident size, private memory now) of a running process in bytes. Pages of a mapped
    file, as of an LMDB environment, are in the first and not in the second."""
    status = _status(pid)
    return status["VmHWM"], status["RssAnon"]


def _status(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            fields = dict(line.split(":", 1) for line in lines)
    except OSError:
        return {}
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmHWM", "RssAnon") if name in fields}
