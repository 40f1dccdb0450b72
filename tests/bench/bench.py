#!/usr/bin/python3
"""bench: rcptsync beside the programs that do the same job today. Called by tests/bench/run.

Each comparison alternates: one run of ours, one of the peer, and again. What is printed is the
median of the ratios of such neighbours, so that the machine's other work hits both sides alike.
Seconds are medians too, and are of this machine at this moment only.
"""

import argparse
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import domain  # noqa: E402
import make_ldif  # noqa: E402
import poll  # noqa: E402
from follow import Follower, median_cycle  # noqa: E402
from measure import alternate, median, output, peak_memory, run  # noqa: E402
from operator_tool import TABLE, Operator  # noqa: E402
from report import Report  # noqa: E402
from slapd import Slapd  # noqa: E402
from sshd import Sshd  # noqa: E402
from told import Told  # noqa: E402
from transfer import Transfer, same_cipher  # noqa: E402


class Size(NamedTuple):
    objects: int      # in slapd
    recipients: int   # that an operator asks about
    domain: int       # objects in Active Directory
    table: int        # bytes
    polls: int        # rounds
    loads: int        # rounds of a first load
    scripts: int      # rounds with the Perl script
    transfers: int    # rounds
    idle: int         # seconds before the memory is looked at
    questions: int    # rounds of each question to rcptsyncctl


FULL = Size(objects=100_000, recipients=1_000_000, domain=20_000, table=50_000_000, polls=7, loads=3, scripts=2,
            transfers=9, idle=60, questions=15)
QUICK = Size(objects=5_000, recipients=20_000, domain=500, table=5_000_000, polls=3, loads=1, scripts=1,
             transfers=3, idle=1, questions=3)
PARTS = ("polls", "increments", "cycle", "operator", "domain", "transfers")
CHANGED_OBJECTS = 10
CHANGED_IN_DOMAIN = 5
UNCHANGED_CPU_GOAL = 0.8    # beside ldapsearch
UNCHANGED_WALL_GOAL = 1.05
FIRST_LOAD_GOAL = 1.3       # beside one ldapsearch, wall clock
PRIVATE_MEMORY_GOAL = 96e6  # bytes, at a million objects and below
COMMIT_GOAL = 0.05          # seconds: comparison and commit of ten changes, at a million and below
INCREMENT_GOAL = 0.05       # seconds: the daemon's cycle of ten changes, at a million and below
SLAPD_TELLS_GOAL = 1.0      # seconds from a change to the daemon's asking for it
DOMAIN_TELLS_GOAL = 6.0     # the same; Samba looks for changes every five seconds
# Bytes from the directory of an incremental read, TLS and log-in with it: without a change, and for
# each changed object.
IDLE_BYTES_GOAL, OBJECT_BYTES_GOAL = 10_000, 2_000


def bench_polls(folder, programs, size, directory, report):
    poll.check_readers_agree(directory, size.objects, folder)
    peer, environment = poll.ldapsearch(directory)
    script = poll.perl_script(directory)

    report.heading(f"{size.objects} objects in slapd; the daemon's full poll that finds nothing changed")
    loads = itertools.count()

    def first_load():
        at = folder / f"first-{next(loads)}"
        with poll.PollingDaemon(at, programs, poll.source(directory)) as daemon:
            cost = daemon.first_load()
        shutil.rmtree(at)
        return cost

    report.compare("first load beside ldapsearch, LDAPS",
                   *alternate(size.loads, first_load, lambda: run(peer, environment)),
                   wall_goal=FIRST_LOAD_GOAL, row="first load : `ldapsearch`")
    with poll.PollingDaemon(folder / "tls", programs, poll.source(directory)) as daemon:
        first = daemon.first_load()
        time.sleep(size.idle)
        loaded = daemon.memory()
        ours, peers = alternate(size.polls, daemon.unchanged_poll, lambda: run(peer, environment))
        report.compare("beside ldapsearch, LDAPS", ours, peers, UNCHANGED_WALL_GOAL, UNCHANGED_CPU_GOAL,
                       row="unchanged full poll : `ldapsearch`")
        report.compare("beside getadsmtp.pl (Net::LDAP), LDAPS",
                       *alternate(size.scripts, daemon.unchanged_poll, lambda: run(script)))
        numbers = itertools.count()

        def changed_poll():
            poll.change(directory, some_entries(size.objects), next(numbers))
            return daemon.changed_poll()

        report.compare(f"{CHANGED_OBJECTS} objects changed, beside an unchanged poll",
                       *alternate(size.polls, changed_poll, daemon.unchanged_poll))
    with poll.PollingDaemon(folder / "tls", programs, poll.source(directory)) as daemon:
        daemon.first_poll()
        daemon.unchanged_poll()
        restarted = daemon.memory()
    with poll.PollingDaemon(folder / "plain", programs, poll.source(directory, plaintext=True)) as daemon:
        daemon.first_load()
        peer, environment = poll.ldapsearch(directory, plaintext=True)
        report.compare("beside ldapsearch, without TLS",
                       *alternate(size.polls, daemon.unchanged_poll, lambda: run(peer, environment)))
    report.figure("first load, empty state to generation 1", f"{first.wall:15.3f} s wall, {first.cpu:.3f} s CPU",
                  row="first load, CPU time", cell=f"{first.cpu:.1f} s")
    for when, (peak, private) in ((f"{size.idle} s after the first load", loaded), ("started again", restarted)):
        report.figure(f"memory of the daemon, {when}",
                      f"{private / 1e6:12.0f} MB private, {peak / 1e6:.0f} MB peak resident",
                      private, PRIVATE_MEMORY_GOAL, f"private memory, {when}", f"{private / 1e6:.0f} MB")
    report.figure("memory of ldapsearch", f"{peak_memory(peer, environment) / 1e6:12.0f} MB peak resident")
    report.figure("memory of getadsmtp.pl", f"{peak_memory(script) / 1e6:12.0f} MB peak resident")


