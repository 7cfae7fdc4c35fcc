"""Figures: how tests say what they measured. Nothing is asserted of it: machines are noisy."""

from collections.abc import Sequence
from statistics import quantiles


def figures(seconds: Sequence[float]) -> str:
    cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else list(seconds) * 20
    return f"p50 {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, max {max(seconds):.2f} s of {len(seconds)}"
