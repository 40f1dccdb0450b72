"""report: prints figures as they come, judges them, and shows them again side by side at the end."""

from measure import Pairs, median

NOISE = 1.1  # a goal is missed when it is missed by more than a tenth: the machine has other work too


class Report:
    """Prints each comparison when it is there, and remembers the goals that were missed.

    What has a `row` also stands in a table with a column for each size, as Markdown.
    """

    def __init__(self, judge):
        self.missed = []
        self._judge = judge
        self._columns = []  # (heading, {row: cell})

    def heading(self, text):
        print(f"\n{text}\n{'':50}{'rcptsync':>17}{'peer':>18}  {'ratio':>6}", flush=True)

    def column(self, heading):
        """What follows stands in this column of the table."""
        self._columns.append((heading, {}))

    def compare(self, name, ours, peers, wall_goal=None, cpu_goal=None, row=None):
        pairs = Pairs(ours, peers)
        for quantity, goal in (("wall", wall_goal), ("cpu", cpu_goal)):
            ratio = pairs.ratio(quantity)
            self.figure(f"{name}, {quantity}",
                        f"{median(ours, quantity):15.3f} s{median(peers, quantity):16.3f} s  {ratio:6.2f}",
                        ratio, goal, row and f"{row}, {quantity}", f"{ratio:.2f}")

    def figure(self, name, text, value=None, goal=None, row=None, cell=None):
        """`value` is what is judged by `goal`; `cell` is what stands in the table's `row`."""
        verdict = "  " + self._verdict(name, value, goal) if self._judge and goal is not None else ""
        print(f"{name:50}{text}{verdict}", flush=True)
        if row and self._columns:
            self._columns[-1][1][row] = cell

    def print_columns(self):
        rows = list(dict.fromkeys(row for _, cells in self._columns for row in cells))
        if not rows:
            return
        print("\n| objects |", " | ".join(heading for heading, _ in self._columns), "|")
        print("| --- |", " | ".join("---" for _ in self._columns), "|")
        for row in rows:
            print(f"| {row} |", " | ".join(cells.get(row, "") for _, cells in self._columns), "|")

    def _verdict(self, name, value, goal):
        met = value <= goal * NOISE
        if not met:
            self.missed.append(f"{name}: {value:.4g} instead of {goal:.4g}")
        return f"goal {goal:.4g}: {'met' if value <= goal else 'within noise' if met else 'MISSED'}"
