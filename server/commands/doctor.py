"""Doctor: everything that an operator can get wrong, looked at, and what to mend."""

import argparse
import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

import structlog

from server import app
from server.commands.grammar import Grammar
from server.doctor import lxd as labs
from server.doctor import machine
from server.doctor.finding import Finding, Topic, blocking, examine, failed, machine_readable, table, warning
from server.doctor.postgresql import postgresql
from server.doctor.redis import redis
from server.doctor.trial import Trial
from server.settings import Settings
from terminals.holder import Holder
from terminals.labs.shells import Shells
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.database import Database

TRIAL_S = 45.0
"""For one step of the trial: the first is to make a container."""
NODE_S = 10.0


def add_to(grammar: Grammar) -> None:
    """`doctor`."""
    text = "Look at everything that can be wrong (settings, services, LXD's host, what was built) and say what to mend."
    found = grammar.add("doctor", doctor, text)
    found.set_defaults(tolerant=True)
    found.add_argument("--json", action="store_true", help="for machines")
    found.add_argument("--quick", action="store_true", help="without the trial container, which takes a few seconds")


def doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    """0: nothing is wrong; 1: something is."""
    problems: list[str] = arguments.problems
    # Beside the table nobody wants the log.
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def work() -> None:
        async with AsyncExitStack() as stack:
            findings = await examine(await _topics(stack, settings, problems, quick=arguments.quick))
            print(machine_readable(findings) if arguments.json else table(findings), flush=True)
            # Python would wait for its threads, and a call that LXD doesn't answer takes 70 s.
            os._exit(1 if failed(findings) else 0)

    asyncio.run(work())
    return 1


async def _topics(stack: AsyncExitStack, settings: Settings, problems: list[str], *, quick: bool) -> list[Topic]:
    """What is named wrongly isn't asked."""
    named = {problem.split(":")[0].split("=")[0] for problem in problems}
    local = not settings.lxd_url.startswith("https://")
    topics = [
        Topic("settings", blocking(lambda: machine.settings(settings, problems))),
        Topic("versions", blocking(machine.versions)),
        Topic("this host", blocking(machine.room)),
        Topic("pages", blocking(lambda: machine.bundle(settings.static_dir))),
        Topic("screen helper", lambda: machine.screens(settings.node, settings.screen_script), NODE_S),
        Topic("door", blocking(lambda: machine.door(settings.door_dir, local=local))),
    ]
    if "HOLDER_PATH" not in named:
        topics.append(Topic("holder's binary", lambda: machine.holder(settings.holder_path)))
    if "DATABASE_URL" not in named:
        topics.append(Topic("PostgreSQL", lambda: postgresql(settings.database_url)))
    if "REDIS_URL" not in named:
        client = app.make_redis(settings)
        topics.append(Topic("Redis", lambda: redis(client)))
    if not named & {"LXD_URL", "LXD_CERT", "LXD_KEY", "LXD_SERVER_CERT"}:
        lxd = app.make_lxd(settings)
        topics.append(Topic("LXD", lambda: labs.lxd(lxd, settings)))
        topics.append(Topic("LXD's host", lambda: labs.kernel(lxd, local=local)))
        if not named & {"DATABASE_URL", "HOLDER_PATH"}:
            database = await stack.enter_async_context(Database.connected(settings.database_url))
            topics += _of_labs(settings, lxd, Store.over(database, settings.limits), quick=quick)
    return topics


def _of_labs(settings: Settings, lxd: Lxd, store: Store, *, quick: bool) -> Sequence[Topic]:
    holder = Holder.load(settings.holder_path)

    async def images() -> AsyncGenerator[Finding, None]:
        wanted = [kind.needs.image for kind in await store.lessons.kinds()]
        async with aclosing(labs.images(lxd, wanted, holder.version)) as findings:
            async for finding in findings:
                yield finding

    async def networks() -> AsyncGenerator[Finding, None]:
        wanted = {kind.needs.network for kind in await store.lessons.kinds()}
        async with aclosing(labs.networks(app.make_networks(settings, lxd), wanted)) as findings:
            async for finding in findings:
                yield finding

    async def trial() -> AsyncGenerator[Finding, None]:
        there = await lxd.image_aliases()
        if not there:
            yield warning("trial container", "there is no image to make one of", "import one (operations.md, Images)")
            return
        names = await lxd.names()
        made = [image for image in sorted(there) if f"template-{there[image][:12]}-{holder.version}" in names]
        if not made:
            yield warning("trial container", "no image has a template yet", "python -m server lxd setup")
            return
        containers = app.make_containers(settings, lxd, holder)
        async with aclosing(Trial(lxd, containers, Shells(lxd, holder), made[0]).run()) as findings:
            async for finding in findings:
                yield finding

    admission = app.make_admission(settings, store, lxd)
    topics = [
        Topic("images", images),
        Topic("networks", networks),
        Topic("room for labs", lambda: labs.capacity(admission)),
    ]
    return topics if quick else [*topics, Topic("trial container", trial, TRIAL_S)]
