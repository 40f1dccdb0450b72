#!/usr/bin/python3
"""bench: rcptsync beside the programs that do the same job today. Called by tests/bench/run.

Each comparison alternates: one run of ours, one of the peer, and again. What is printed is the
median of the ratios of such neighbours, so that the machine's other work hits both sides alike.
Seconds are medians too, and are of this machine at this moment only.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import make_ldif  # noqa: E402
import poll  # noqa: E402
from measure import Pairs, alternate, median, output, peak_memory, run  # noqa: E402
from slapd import Slapd  # noqa: E402
from sshd import Sshd  # noqa: E402
from transfer import Transfer, same_cipher  # noqa: E402


class Size(NamedTuple):
    objects: int
    table: int        # bytes
    polls: int        # rounds
    scripts: int      # rounds with the Perl script
    transfers: int    # rounds


FULL = Size(objects=100_000, table=50_000_000, polls=7, scripts=2, transfers=9)
QUICK = Size(objects=5_000, table=5_000_000, polls=3, scripts=1, transfers=3)
CHANGED_OBJECTS = 10
NOISE = 1.1  # a goal is missed when it is missed by more than a tenth: the machine has other work too
FIRST_LOAD_GOAL = 1.3       # beside one ldapsearch, wall clock
PRIVATE_MEMORY_GOAL = 96e6  # bytes, started again, at a million objects and below
COMMIT_GOAL = 0.05          # seconds: comparison and commit of ten changes, at a million and below


class Report:
    """Prints each comparison when it is there, and remembers the goals that were missed."""

    def __init__(self, judge):
        self.missed = []
        self._judge = judge

    def heading(self, text):
        print(f"\n{text}\n{'':50}{'rcptsync':>17}{'peer':>18}  {'ratio':>6}")

    def compare(self, name, ours, peers, wall_goal=None, cpu_goal=None):
        pairs = Pairs(ours, peers)
        for quantity, goal in (("wall", wall_goal), ("cpu", cpu_goal)):
            ratio = pairs.ratio(quantity)
            verdict = ""
            if self._judge and goal is not None:
                verdict = "  " + self._verdict(f"{name}, {quantity}", ratio, goal)
            print(f"{name + ', ' + quantity:50}{median(ours, quantity):15.3f} s"
                  f"{median(peers, quantity):16.3f} s  {ratio:6.2f}{verdict}", flush=True)

    def figure(self, name, text, value=None, goal=None):
        verdict = "  " + self._verdict(name, value, goal) if self._judge and goal is not None else ""
        print(f"{name:50}{text}{verdict}", flush=True)

    def _verdict(self, name, value, goal):
        met = value <= goal * NOISE
        if not met:
            self.missed.append(f"{name}: {value:.4g} instead of {goal:.4g}")
        return f"goal {goal:.4g}: {'met' if value <= goal else 'within noise' if met else 'MISSED'}"


def bench_polls(folder, programs, size, report):
    with Slapd(folder / "slapd").start(objects=size.objects) as directory:
        poll.check_readers_agree(directory, size.objects, folder)
        peer, environment = poll.ldapsearch(directory)
        script = poll.perl_script(directory)

        report.heading(f"{size.objects} objects in slapd; the daemon's full poll that finds nothing changed")
        with poll.PollingDaemon(folder / "tls", programs, directory) as daemon:
            first = daemon.first_load()
            ours, peers = alternate(size.polls, daemon.unchanged_poll, lambda: run(peer, environment))
            report.compare("beside ldapsearch, LDAPS", ours, peers, wall_goal=1.05, cpu_goal=0.8)
            ratio = first.wall / median(peers, "wall")
            report.figure("first load beside ldapsearch, LDAPS, wall",
                          f"{first.wall:15.3f} s{median(peers, 'wall'):16.3f} s  {ratio:6.2f}",
                          ratio, FIRST_LOAD_GOAL)
            report.compare("beside getadsmtp.pl (Net::LDAP), LDAPS",
                           *alternate(size.scripts, daemon.unchanged_poll, lambda: run(script)))
            changed = [entry for entry, _ in zip(make_ldif.entries(size.objects), range(CHANGED_OBJECTS))]
            numbers = itertools.count()

            def changed_poll():
                poll.change(directory, changed, next(numbers))
                return daemon.changed_poll()

            report.compare(f"{CHANGED_OBJECTS} objects changed, beside an unchanged poll",
                           *alternate(size.polls, changed_poll, daemon.unchanged_poll))
            loaded = daemon.memory()
        with poll.PollingDaemon(folder / "tls", programs, directory) as daemon:
            daemon.first_poll()
            daemon.unchanged_poll()
            restarted = daemon.memory()
        with poll.PollingDaemon(folder / "plain", programs, directory, plaintext=True) as daemon:
            daemon.first_load()
            peer, environment = poll.ldapsearch(directory, plaintext=True)
            report.compare("beside ldapsearch, without TLS",
                           *alternate(size.polls, daemon.unchanged_poll, lambda: run(peer, environment)))
        report.figure("first load, empty state to generation 1", f"{first.wall:15.3f} s wall, {first.cpu:.3f} s CPU")
        for when, (peak, private), goal in (("since the first load", loaded, None),
                                            ("started again", restarted, PRIVATE_MEMORY_GOAL)):
            report.figure(f"memory of the daemon, {when}",
                          f"{private / 1e6:12.0f} MB private, {peak / 1e6:.0f} MB peak resident",
                          private, goal)
        report.figure("memory of ldapsearch", f"{peak_memory(peer, environment) / 1e6:12.0f} MB peak resident")
        report.figure("memory of getadsmtp.pl", f"{peak_memory(script) / 1e6:12.0f} MB peak resident")


def bench_cycle(program, objects, report):
    """The daemon's own part, without a directory: comparison, commit, digest."""
    figures = json.loads(output([str(program), str(objects), "9"]))
    load, rounds = figures["first_load"], figures["ten_changes"]
    changed = statistics.median(each["compare"] + each["commit"] for each in rounds)
    digest = statistics.median(each["digest"] for each in rounds)
    print(f"\n{objects} objects, no directory")
    report.figure("first load", f"{load['compare']:15.3f} s comparison, {load['commit']:.3f} s commit, "
                                f"{load['peak_memory'] / objects:.0f} bytes an object at the peak")
    report.figure(f"{CHANGED_OBJECTS} objects changed, to the commit on the disk", f"{changed * 1000:14.1f} ms",
                  changed, COMMIT_GOAL)
    report.figure("digest of the new table, after the commit", f"{digest * 1000:14.1f} ms")


