"""follow: a daemon that goes on from its last read and hears a doorbell: what a change costs it.

It reaches its directory through a gate, which counts the bytes that come and sees when it connects.
"""

import signal
import statistics
import time
from typing import NamedTuple

from gate import Gate
from poll import PollingDaemon

PAUSE = 1.5  # seconds: rings start at most one cycle each second


class Cycle(NamedTuple):
    wall: float     # seconds, from its begin to the end of the commit
    received: int   # bytes from the directory


class Follower(PollingDaemon):
    """Use as PollingDaemon, with a source whose server is `uri(gate.port)`."""

    def __init__(self, folder, programs, port, host, source_at):
        """`source_at`: gives the source for the port on `host` at which the directory is found."""
        self._gate = Gate(port, host)
        super().__init__(folder, programs, source_at(self._gate.port))

    def __exit__(self, *nothing):
        super().__exit__(*nothing)
        self._gate.close()

    def first_cycle(self, end):
        """The cycle after the start, a full read. The doorbell stands when this returns."""
        cost = self._cost_until(end, 0)
        whole = self._gate.received
        self._daemon.wait(lambda status: status["sources"][0]["watch"] == "connected", 60, "the doorbell")
        self.settle()
        return Cycle(cost.wall, whole)

    def cycle_after(self, change):
        """The cycle that finds all that `change` does. The daemon stands still meanwhile, so that it
        is one cycle and not two; then the doorbell starts it."""
        process = self._daemon.process
        process.send_signal(signal.SIGSTOP)
        try:
            change()
            before = self._gate.wait_quiet()  # what the doorbell says is not the cycle's
        finally:
            process.send_signal(signal.SIGCONT)
        return self._cycle("is in force", before)

    def cycle_without_changes(self):
        before = self._gate.received
        self._daemon.signal(signal.SIGUSR1)
        return self._cycle("nothing changed", before)

    def known_after(self, change):
        """Seconds from before `change` until the daemon asks the directory what it was."""
        count = len(self._gate.accepted)
        began = time.monotonic()
        change()
        took = self._gate.wait_accepted(count + 1) - began
        self._next_cycle("is in force")
        self.settle()
        return took

    def settle(self):
        """Until no cycle follows: a doorbell may ring once more for what a cycle has found already."""
        while True:
            size = self._daemon.log.stat().st_size
            time.sleep(PAUSE)
            if self._daemon.log.stat().st_size == size:
                self._read = size
                return

    def assert_incremental(self):
        source = self._daemon.status()["sources"][0]
        if source["mode"] != "incremental":
            raise RuntimeError(f"the last read was {source['mode']}:\n{self._daemon.tail()}")

    def _cycle(self, end, before):
        cost = self._cost_until(end, 0)
        received = self._gate.received - before
        self.settle()
        self.assert_incremental()
        return Cycle(cost.wall, received)


def median_cycle(cycles):
    return Cycle(statistics.median(cycle.wall for cycle in cycles),
                 statistics.median_high(cycle.received for cycle in cycles))