def some_entries(objects):
    return list(itertools.islice(make_ldif.entries(objects), CHANGED_OBJECTS))


def bench_increments(folder, programs, size, directory, report):
    """slapd: what a change costs a daemon that follows, and when it knows."""
    peer, environment = poll.ldapsearch(directory)
    numbers = itertools.count(1000)

    def change(count=CHANGED_OBJECTS):
        poll.change(directory, some_entries(size.objects)[:count], next(numbers))

    def source_at(port):
        return poll.source(directory) | {"servers": [f"ldaps://{directory.host}:{port}"], "incremental": "auto"}

    report.heading(f"{size.objects} objects in slapd; the daemon's incremental cycle")
    with Follower(folder / "follow", programs, directory.ldaps_port, directory.host, source_at) as daemon:
        whole = daemon.first_cycle("is in force")
        cycles = [daemon.cycle_after(change) for _ in range(size.polls)]
        report_increments(report, whole, [daemon.cycle_without_changes() for _ in range(3)], cycles,
                          CHANGED_OBJECTS)
        peers = [run(peer, environment) for _ in range(3)]
        cycle, everything = median_cycle(cycles), median(peers, "wall")
        report.figure(f"{CHANGED_OBJECTS} objects changed, beside ldapsearch of everything",
                      f"{cycle.wall:15.3f} s{everything:16.3f} s  {cycle.wall / everything:6.4f}",
                      cycle.wall, INCREMENT_GOAL,
                      f"incremental cycle, {CHANGED_OBJECTS} changes, to the commit on the disk",
                      f"{cycle.wall * 1000:.1f} ms")
        first_entry = some_entries(size.objects)[0].dn.partition(",")[0]
        bench_telling(report, "slapd", daemon, directory, lambda: change(1), first_entry, size.polls,
                      SLAPD_TELLS_GOAL)


def report_increments(report, whole, idle_cycles, changed_cycles, changes):
    """Bytes on the wire: they follow the changes and not the directory."""
    idle, changed = median_cycle(idle_cycles), median_cycle(changed_cycles)
    report.figure("bytes: full read", f"{whole.received:15,}")
    report.figure("bytes: nothing changed", f"{idle.received:15,}", idle.received, IDLE_BYTES_GOAL,
                  "bytes, nothing changed", f"{idle.received:,}")
    report.figure(f"bytes: {changes} objects changed", f"{changed.received:15,}", changed.received,
                  IDLE_BYTES_GOAL + changes * OBJECT_BYTES_GOAL, f"bytes, {changes} changes",
                  f"{changed.received:,}")


