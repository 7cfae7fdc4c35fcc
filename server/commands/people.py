"""People: users, added, listed, sent away and deleted."""

import argparse
import getpass
import sys

from server import app
from server.commands.grammar import Grammar
from server.commands.opened import known, with_store
from server.links import Links
from server.passwords import Passwords
from server.settings import Settings
from terminals.errors import Conflict
from terminals.fleet.bus import Bus
from terminals.store import Store


def add_to(grammar: Grammar) -> None:
    """`user …`."""
    users = grammar.group("user", "People.")
    text = "Add a user, or change one. Asks for the password, or reads it from stdin."
    adding = users.add("add", add_user, text)
    adding.add_argument("email")
    adding.add_argument("name")
    adding.add_argument("--admin", action="store_true", help="may do everything")
    adding.add_argument("--course", help="enrol in this course")
    adding.add_argument("--role", choices=("student", "instructor"), default="student")
    users.add("list", list_users, "List everybody.")
    revoking = users.add("revoke", revoke_user, "End every sign-in of a user and close their sockets.")
    deleting = users.add("delete", delete_user, "End a user's labs and delete them.")
    text = "Print a link with which a user sets a new password, once, within three days; they are signed out everywhere then."
    linking = users.add("link", link_user, text)
    for each in (revoking, deleting, linking):
        each.add_argument("email")


def add_user(settings: Settings, arguments: argparse.Namespace) -> int:
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")

    async def work(store: Store, passwords: Passwords) -> None:
        password_hash = await passwords.hash(password)
        user = await store.users.put(arguments.email, arguments.name, password_hash, admin=arguments.admin)
        if arguments.course:
            await store.courses.enrol(arguments.course, user, arguments.role)

    with_store(settings, work)
    return 0


def list_users(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        for user in await store.users.all():
            print(f"{user.email}\t{user.name}{'  (admin)' if user.admin else ''}{'  (demo)' if user.demo else ''}")

    with_store(settings, work)


def revoke_user(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[object] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        user = await store.users.revoke(arguments.email)
        found.append(user)
        if user is not None:
            redis = app.make_redis(settings)
            await Bus(redis).notify("revoked", str(user))
            await redis.aclose()

    with_store(settings, work)
    return known(found[0] is not None, f"user {arguments.email}")


def link_user(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        user = await store.users.by_email(arguments.email)
        found.append(user is not None)
        if user is not None:
            print(Links(settings.secret_key, settings.public_url).make(user))

    with_store(settings, work)
    return known(found[0], f"user {arguments.email}")


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

    with_store(settings, work)
    return known(found[0], f"user {arguments.email}")
