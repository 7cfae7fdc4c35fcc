"""Inside: files and commands of a container."""

import json
from dataclasses import dataclass
from typing import cast

import pylxd

from terminals.errors import NotFound, Refused
from terminals.lxd.caller import Caller


@dataclass(frozen=True, slots=True)
class ExecSockets:
    """A started exec: its operation's id and the websocket secrets by stream. LXD waits 5 s for all to be connected."""

    operation: str
    secrets: dict[str, str]


class Inside(Caller):
    """Whatever runs there may be hostile: what it says is bounded."""

    async def push(self, name: str, path: str, data: bytes, mode: int) -> None:
        """Writes a root-owned file into a container. Never over a running binary: LXD can't."""

        def call(client: pylxd.Client) -> None:
            headers = {"X-LXD-type": "file", "X-LXD-mode": f"{mode:04o}", "X-LXD-uid": "0", "X-LXD-gid": "0"}
            client.api.instances[name].files.post(params={"path": path}, data=data, headers=headers)

        await self._run("push", call, name)

    async def remove(self, name: str, path: str) -> None:
        """Deletes a file in a container.

        Raises:
            NotFound, Refused: there is none.
        """
        await self._run("remove", lambda c: c.api.instances[name].files.delete(params={"path": path}), name)

    async def make_folder(self, name: str, path: str, mode: int) -> None:
        """Makes a root-owned folder in a container; one that is there is left as it is."""

        def call(client: pylxd.Client) -> None:
            headers = {"X-LXD-type": "directory", "X-LXD-mode": f"{mode:04o}", "X-LXD-uid": "0", "X-LXD-gid": "0"}
            client.api.instances[name].files.post(params={"path": path}, headers=headers)

        await self._run("make_folder", call, name)

    async def read(self, name: str, path: str, most: int) -> bytes:
        """The first bytes of a file in a container, at most so many.

        Raises:
            NotFound, Refused: there is none.
        """

        def call(client: pylxd.Client) -> bytes:
            # A file in a container may have any size.
            with client.api.instances[name].files.get(params={"path": path}, stream=True) as response:
                return cast("bytes", next(response.iter_content(most), b""))

        return await self._run("read", call, name)

    async def folder(self, name: str, path: str, most: int) -> list[str]:
        """What lies in a folder of a running container, by name.

        Raises:
            NotFound, Refused: there is none, or the names take more than `most` bytes.
        """

        def call(client: pylxd.Client) -> list[str]:
            found = b""
            with client.api.instances[name].files.get(params={"path": path}, stream=True) as response:
                if response.headers.get("X-LXD-type") != "directory":
                    raise Refused(f"{path} is no folder")
                for chunk in response.iter_content(most):
                    found += chunk
                    if len(found) > most:
                        raise Refused(f"there is too much in {path}")
            return [str(each) for each in json.loads(found)["metadata"]]

        return await self._run("folder", call, name)

    async def exec(
        self, name: str, command: list[str], environment: dict[str, str], user: tuple[int, int] = (0, 0)
    ) -> ExecSockets:
        """Starts a non-interactive exec whose streams wait to be connected within 5 s; `user`: uid and gid."""
        body = {
            "user": user[0],
            "group": user[1],
            "command": command,
            "interactive": False,
            "wait-for-websocket": True,
            "environment": environment,
            "record-output": False,
        }

        def call(client: pylxd.Client) -> ExecSockets:
            operation = client.api.instances[name]["exec"].post(json=body).json()["metadata"]
            return ExecSockets(operation["id"], operation["metadata"]["fds"])

        return await self._run("exec", call, name)

    async def outcome(self, operation: str) -> int | None:
        """An ended exec's exit status; None: it didn't end by itself. An operation is forgotten 5 s after its end."""

        def call(client: pylxd.Client) -> int | None:
            found = client.api.operations[operation].wait.get(params={"timeout": 5}).json()["metadata"]
            status = (found.get("metadata") or {}).get("return")
            return int(status) if status is not None and not found.get("err") else None

        try:
            return await self._run("outcome", call)
        except NotFound:
            return None

    async def complaint(self, operation: str) -> str:
        """Why an exec failed, in LXD's words; empty when it doesn't say. An operation is forgotten 5 s after its end."""

        def call(client: pylxd.Client) -> str:
            found = client.api.operations[operation].wait.get(params={"timeout": 2}).json()["metadata"]
            status = (found.get("metadata") or {}).get("return", 0)
            return found.get("err") or {126: "Command not executable", 127: "Command not found"}.get(int(status), "")

        try:
            return await self._run("complaint", call)
        except NotFound:
            return ""
