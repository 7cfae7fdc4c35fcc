"""Figures: spreads, ratios to the limit, the table and the JSON."""

import statistics
from typing import Any

Rows = dict[str, dict[str, Any]]
"""Rival → figures."""

LIMIT = "direct LXD exec"


def spread(values: list[float], unit: str) -> dict[str, Any]:
    """n, p50, p95, p99 and max."""
    ordered = sorted(values)
    row: dict[str, Any] = {"n": len(values), "unit": unit}
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        row[name] = round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)
    return row


def compared(values: dict[str, list[float]], unit: str) -> Rows:
    """A spread for each rival, and the ratio of its p50 to the limit's."""
    rows = {name: spread(list_, unit) for name, list_ in values.items()}
    if LIMIT in values:
        base = statistics.median(values[LIMIT])
        for name, list_ in values.items():
            rows[name]["ratio"] = round(statistics.median(list_) / base, 2)
    return rows


def table(figures: dict[str, Rows]) -> str:
    """Markdown: a table for each measurement, its columns as they come."""
    parts = []
    for what, rows in figures.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        lines = [f"### {what}", "| |" + "|".join(columns) + "|", "|---|" + "---:|" * len(columns)]
        lines += [
            f"|{name}|" + "|".join(str(row.get(column, "")) for column in columns) + "|" for name, row in rows.items()
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
