"""The few requests of LXD's API that set-up needs, on a unix socket or over https with the server's certificates."""

import contextlib
import http.client
import json
import os
import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from deploy.commands import Failed

ANSWER_SECONDS = 5.0
WORK_SECONDS = 300.0  # the upload and unpacking of an image
BLOCK = 1 << 20  # bytes read at once


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("lxd", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """LXD behind an address as LXD_URL has it; LXD_CERT, LXD_KEY and LXD_SERVER_CERT are read for https."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> Any:
        """What lies at the path."""
        return self._request("GET", path, ANSWER_SECONDS)["metadata"]

    def has(self, path: str) -> bool:
        """Whether something lies at the path."""
        return bool(
            self._request("GET", path, ANSWER_SECONDS, missing_is_fine=True)["status_code"] == http.HTTPStatus.OK
        )

    def delete(self, path: str) -> None:
        """Removes what lies there, and waits until it is gone."""
        self._finish(self._request("DELETE", path, WORK_SECONDS))

    def import_image(self, project: str, meta: Path, rootfs: Path) -> None:
        """Uploads an image of two files, without a copy in memory."""
        boundary = secrets.token_hex(16)
        heads = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{path.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            for name, path in (("metadata", meta), ("rootfs", rootfs))
        ]
        end = f"--{boundary}--\r\n".encode()

        def body() -> Iterator[bytes]:
            for head, path in zip(heads, (meta, rootfs), strict=True):
                yield head
                with path.open("rb") as file:
                    while block := file.read(BLOCK):
                        yield block
                yield b"\r\n"
            yield end

        size = sum(len(head) + path.stat().st_size + 2 for head, path in zip(heads, (meta, rootfs), strict=True))
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(size + len(end)),
        }
        path = f"/1.0/images?project={quote(project)}"
        self._finish(self._request("POST", path, WORK_SECONDS, body=body(), headers=headers))

    def name_image(self, project: str, name: str, fingerprint: str) -> None:
        """Gives the image its alias."""
        body = json.dumps({"name": name, "target": fingerprint}).encode()
        self._request("POST", f"/1.0/images/aliases?project={quote(project)}", ANSWER_SECONDS, body=body)

    def _finish(self, answer: dict[str, Any]) -> None:
        if answer["type"] == "async":
            path = f"{answer['operation'].partition('?')[0]}/wait?timeout={WORK_SECONDS:.0f}"
            done = self._request("GET", path, WORK_SECONDS + ANSWER_SECONDS)["metadata"]
            if done["status_code"] != http.HTTPStatus.OK:
                raise Failed(f"LXD: {done['description']}: {done['err'] or done['status']}")

    def _request(
        self,
        method: str,
        path: str,
        seconds: float,
        *,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        missing_is_fine: bool = False,
    ) -> dict[str, Any]:
        try:
            with contextlib.closing(self._connection(seconds)) as connection:
                connection.request(method, path, body=body, headers=dict(headers or {}))
                response = connection.getresponse()
                answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed(f"LXD at {self.address} does not answer: {error}") from error
        answer["status_code"] = response.status
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            if missing_is_fine and response.status == http.HTTPStatus.NOT_FOUND:
                return answer
            raise Failed(f"LXD refuses {method} {path}: {answer.get('error')}")
        return answer

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if not self.address.startswith("https://"):
            return _UnixConnection(self.address.removeprefix("unix://"), seconds)
        parts = urlsplit(self.address)
        context = ssl.create_default_context(cafile=os.environ.get("LXD_SERVER_CERT") or None)
        context.check_hostname = False  # LXD's certificate is its own; it is pinned, not named
        if os.environ.get("LXD_CERT"):
            context.load_cert_chain(os.environ["LXD_CERT"], os.environ.get("LXD_KEY"))
        return http.client.HTTPSConnection(parts.hostname or "", parts.port or 8443, timeout=seconds, context=context)
