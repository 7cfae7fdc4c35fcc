"""Holder: the binary that owns a pty in a container: where it lies, how it is run, how it gets there.

The program itself is the C beside this file; its frames are `terminals/link/frames.py`'s.
"""

import hashlib
from pathlib import Path

from terminals.errors import Refused
from terminals.lxd import Lxd

FOLDER = "/opt/educenter"


class Holder:
    """One version of the binary. Its path in the container holds its hash, so a running one is never overwritten."""

    def __init__(self, binary: bytes) -> None:
        self._binary = binary
        self.version = hashlib.sha256(binary).hexdigest()[:12]
        self.path = f"{FOLDER}/holder-{self.version}"

    @classmethod
    def load(cls, path: Path) -> "Holder":
        """Reads the built binary (`make -C terminals/holder`)."""
        return cls(path.read_bytes())

    def start(self, terminal: str, size: tuple[int, int]) -> list[str]:
        """The command that starts a new terminal's holder, or finds the one that a dead owner started, and bridges to it."""
        return [self.path, "start", terminal, str(size[0]), str(size[1])]

    def attach(self, terminal: str) -> list[str]:
        """The command that bridges to a running holder and never starts one."""
        return [self.path, "attach", terminal]

    async def install(self, lxd: Lxd, container: str) -> None:
        """Puts the binary into a container."""
        for folder in ("/opt", FOLDER):
            await lxd.make_folder(container, folder, 0o755)
        await lxd.push(container, self.path, self._binary, 0o755)

    def missing(self, error: Refused) -> bool:
        """Whether LXD refused an exec because this binary isn't in the container."""
        # LXD's word for it, not the container's: a holder's own refusal has another code.
        return error.code == Refused.code and "command not found" in error.message.lower()
