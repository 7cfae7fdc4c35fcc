"""Tallies: how often and how long things took, counted where they happen, for the metrics to name."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds that people notice the difference between."""


@dataclass(slots=True)
class Durations:
    """How long something took, each time."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """By the smallest of `SECONDS` that holds it; the last ones are longer than all."""
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each holds those before it, too."""
        found, sum_ = [], 0
        for bound, count in zip([*map(str, SECONDS), "+Inf"], self.counts, strict=True):
            sum_ += count
            found.append((bound, float(sum_)))
        return found


Counts = Counter[str]
"""How often, by a word of few."""


def counts(*words: str) -> Counts:
    """All of them 0, so that a rate is known from the first time on."""
    return Counter(dict.fromkeys(words, 0))
