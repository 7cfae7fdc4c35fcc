"""A terminado server: `python -m tests.bench.terminado_server PORT COMMAND…`; a shell per socket on /ws."""

import asyncio
import sys

from terminado.management import UniqueTermManager
from terminado.websocket import TermSocket
from tornado.web import Application


async def main(port: int, command: list[str]) -> None:
    manager = UniqueTermManager(shell_command=command)
    application = Application([(r"/ws", TermSocket, {"term_manager": manager})])
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
