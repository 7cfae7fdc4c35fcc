"""App: composes settings, services and the core into one aiohttp application, in dependency order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import structlog
from aiohttp import web
from aiohttp_session import session_middleware
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server import api, auth, classroom, drain, health, homes, keys, metrics, middlewares, pages, teaching, ws
from server.jobs import running
from server.links import Links
from server.passwords import Passwords
from server.settings import Settings
from server.tickets import Tickets
from server.tunnels import Tunnels
from terminals.capacity import Policy as Allowed
from terminals.fleet.bus import Bus
from terminals.fleet.feeds import Feeds
from terminals.fleet.presence import Presence
from terminals.holder import Holder
from terminals.hub import Hub
from terminals.labs.admission import Admission
from terminals.labs.clearing import Clearing
from terminals.labs.containers import Containers
from terminals.labs.homes import Homes
from terminals.labs.networks import Networks
from terminals.labs.pool import Policy, Pool
from terminals.labs.power import Power
from terminals.labs.reconcile import Reconciler
from terminals.labs.shells import Shells
from terminals.labs.starts import Starts
from terminals.link.door import Door
from terminals.lxd import Address, Lxd, size_in_bytes
from terminals.school.acts import Acts
from terminals.school.classroom import Classroom
from terminals.school.hands import Hands
from terminals.school.janitor import Janitor
from terminals.school.keeper import Keeper
from terminals.school.keeping import Keeping
from terminals.school.outside import Outside
from terminals.school.sessions import Sessions
from terminals.screens.screen import Screens
from terminals.store import Store
from terminals.store.database import Database
from terminals.store.lives import Patience

log = structlog.get_logger(__name__)

REDIS_TIMEOUT_S = 3
BODY_LIMIT = 65_536
"""Bytes of a JSON body."""


def build(settings: Settings) -> web.Application:
    """An application that connects to its services when it starts, and starts while they are away."""
    redis = make_redis(settings)
    app = web.Application(
        client_max_size=BODY_LIMIT,
        middlewares=[
            middlewares.correlate,
            middlewares.explain,
            session_middleware(auth.storage(settings, redis)),
            middlewares.guard,
        ],
    )
    app[keys.SETTINGS] = settings
    app[keys.REDIS] = redis
    app[keys.METRICS] = metrics.Metrics()
    # Files are read here, before the loop runs: nothing may block it later.
    app[keys.HOLDER] = Holder.load(settings.holder_path)
    app[keys.LINKS] = Links(settings.secret_key, settings.public_url)
    app[keys.TICKETS] = Tickets(settings.secret_key)
    app[pages.BUNDLE] = pages.Bundle(settings.static_dir)
    app.cleanup_ctx.extend([_redis, _passwords, _store, _core, _jobs, _world])
    app.on_shutdown.append(_drain)
    app.add_routes(
        [*api.routes(), *homes.routes(), *classroom.routes(), *teaching.routes(), *pages.routes(), *health.routes()]
    )
    app.router.add_get("/ws/terminals/{id}", ws.terminal_socket)
    if settings.static_dir.is_dir():
        app.router.add_static("/static", settings.static_dir)
    return app


def make_lxd(settings: Settings) -> Lxd:
    """LXD as the settings name it."""
    address = Address(settings.lxd_url, settings.lxd_cert, settings.lxd_key, settings.lxd_server_cert)
    return Lxd(address, settings.lxd_project)


def make_containers(settings: Settings, lxd: Lxd, holder: Holder, door: Door | None = None) -> Containers:
    """What LXD's containers of this deployment have in common."""
    devices = door.devices() if door else {}
    return Containers(lxd, holder, settings.lxd_pool, settings.deployment, devices, make_networks(settings, lxd))


def make_networks(settings: Settings, lxd: Lxd) -> Networks:
    """Those that labs may have."""
    return Networks(lxd, settings.networks)


def policy(settings: Settings) -> Policy:
    """How many containers wait."""
    return Policy(settings.pool_ready, settings.pool_spare, settings.pool_most, settings.pool_awake)


def make_admission(settings: Settings, store: Store, lxd: Lxd) -> Admission:
    """How much room there is, by what the settings allow."""
    allowed = Allowed(
        settings.starts_at_once,
        settings.capacity_labs,
        settings.capacity_cpu,
        settings.capacity_memory,
        size_in_bytes(settings.capacity_disk) if settings.capacity_disk else None,
    )
    return Admission(store, lxd, settings.lxd_pool, allowed, settings.instance, settings.lxd_cluster_group)


def patience(settings: Settings) -> Patience:
    """How long labs are kept whose courses don't say it."""
    return Patience(
        settings.idle_freeze_minutes,
        settings.idle_stop_minutes,
        settings.idle_end_minutes,
        settings.lab_max_minutes,
    )


def now() -> datetime:
    """The clock by which labs are kept."""
    return datetime.now(UTC)


