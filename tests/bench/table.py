"""Figures and how they stand to their goals."""
from dataclasses import dataclass


@dataclass
class Ratio:
    ours: float
    peers: float
    goal: float = None
    is_rate: bool = False  # more is better

    @property
    def value(self):
        above, below = (self.ours, self.peers) if self.is_rate else (self.peers, self.ours)
        return above / below if below else float("inf")

    @property
    def is_met(self):
        return self.goal is None or self.value >= self.goal - 1e-9

    def __str__(self):
        text = "%.*f" % (2 if self.value < 10 else 1, self.value)
        if self.goal is None:
            return text
        return "%s %s %g" % (text, "≥" if self.is_met else "<", self.goal)

    def figures(self):
        return "%s / %s" % (amount(self.ours), amount(self.peers))


def amount(value):
    return "%.0f" % value if value >= 100 else "%.1f" % value


def markdown(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def count_met(ratios):
    goals = [ratio for ratio in ratios if ratio.goal is not None]
    return "%d of %d goals met" % (sum(ratio.is_met for ratio in goals), len(goals))
