"""Limits: what a container may use, and a terminal put out: its lesson's word over its course's over the deployment's. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIZE = re.compile(r"[0-9]+(MiB|GiB)")
PROCESSES = range(20, 10_001)
OUTPUT_LEAST = 65_536
"""Bytes per second: with less, what is under way would be felt after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The deployment's, for what neither a lesson nor its course says; in LXD's own units."""

    memory: str = "512MiB"
    cpu: str = "1"
    processes: int = 500
    disk: str = "3GiB"
    output: int = 2 << 20
    """Bytes per second of one terminal, sustained; 0: as fast as it goes."""

    def over(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of `resolved` columns, with the deployment's word for what is still open."""
        return {
            key: getattr(self, key) if value is None and key in self.__slots__ else value for key, value in row.items()
        }

    def problems(self) -> list[str]:
        """Each with the name of its variable in front."""
        found = {
            "MEMORY": SIZE.fullmatch(self.memory) or "say a size like 512MiB or 2GiB",
            "CPU": re.fullmatch("[1-9][0-9]*", self.cpu) or "say a number of cores",
            "PROCESSES": self.processes in PROCESSES or f"say {PROCESSES[0]} to {PROCESSES[-1]}",
            "DISK": SIZE.fullmatch(self.disk) or "say a size like 3GiB",
            "OUTPUT": not self.output or self.output >= OUTPUT_LEAST or f"say 0, or at least {OUTPUT_LEAST} bytes/s",
        }
        return [f"LIMIT_{name}: {what}" for name, what in found.items() if isinstance(what, str)]


DEFAULTS = Limits()


def resolved(*names: str, lesson: str = "l", course: str = "o") -> str:
    """SQL: these limits as the lesson says, else as its course does, else NULL; for tables of these short names."""
    return ", ".join(f"coalesce({lesson}.{name}, {course}.{name}) AS {name}" for name in names)
