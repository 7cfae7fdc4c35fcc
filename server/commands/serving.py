"""Serving: run an instance, or ask instances to go."""

import argparse
import asyncio
import gc
import logging
import os
import socket
import sys
from typing import NoReturn

import uvloop
from aiohttp import web

from server import app, drain, workers
from server.commands.grammar import Grammar
from server.settings import Settings
from server.signals import Signals
from terminals.fleet.bus import Bus
from terminals.fleet.instances import Instances

BACKLOG = 1024
"""A class that reconnects at once."""
SHUTDOWN_S = 5
"""After the drain, for requests that are still being answered."""


WORKERS = (
    "so many processes on one port, each an instance of its own (1). One that dies is started again; "
    "SIGTERM drains all. /metrics answers for whichever was reached"
)


def add_to(grammar: Grammar) -> None:
    """`serve` and `drain`."""
    serving = grammar.add("serve", serve, "Serve pages, API and terminals on HOST:PORT until SIGTERM, which drains.")
    serving.add_argument("--workers", type=_workers, default=1, metavar="N", help=WORKERS)
    text = "Ask instances to go, as SIGTERM does, and wait until they are gone: pages go on elsewhere."
    draining = grammar.add("drain", drain_instances, text)
    which = draining.add_mutually_exclusive_group(required=True)
    which.add_argument("instances", nargs="*", default=[], metavar="INSTANCE", help="as --list names it")
    which.add_argument("--all", action="store_true", help="all that live, at the same time")
    which.add_argument(
        "--list", action="store_true", help="only list those that live, and how many terminals each owns"
    )
    draining.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait (30)")


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= workers.MOST:
        raise argparse.ArgumentTypeError(f"say a number from 1 to {workers.MOST}")
    return int(text)


def serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT."""
    listener = _listen(settings)
    if listener is None:
        return 1
    # What was imported stays: a collection that walks it stops everybody's keys for tens of milliseconds.
    gc.collect()
    gc.freeze()
    if arguments.workers == 1:
        _run(settings, listener)
    return workers.Workers(arguments.workers, listener, lambda: _run(settings.anew(), listener)).run()


def _run(settings: Settings, listener: socket.socket) -> NoReturn:
    """One instance, in this process."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    application = app.build(settings)
    application.on_startup.insert(0, Signals().listen)
    web.run_app(
        application,
        sock=listener,
        loop=loop,
        print=None,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        handle_signals=False,
        handler_cancellation=False,
    )
    # Python waits for its threads at exit, and a call that LXD doesn't answer takes 70 s: the drain is done, so go.
    logging.shutdown()
    os._exit(0)


def _listen(settings: Settings) -> socket.socket | None:
    """The listening socket, bound before anything is connected; None, with the reason on stderr, where it can't be."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        what = f"HOST={settings.host} PORT={settings.port}: {error.strerror or error}"
        print(f"{what}. Another server may run there: stop it, or choose another PORT", file=sys.stderr)
        return None


def drain_instances(settings: Settings, arguments: argparse.Namespace) -> int:
    async def work() -> int:
        redis = app.make_redis(settings)
        try:
            instances = Instances(redis)
            if arguments.list:
                await drain.show(instances)
                return 0
            return await drain.drain(instances, Bus(redis), arguments.instances, arguments.timeout)
        finally:
            await redis.aclose()

    return asyncio.run(work())
