"""Holder: the binary that owns a pty in a container: where it lies, how it is run, how it gets there.

The program itself is the C beside this file; its frames are `terminals/link/frames.py`'s.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from terminals.errors import Refused
from terminals.lxd import Lxd

FOLDER = "/opt/educenter"
PREFIX = "holder-"
STATE_FOLDER, SOCKET = "/dev/.educenter", ".sock"
"""Where each running holder of a container has its socket, ID.sock: `state.h` says so, too."""

ANY = ""
"""The kind of a binary that goes into every container, whatever it says it is."""


class Holder:
    """One version of the binary, for one or more kinds of processors.

    Its path in a container holds its hash, so a running one is never overwritten.
    """

    def __init__(self, binaries: Mapping[str, bytes]) -> None:
        """By what LXD calls the processor's kind: x86_64, aarch64."""
        self._binaries = binaries
        # All of them: one name for each build of the server, whatever kinds its labs' hosts are of.
        whole = hashlib.sha256(b"".join(binaries[kind] for kind in sorted(binaries)))
        self.version = whole.hexdigest()[:12]
        self.path = f"{FOLDER}/{PREFIX}{self.version}"

    @classmethod
    def load(cls, path: Path) -> "Holder":
        """Reads the built binary (`make -C terminals/holder`), or the folder's `holder-KIND`, one for each kind."""
        return cls({kind: file.read_bytes() for kind, file in built(path).items()})

    def start(self, terminal: str, size: tuple[int, int]) -> list[str]:
        """The command that starts a new terminal's holder, or finds the one that a dead owner started, and bridges to it."""
        return [self.path, "start", terminal, str(size[0]), str(size[1])]

    def attach(self, terminal: str) -> list[str]:
        """The command that bridges to a running holder and never starts one."""
        return [self.path, "attach", terminal]

    async def install(self, lxd: Lxd, container: str) -> None:
        """Puts the binary into a container.

        Raises:
            Refused: there is none for its kind of processor.
        """
        binary = self._binaries.get(ANY) or await self._fitting(lxd, container)
        for folder in ("/opt", FOLDER):
            await lxd.make_folder(container, folder, 0o755)
        await lxd.push(container, self.path, binary, 0o755)

    def missing(self, error: Refused) -> bool:
        """Whether LXD refused an exec because this binary isn't in the container."""
        # LXD's word for it, not the container's: a holder's own refusal has another code.
        return error.code == Refused.code and "command not found" in error.message.lower()

    async def _fitting(self, lxd: Lxd, container: str) -> bytes:
        kind = str((await lxd.instance(container))["architecture"])
        if kind not in self._binaries:
            there = ", ".join(sorted(self._binaries))
            raise Refused(f"There is no holder for {kind} containers, only for {there} (HOLDER_PATH)", code="no_holder")
        return self._binaries[kind]


def built(path: Path) -> dict[str, Path]:
    """Kind of processor → file, of what HOLDER_PATH names."""
    if not path.is_dir():
        return {ANY: path}
    return {file.name.removeprefix(PREFIX): file for file in sorted(path.glob(f"{PREFIX}*"))}