def bench_telling(report, name, daemon, directory, change, entry, rounds, goal):
    """From a change to the daemon's asking for it, beside a plain client that is told of it."""
    ours, peers = [], []
    with Told(directory) as client:
        client.wait_ready(change, entry)
        daemon.settle()
        for _ in range(rounds):
            client.drain()
            began = time.monotonic()
            ours.append(daemon.known_after(change))
            peers.append(client.wait(entry) - began)
    slowest = max(ours)
    report.figure(f"{name} tells of a change: known after",
                  f"{statistics.median(ours):15.3f} s{statistics.median(peers):16.3f} s, "
                  f"at most {slowest:.3f} s", slowest, goal,
                  f"a change in {name} is known after, at most", f"{slowest:.2f} s")


def bench_domain(folder, programs, size, report):
    """Active Directory: the same, with DirSync and its change notification."""
    numbers = itertools.count()

    def hire(count):
        domain.hire(controller, *(f"bench{next(numbers):04}" for _ in range(count)))

    with domain.start(folder / "ad", size.domain) as controller:
        report.heading(f"{size.domain} objects in Active Directory (Samba); the daemon's incremental cycle")
        with Follower(folder / "follow-ad", programs, 636, controller.address,
                      lambda port: domain.source(controller, port)) as daemon:
            whole = daemon.first_cycle("is in force")
            if whole.received < 100 * size.domain:
                raise RuntimeError(f"a full read of {size.domain} objects in {whole.received} bytes: "
                                   "the count is wrong")
            report_increments(report, whole, [daemon.cycle_without_changes() for _ in range(3)],
                              [daemon.cycle_after(lambda: hire(CHANGED_IN_DOMAIN)) for _ in range(3)],
                              CHANGED_IN_DOMAIN)
            bench_telling(report, "Active Directory", daemon, controller, lambda: hire(1), "CN=bench",
                          size.polls, DOMAIN_TELLS_GOAL)


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
                  changed, COMMIT_GOAL, f"{CHANGED_OBJECTS} changes, comparison and commit alone",
                  f"{changed * 1000:.1f} ms")
    report.figure("digest of the new table, after the commit", f"{digest * 1000:14.1f} ms",
                  row="digest of the new table, after the commit", cell=f"{digest:.2f} s")
    report.figure("data.mdb", f"{figures['data_mdb'] / 1e6:14.0f} MB", row="`data.mdb`",
                  cell=f"{figures['data_mdb'] / 1e6:.0f} MB")


def bench_operator(folder, build, size, recipients, report):
    """What a person waits for who asks rcptsyncctl."""
    operator = Operator(folder / "operator", build, recipients)
    print(f"\n{recipients} recipients; whole runs of rcptsyncctl, of which the median: wall, CPU")
    for question in operator.questions():
        cost = operator.ask(question, size.questions)
        per_second = f", {operator.table_size() / 1e6 / cost.wall:.0f} MB/s" if question.name == TABLE else ""
        report.figure(f"rcptsyncctl {question.name}",
                      f"{cost.wall * 1000:14.1f} ms{cost.cpu * 1000:14.1f} ms{per_second}",
                      cost.wall, question.goal, f"`rcptsyncctl {question.name}`",
                      f"{cost.wall * 1000:.0f} ms")


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
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--objects", type=int, nargs="+", metavar="N",
                        help="polls, increments, cycles and the operator's questions (recipients) at these "
                             "sizes, one after the other: the growth")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    build = Path(options.build).resolve()
    report = Report(judge=not options.quick)

    def wanted(part):
        return options.only in (None, part)

    with tempfile.TemporaryDirectory(prefix="rcptsync-bench-") as temporary:
        folder = Path(temporary)
        for objects in options.objects or [size.objects]:
            report.column(f"{objects:,}")
            at = folder / str(objects)
            this = size._replace(objects=objects)
            if wanted("polls") or wanted("increments"):
                with Slapd(at / "slapd").start(objects=objects) as directory:
                    if wanted("polls"):
                        bench_polls(at, build / "bin", this, directory, report)
                    if wanted("increments"):
                        bench_increments(at, build / "bin", this, directory, report)
            if wanted("cycle"):
                bench_cycle(build / "tests" / "bench" / "cycle-bench", objects, report)
            if wanted("operator"):
                bench_operator(at, build, this, objects if options.objects else this.recipients, report)
            shutil.rmtree(at, ignore_errors=True)
        report.print_columns()
        if wanted("domain"):
            bench_domain(folder, build / "bin", size, report)
        if wanted("transfers"):
            bench_transfers(folder, build / "tests" / "bench", size, report)
    if report.missed:
        print("\nmissed:", *report.missed, sep="\n  ")
    return 1 if report.missed and not options.no_goals else 0


if __name__ == "__main__":
    sys.exit(main())
