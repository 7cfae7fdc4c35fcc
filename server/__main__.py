"""The commands: `python -m server serve | drain | migrate | seed | lxd setup | user …`."""

import argparse
import asyncio
import gc
import getpass
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import uvloop
from aiohttp import web

from server import app, drain, logs, migrate, seed, workers
from server.passwords import Passwords
from server.settings import BadSettings, Settings, read
from server.signals import Signals
from terminals.bus import Bus
from terminals.errors import Conflict, TerminalsError
from terminals.holder import Holder
from terminals.instances import Instances
from terminals.pool import Pool
from terminals.store import Store
from terminals.store.database import Database

BACKLOG = 1024
"""A class that reconnects at once."""
SHUTDOWN_S = 5
"""After the drain, for requests that are still being answered."""
WORKERS = (
    "so many processes on one port, each an instance of its own (1). One that dies is started again; "
    "SIGTERM drains all. /metrics answers for whichever was reached"
)


def main() -> int:
    """The exit status: 0, 1 when a service or a command failed, 2 for wrong settings or arguments."""
    arguments = parser().parse_args()
    try:
        settings = read()
    except BadSettings as error:
        print("The settings are wrong (.env.example explains them all):", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level, settings.log_format)
    try:
        command: Callable[[Settings, argparse.Namespace], int | None] = arguments.command
        return command(settings, arguments) or 0
    except (TerminalsError, migrate.MigrateFailed) as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """What there is, with help that teaches."""
    top = argparse.ArgumentParser(
        prog="python -m server",
        description="EduCenter Terminals. Settings come from the environment; .env.example explains them all.",
        epilog="First time on a machine: migrate, lxd setup, user add (or seed --demo), serve.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str, group: object = commands) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
        found.set_defaults(command=command)
        return found

    serving = add("serve", serve, "Serve pages, API and terminals on HOST:PORT until SIGTERM, which drains.")
    serving.add_argument("--workers", type=_workers, default=1, metavar="N", help=WORKERS)
    draining = add(
        "drain",
        drain_instances,
        "Ask instances to go, as SIGTERM does, and wait until they are gone: pages go on elsewhere.",
    )
    which = draining.add_mutually_exclusive_group(required=True)
    which.add_argument("instances", nargs="*", default=[], metavar="INSTANCE", help="as --list names it")
    which.add_argument("--all", action="store_true", help="all that live, at the same time")
    which.add_argument(
        "--list", action="store_true", help="only list those that live, and how many terminals each owns"
    )
    draining.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait (30)")
    migrating = add(
        "migrate", migrate_database, "Bring the database to this version. Safe at any time, also twice at once."
    )
    migrating.add_argument("--rollback", type=int, metavar="N", help="take the newest N migrations back instead")
    seeding = add("seed", seed_database, "Fill the database with a demo course, a teacher and 30 students.")
    seeding.add_argument("--demo", action="store_true", required=True, help="the demo course (the only seed there is)")
    lxd = commands.add_parser("lxd", help="Prepare LXD.").add_subparsers(required=True, metavar="COMMAND")
    add("setup", setup_lxd, "Make our storage pool, project and profile, and a template of every image.", lxd)
    users = commands.add_parser("user", help="People.").add_subparsers(required=True, metavar="COMMAND")
    adding = add("add", add_user, "Add a user, or change one. Asks for the password, or reads it from stdin.", users)
    adding.add_argument("email")
    adding.add_argument("name")
    adding.add_argument("--admin", action="store_true", help="may do everything")
    adding.add_argument("--course", help="enrol in this course")
    adding.add_argument("--role", choices=("student", "instructor"), default="student")
    add("list", list_users, "List everybody.", users)
    for name, command, text in (
        ("revoke", revoke_user, "End every sign-in of a user and close their sockets."),
        ("delete", delete_user, "End a user's labs and delete them."),
    ):
        add(name, command, text, users).add_argument("email")
    return top


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


def migrate_database(settings: Settings, arguments: argparse.Namespace) -> None:
    if arguments.rollback:
        done = migrate.roll_back(settings.database_url, arguments.rollback)
    else:
        done = migrate.apply(settings.database_url)
    print("\n".join(done) if done else "Nothing to do.")


def seed_database(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, passwords: Passwords) -> None:
        await seed.demo(store, passwords)

    _with_store(settings, work)
    print(f"teacher@demo.test, student01@demo.test … student30@demo.test, password {seed.PASSWORD}, while DEMO=on.")


def setup_lxd(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work() -> None:
        lxd = app.make_lxd(settings)
        try:
            for made in await lxd.setup(settings.lxd_pool, settings.lxd_pool_driver, settings.lxd_pool_size):
                print(f"made {made}")
            pool = Pool(lxd, Holder.load(settings.holder_path), settings.lxd_pool, settings.deployment, {})
            for image, template in (await pool.prepare()).items():
                print(f"template of {image}: {template}")
        finally:
            lxd.close()

    asyncio.run(work())


def add_user(settings: Settings, arguments: argparse.Namespace) -> int:
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < 8:
        print("The password must have at least 8 characters", file=sys.stderr)
        return 2

    async def work(store: Store, passwords: Passwords) -> None:
        password_hash = await passwords.hash(password)
        user = await store.users.put(arguments.email, arguments.name, password_hash, admin=arguments.admin)
        if arguments.course:
            await store.courses.enrol(arguments.course, user, arguments.role)

    _with_store(settings, work)
    return 0


def list_users(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        for user in await store.users.all():
            print(f"{user.email}\t{user.name}{'  (admin)' if user.admin else ''}{'  (demo)' if user.demo else ''}")

    _with_store(settings, work)


def revoke_user(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[object] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        user = await store.users.revoke(arguments.email)
        found.append(user)
        if user is not None:
            redis = app.make_redis(settings)
            await Bus(redis).notify("revoked", str(user))
            await redis.aclose()

    _with_store(settings, work)
    return _known(found[0] is not None, arguments.email)


def delete_user(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        for session in await store.sessions.running(arguments.email):
            await store.sessions.end(session)
        try:
            found.append(await store.users.delete(arguments.email))
        except Conflict as error:
            message = "Their labs have been ended; any server deletes the containers now. Try again in a minute"
            raise Conflict(message) from error

    _with_store(settings, work)
    return _known(found[0], arguments.email)


def _known(found: bool, email: str) -> int:
    if not found:
        print(f"There is no user {email}", file=sys.stderr)
    return 0 if found else 1


def _with_store(settings: Settings, work: Callable[[Store, Passwords], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _opened(settings) as (store, passwords):
            await work(store, passwords)

    asyncio.run(run())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Store, Passwords]]:
    async with Database.connected(settings.database_url) as database:
        passwords = Passwords()
        try:
            yield Store.over(database), passwords
        finally:
            passwords.close()


if __name__ == "__main__":
    sys.exit(main())