def bench_transfers(folder, programs, size, report):
    with Sshd(folder / "sshd", settings="Subsystem sftp /usr/lib/openssh/sftp-server").start() as server:
        transfer = Transfer(folder / "transfer", programs, server, size.table)

        def measure(command):
            def once():
                transfer.clear()
                cost = run(command)
                transfer.check()
                return cost
            return once

        report.heading(f"a table of {size.table / 1e6:.0f} MB to an sshd on loopback")
        ours, old, new, plain = alternate(
            size.transfers, measure(transfer.send()), measure(transfer.scp("-O", *same_cipher())),
            measure(transfer.scp(*same_cipher())), measure(transfer.scp()))
        report.compare("send, beside scp -O, same cipher and MAC", ours, old, wall_goal=1.0)
        report.compare("send, beside scp (SFTP), same cipher and MAC", ours, new, wall_goal=1.0)
        report.compare("send, beside scp as it comes", ours, plain, wall_goal=1.0)
        report.compare("whole push, beside scp -O; ssh 'digest, sync, mv'",
                       *alternate(size.transfers, measure(transfer.push()), measure(transfer.scp_and_check())))


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small sizes, which say nothing about goals")
    parser.add_argument("--no-goals", action="store_true", help="exit status 0 even if a goal is missed")
    parser.add_argument("--only", choices=("polls", "cycle", "transfers"), help="one part of it")
    parser.add_argument("--objects", type=int, nargs="+", metavar="N",
                        help="polls and cycles with so many objects, one after the other, to see the growth")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    build = Path(options.build).resolve()
    report = Report(judge=not options.quick)
    with tempfile.TemporaryDirectory(prefix="rcptsync-bench-") as folder:
        for objects in options.objects or [size.objects]:
            if options.only in (None, "polls"):
                bench_polls(Path(folder) / str(objects), build / "bin", size._replace(objects=objects), report)
            if options.only in (None, "cycle"):
                bench_cycle(build / "tests" / "bench" / "cycle-bench", objects, report)
        if options.only in (None, "transfers"):
            bench_transfers(Path(folder), build / "tests" / "bench", size, report)
    if report.missed:
        print("\nmissed:", *report.missed, sep="\n  ")
    return 1 if report.missed and not options.no_goals else 0


if __name__ == "__main__":
    sys.exit(main())