def make_redis(settings: Settings) -> Redis:
    """A client that answers or fails within seconds: who waits for Redis is a person."""
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        # One more try: a connection that went stale while Redis restarted isn't a failure.
        retry=Retry(NoBackoff(), 1),
        protocol=3,
    )


async def _redis(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[keys.REDIS].aclose()


async def _passwords(app: web.Application) -> AsyncIterator[None]:
    app[keys.PASSWORDS] = Passwords()
    yield
    app[keys.PASSWORDS].close()


async def _store(app: web.Application) -> AsyncIterator[None]:
    async with Database.connected(app[keys.SETTINGS].database_url) as database:
        app[keys.STORE] = Store.over(database, app[keys.SETTINGS].limits)
        yield


async def _core(app: web.Application) -> AsyncIterator[None]:
    settings, store = app[keys.SETTINGS], app[keys.STORE]
    lxd = app[keys.LXD] = make_lxd(settings)
    holder = app[keys.HOLDER]
    door = Door(settings.door_dir) if settings.door_dir else None
    if door is not None:
        await asyncio.to_thread(door.sweep)
    containers = make_containers(settings, lxd, holder, door)
    presence = app[keys.PRESENCE] = Presence(app[keys.REDIS], settings.instance)
    feeds = app[keys.FEEDS] = Feeds(app[keys.REDIS], settings.instance)
    screens = Screens(settings.node, settings.screen_script)
    hub = app[keys.HUB] = Hub(store, lxd, holder, containers, presence, feeds, settings.instance, door, screens)
    bus = app[keys.BUS] = Bus(app[keys.REDIS])
    bus.on("ended", hub.end_session)
    bus.on("rest", hub.rest)
    bus.on("restarting", hub.restart_session)
    bus.on("revoked", hub.revoke)
    bus.on(drain.NOTICE, drain.Drainee(settings.instance).asked)
    keeping = app[keys.KEEPING] = Keeping(store, patience(settings), now)
    app[keys.CLASSROOM] = Classroom(store, presence, keeping)
    app[keys.HOMES] = Homes(store, lxd, containers)
    app[keys.HANDS] = Hands(store)
    clearing = Clearing(store, containers)
    power = Power(store, containers)
    admission = app[keys.ADMISSION] = make_admission(settings, store, lxd)
    starts = app[keys.STARTS] = Starts(store, containers, clearing, power, settings.instance, admission)
    shells = Shells(lxd, holder)
    pool = app[keys.POOL] = Pool(store, containers, clearing, shells, policy(settings), admission)
    starts.used = pool.look
    sessions = app[keys.SESSIONS] = Sessions(store, starts, clearing, power, hub, bus)
    app[keys.ACTS] = Acts(store, app[keys.CLASSROOM], sessions, keeping)
    keeper = Keeper(store, sessions, power, shells, presence, bus, patience(settings), now)
    outside = app[keys.OUTSIDE] = Outside(store, lxd, power, sessions, hub, presence, now)
    reconciler = Reconciler(store, lxd, containers, clearing, power)
    janitor = app[keys.JANITOR] = Janitor(store, sessions, reconciler, keeper, settings.sweep_seconds)
    labs = metrics.Labs(starts, pool, admission, app[keys.HOMES])
    school = metrics.School(sessions, keeper, janitor, outside)
    app[keys.METRICS].watch(metrics.Core(hub, lxd), labs, school)
    tunnels = Tunnels(hub, feeds)
    yield
    await tunnels.close()
    await starts.close()
    await power.close()
    await clearing.close()
    await screens.close()
    lxd.close()


async def _jobs(app: web.Application) -> AsyncIterator[None]:
    hub = app[keys.HUB]
    feeds, presence = app[keys.FEEDS], app[keys.PRESENCE]
    told = (app[keys.BUS].run(), feeds.read(), feeds.send(), presence.run(hub.facts))
    labs = (app[keys.ADMISSION].run(), app[keys.STARTS].run(), app[keys.POOL].run())
    tending = (app[keys.OUTSIDE].run(), app[keys.JANITOR].run())
    async with running(hub.run(), hub.attend(), hub.heed(), *told, *labs, *tending):
        yield


async def _world(app: web.Application) -> AsyncIterator[None]:
    """Says at once what is missing; the instance starts all the same, and everything comes back by itself."""

    async def look() -> None:
        for service, answer in (await health.dependencies(app)).items():
            if answer != "ok":
                log.error("dependency_away", service=service, reason=answer)

    settings = app[keys.SETTINGS]
    log.info(
        "server_started",
        instance=settings.instance,
        host=settings.host,
        port=settings.port,
        public_url=settings.public_url,
        demo=settings.demo,
    )
    async with running(look()):
        yield


async def _drain(app: web.Application) -> None:
    log.info("server_draining", terminals=len(app[keys.HUB].terminals))
    await app[keys.HUB].drain()
    await app[keys.PRESENCE].leave()
    log.info("server_drained")
