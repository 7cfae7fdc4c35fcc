"""Homes: a student's files, taken home as one archive and brought in one by one, always as that student."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath

import structlog

from terminals.errors import Conflict, Cut, Invalid, NotFound, Refused
from terminals.labs.containers import Containers
from terminals.link.pipe import STALL_S, Login, Pipe
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.sessions import Session
from terminals.tallies import counts

log = structlog.get_logger(__name__)

UPLOADS = "uploads"
"""The folder in the home that files are brought into."""
STUDENT = "student"
ROOT = Login(0, 0, "/root")
"""Whose home it is where the image has no student."""
PASSWD_BYTES = 65_536
NAME_BYTES = 240
"""A file system takes 255; " (999)" must fit, too."""
CHANGED = 1
"""GNU tar: a file changed while it was read. It is in the archive as it was then."""
# gzip is all that takes time here, 20 to 40 ms a megabyte, and gains nothing where most of the home is packed already: pictures,
# archives, disk images. A quarter of a megabyte out of each large file tells. Without find, dd or du it is gzip.
ARCHIVE = """
cd "$1" || exit 10
kilobytes() {
    find "$@" -type f -exec du -k {} + 2>/dev/null | { sum=0; while read -r k _; do sum=$((sum + k)); done; echo "$sum"; }
}
sample() {
    take='for f; do dd if="$f" bs=64k skip=16 count=4 2>/dev/null; done'
    find "$1" -type f -size +4095k -exec sh -c "$take" sample {} + 2>/dev/null | head -c 8388608
}
packed() {
    large=$(kilobytes "$1" -size +4095k)
    [ "$large" -ge 16384 ] && [ $((large * 2)) -ge "$(kilobytes "$1")" ] || return 1
    [ $(($(sample "$1" | gzip -1 2>/dev/null | wc -c) * 10)) -ge $(($(sample "$1" | wc -c) * 9)) ]
}
gnu() { tar --version 2>/dev/null | grep -q GNU; }
if packed "$2"; then
    gnu && exec tar --ignore-failed-read -b 256 -S -cf - "$2"
    exec tar -cf - "$2"
fi
gnu && exec tar --ignore-failed-read -b 256 -I 'gzip -1' -S -cf - "$2"
exec tar -czf - "$2"
"""
GZIP = b"\x1f\x8b"
"""How its output begins, and tar's doesn't."""
# What a killed server left is removed with the next one. The name is taken by a link: it fails where there is one already.
BRING = """
umask 022
mkdir -p "$1" && cd "$1" || exit 11
find . -maxdepth 1 -name '.upload-*' -mmin +10 -exec rm -f {} \\; 2>/dev/null
part=".upload-$2"
trap 'rm -f "$part"' EXIT
cat > "$part" || exit 12
[ "$(wc -c < "$part")" -eq "$3" ] || exit 13
number=1 name="$4$5"
while [ -e "$name" ] || [ -L "$name" ] || ! ln "$part" "./$name"; do
    number=$((number + 1))
    [ "$number" -le 999 ] || exit 14
    name="$4 ($number)$5"
