"""operator_tool: what a person waits for who asks rcptsyncctl: whole processes, without a daemon."""

import json
from typing import NamedTuple

from daemon import Daemon
from measure import Cost, median, output, run

GENERATIONS = 300
TARGETS = 10
BACK = 100  # generations, of the rollback that is looked at
TABLE = "table"

OK, HELD, NOT_LISTED = 0, 3, 3  # exit codes

# Seconds, at a million recipients and below.
STATUS_GOAL, WHY_GOAL, DIFF_GOAL = 0.05, 0.02, 0.1


class Question(NamedTuple):
    name: str      # the command, and what it meets
    words: tuple
    code: int      # how it ends
    goal: float    # seconds; None: there is none


class Operator:
    """A state of so many recipients, 300 generations, 10 targets and 1000 held removals, and the
    questions that a person has."""

    def __init__(self, folder, build, recipients):
        source = {"name": "corp", "type": "ldap", "servers": ["ldaps://127.0.0.1"], "bases": ["dc=example,dc=test"],
                  "bind": {"method": "anonymous"}, "filter": "(mail=*)"}
        targets = [{"name": f"mx{number}", "host": f"mx{number}.example.net", "key_file": "/etc/hostname",
                    "known_hosts": "/etc/hostname", "path": "/etc/postfix/relay_recipients"}
                   for number in range(TARGETS)]
        # Never started: the tool reads the state itself.
        self._daemon = Daemon(folder, build / "bin", [source], targets, history={"keep": 2 * GENERATIONS})
        self._daemon.state.mkdir(mode=0o700)
        self._about = json.loads(output([str(build / "tests" / "bench" / "operator-state"), str(self._daemon.file),
                                         str(recipients), str(GENERATIONS)]))

    def questions(self):
        newest, about = self._about["generation"], self._about
        return (
            Question("status", ("status",), HELD, STATUS_GOAL),
            Question("why, listed", ("why", about["listed"]), OK, WHY_GOAL),
            Question("why, vanished long ago", ("why", about["vanished"]), NOT_LISTED, WHY_GOAL),
            Question("why, mistyped", ("why", about["mistyped"]), NOT_LISTED, WHY_GOAL),
            Question("why, nothing like it", ("why", about["unknown"]), NOT_LISTED, WHY_GOAL),
            Question("diff, 1000 held removals", ("diff",), OK, DIFF_GOAL),
            Question("diff, 1000 additions", ("diff", str(newest)), OK, DIFF_GOAL),
            Question(f"diff, {BACK} generations back", ("diff", str(newest), str(newest - BACK)), OK, DIFF_GOAL),
            Question("history of 100", ("history", "--number", "100"), OK, None),
            Question(TABLE, ("table",), OK, None),
        )

    def ask(self, question, rounds):
        """What the whole process cost, medians of so many rounds."""
        command = self._daemon.command("rcptsyncctl", *question.words)
        costs = [run(command, code=question.code) for _ in range(rounds + 1)][1:]
        return Cost(median(costs, "wall"), median(costs, "cpu"))

    def table_size(self):
        """Bytes."""
        return len(output(self._daemon.command("rcptsyncctl", "table")))