done
printf %s "$name"
"""
FULL = ("no space", "quota exceeded", "file too large")


class Homes:
    """Of live sessions."""

    def __init__(self, store: Store, lxd: Lxd, containers: Containers) -> None:
        self._store = store
        self._lxd = lxd
        self._containers = containers
        self.files = counts("download", "upload")
        """How often one came whole."""
        self.bytes = counts("download", "upload")
        """Of archives and files, whole or not."""

    async def check(self, session: Session) -> str:
        """The session's container, which runs.

        Raises:
            Conflict: the session isn't live, or is restarting.
            Refused, Unavailable: LXD's answer.
        """
        container = await self._store.containers.of_session(session.id)
        if session.state != "live" or container is None:
            raise Conflict("This lab isn't running", code="not_live")
        if session.restarting:
            raise Conflict("The container of this lab is being restarted. Try again in a moment", code="restarting")
        await self._containers.wake(container)
        return container

    @asynccontextmanager
    async def archive(self, session: Session) -> AsyncIterator[AsyncIterator[bytes]]:
        """The home as tar, and gzip where that gains something (`GZIP`), a chunk at a time, no faster than it is taken.

        Raises:
            as `check`; and Cut, at the end or before it: what came isn't whole.
        """
        container = await self.check(session)
        login = await self._login(container)
        home = PurePosixPath(login.home)
        command = ["/bin/sh", "-c", ARCHIVE, "archive", str(home.parent), home.name or "."]
        async with Pipe.running(self._lxd, container, command, login) as pipe:
            yield self._chunks(pipe, session.id)

    async def _chunks(self, pipe: Pipe, session: str) -> AsyncIterator[bytes]:
        size = 0
        while chunk := await pipe.read():
            size += len(chunk)
            self.bytes["download"] += len(chunk)
            yield chunk
        status, complaint = await pipe.status()
        log.info("home_archived", session=session, bytes=size, status=status)
        if status not in (0, CHANGED):
            raise Cut(f"The archive couldn't be finished ({complaint[-200:] or f'status {status}'}). Try again")
        self.files["download"] += 1

    async def bring(self, session: Session, name: str, size: int, chunks: AsyncIterator[bytes]) -> str:
        """A new file of `size` bytes in `UPLOADS`; its name, which is another one where that is taken.

        Raises:
            as `check`; and
            Invalid: no file can have this name, or there were fewer bytes, or more.
            Conflict: the disk is full, or it can't be written.
        """
        stem, suffix = _split(name)
        container = await self.check(session)
        login = await self._login(container)
        folder = str(PurePosixPath(login.home) / UPLOADS)
        command = ["/bin/sh", "-c", BRING, "bring", folder, secrets.token_hex(8), str(size), stem, suffix]
        async with Pipe.running(self._lxd, container, command, login) as pipe:
            try:
                await self._pour(chunks, size, pipe)
            except Cut as error:
                log.info("upload_not_taken", session=session.id, reason=error.message)
            finally:
                # Also when the browser is gone: the command sees that bytes are missing, and clears up.
                await pipe.finish()
            stored = await _all(pipe)
            status, complaint = await pipe.status()
        if status != 0:
            raise _why(status, complaint)
        self.files["upload"] += 1
        log.info("file_brought", session=session.id, bytes=size)
        return stored

    async def _pour(self, chunks: AsyncIterator[bytes], size: int, pipe: Pipe) -> None:
        left = size
        while left:
            try:
                async with asyncio.timeout(STALL_S):
                    chunk = await anext(chunks, b"")
            except TimeoutError as error:
                raise Invalid("Nothing more came of the file", code="incomplete") from error
            if not chunk:
                return
            await pipe.write(chunk[:left])
            self.bytes["upload"] += min(left, len(chunk))
            left -= min(left, len(chunk))

    async def _login(self, container: str) -> Login:
        """The image's student, or root. What the file says is the container's: it decides for itself only."""
        try:
            data = await self._lxd.read(container, "/etc/passwd", PASSWD_BYTES)
        except (NotFound, Refused):
            return ROOT
        for line in data.decode("utf-8", "replace").splitlines():
            match line.split(":"):
                case [name, _, uid, gid, _, home, _] if name == STUDENT and uid.isdecimal() and gid.isdecimal():
                    return Login(int(uid) % 2**31, int(gid) % 2**31, home if home.startswith("/") else "/")
        return ROOT


async def _all(pipe: Pipe) -> str:
    """A name: its bound is the script's, and a hostile one is cut."""
    found = b""
    while (chunk := await pipe.read()) and len(found) < 4 * NAME_BYTES:
        found += chunk
    return found[: 4 * NAME_BYTES].decode("utf-8", "replace")


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix of a name that a file can have.

    Raises:
        Invalid: none can.
    """
    name = " ".join(name.split())  # blanks of all kinds, as Macs put into the names of screenshots
    if not name or name in (".", "..") or "/" in name or not name.isprintable():
        raise Invalid("A file's name has no slash and no control characters", code="bad_name")
    if len(name.encode()) > NAME_BYTES:
        raise Invalid(f"The file's name is longer than {NAME_BYTES} bytes: give it a shorter one", code="bad_name")
    path = PurePosixPath(name)
    return path.stem, path.suffix


def _why(status: int | None, complaint: str) -> Conflict | Invalid | Cut:
    reason = complaint.splitlines()[-1][-200:] if complaint else ""
    if any(words in complaint.lower() for words in FULL):
        return Conflict(
            "The disk of your container is full: delete something first. Nothing was kept", code="disk_full"
        )
    match status:
        case 11 | 12:
            return Conflict(f"Your container can't store it ({reason or 'no reason given'})", code="not_stored")
        case 13:
            return Invalid("The file didn't come whole. Nothing was kept; send it again", code="incomplete")
        case 14:
            return Conflict("There are too many files of this name", code="too_many")
        case _:
            return Cut("The file couldn't be stored: the container was stopped. Send it again")
