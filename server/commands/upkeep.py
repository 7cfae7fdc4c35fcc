"""Upkeep: the database, LXD, the pool and the containers, prepared, looked at and cleaned."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from server import app, migrate, seed
from server.commands.grammar import Grammar
from server.commands.opened import opened, with_store
from server.passwords import Passwords
from server.settings import Settings
from terminals.holder import Holder
from terminals.labs.admission import member
from terminals.labs.adoption import Adoption
from terminals.labs.clearing import Clearing
from terminals.labs.power import Power
from terminals.labs.reconcile import Reconciler
from terminals.labs.shells import Shells
from terminals.school.sessions import LOST
from terminals.store import Store


def add_to(grammar: Grammar) -> None:
    """`migrate`, `seed`, `lxd …`, `pool …` and `containers …`."""
    text = "Bring the database to this version. Safe at any time, also twice at once."
    migrating = grammar.add("migrate", migrate_database, text)
    migrating.add_argument("--rollback", type=int, metavar="N", help="take the newest N migrations back instead")
    text = "Fill the database with a demo course, a teacher and 30 students."
    seeding = grammar.add("seed", seed_database, text)
    seeding.add_argument("--demo", action="store_true", required=True, help="the demo course (the only seed there is)")
    text = (
        "Make our storage pool, project and profile, the networks that are set, and a template of every image. Again "
        "after the host got another address: an internet lab may reach none of them."
    )
    setting_up = grammar.group("lxd", "Prepare LXD.").add("setup", setup_lxd, text)
    trusting = (
        "let this client certificate (PEM) do all in our project and nothing elsewhere; needs an administrator's rights"
    )
    setting_up.add_argument("--trust", type=Path, metavar="FILE", help=trusting)
    text = "What waits for students, by image and network, and what should. Settings must be those of the instances."
    grammar.group("pool", "Containers that wait.").add("status", pool_status, text)
    containers = grammar.group("containers", "All containers of this deployment.")
    containers.add("list", list_containers, "List them, the oldest first.")
    text = "Make LXD and the database agree: what instances do every minute, now."
    cleaning = containers.add("clean", clean_containers, text)
    cleaning.add_argument("--dry-run", action="store_true", help="only say what there is to do")
    cleaning.add_argument("--force", action="store_true", help="however much that is")
    text = (
        "After a database was restored, before instances start: labs that only LXD still knows have rows again, so that their "
        "students find them. Says of each container what becomes of it, and why."
    )
    adopting = containers.add("adopt", adopt_containers, text)
    adopting.add_argument("--dry-run", action="store_true", help="only say what there is to do")
    adopting.add_argument("--force", action="store_true", help="however many belong to nobody whom the database knows")


def migrate_database(settings: Settings, arguments: argparse.Namespace) -> None:
    if arguments.rollback:
        done = migrate.roll_back(settings.database_url, arguments.rollback)
    else:
        done = migrate.apply(settings.database_url)
    print("\n".join(done) if done else "Nothing to do.")


def seed_database(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, passwords: Passwords) -> None:
        await seed.demo(store, passwords)

    with_store(settings, work)
    print(f"teacher@demo.test, student01@demo.test … student30@demo.test, password {seed.PASSWORD}, while DEMO=on.")


def setup_lxd(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        pem = arguments.trust.read_text() if arguments.trust else ""
    except OSError as error:
        print(f"--trust {arguments.trust}: {error.strerror}", file=sys.stderr)
        return 2

    async def work() -> None:
        lxd = app.make_lxd(settings)
        pool = (settings.lxd_pool, settings.lxd_pool_driver, settings.lxd_pool_size)
        try:
            folder = str(settings.door_dir) if settings.door_dir else None
            # An internet lab may reach none of the host's addresses, so they must be seen.
            for made in await lxd.setup(pool, folder, sees_networks=bool(settings.network_internet)):
                print(f"made {made}")
            if pem and await lxd.trust(pem, settings.deployment):
                print(f"trusted {arguments.trust}, for project {settings.lxd_project} only")
            for made in await app.make_networks(settings, lxd).setup():
                print(f"made {made}")
            containers = app.make_containers(settings, lxd, Holder.load(settings.holder_path))
            hosts = [member(host, settings.lxd_cluster_group) for host in await lxd.hosts(settings.lxd_pool)]
            places = [each.target for each in hosts if each.target and not each.absent]
            for image, template in (await containers.templates.prepare(places)).items():
                print(f"template of {image}: {template}")
        finally:
            lxd.close()

    asyncio.run(work())
    return 0


def pool_status(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        policy = app.policy(settings)
        booked = await store.timetable.booked(datetime.now(UTC))
        print("image\tnetwork\twanted\tawake\tfrozen\twarming\tlive labs")
        for kind in await store.lessons.kinds():
            row = (kind.needs.image, kind.needs.network)
            stock = await store.containers.stock_of_image(*row)
            wanted = policy.wanted(kind.live, booked.get(row, 0)) if policy.ready else 0
            print(*row, wanted, stock.awake, stock.frozen, stock.warming, kind.live, sep="\t")
        print(f"{await store.sessions.starting()} starts wait or are under way.")
        await _show_room(settings, store)

    with_store(settings, work)


async def _show_room(settings: Settings, store: Store) -> None:
    lxd = app.make_lxd(settings)
    try:
        admission = app.make_admission(settings, store, lxd)
        await admission.look()
    finally:
        lxd.close()
    room, promised = admission.room, await store.promises.all()
    if not admission.members:
        print("LXD doesn't say what its hosts have, so only CAPACITY_LABS counts.")
        return
    gib = 1 << 30
    held = await store.containers.by_member()
    print("\nhost\tcontainers\tcores\tmemory used\tof (GiB)\tdisk used\tof (GiB)\tnew labs")
    for each in admission.members:
        sizes = (each.memory_used, each.memory, each.disk_used, each.disk)
        shown = (held.get(each.target, 0), each.cores, *(f"{size / gib:.1f}" for size in sizes))
        print(each.name, *shown, f"none: it {each.absent}" if each.absent else "yes", sep="\t")
    print(
        f"{promised.labs} containers of {room.labs} that there is room for; the pool leaves the last one to students."
    )
    print(f"{promised.memory / gib:.1f} GiB of memory are promised to them of {room.memory / gib:.1f} GiB.")
    if room.shortage:
        print(f"Nothing new begins: {room.shortage}.")


def list_containers(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        print("container\tstate\tage (s)\thost\tsession\tuser\tlesson")
        for each in await store.containers.all():
            state = f"{each.state}, frozen" if each.frozen else each.state
            whose = (each.member, each.session, each.user, each.lesson)
            print(each.name, state, each.age, *(part or "-" for part in whose), sep="\t")

    with_store(settings, work)


def clean_containers(settings: Settings, arguments: argparse.Namespace) -> int:
    """0: clean, or cleaned; 1: too much to do without --force."""

    async def work() -> int:
        async with _reconciler(settings) as (store, reconciler):
            found = await (reconciler.look() if arguments.dry_run else reconciler.run(force=arguments.force))
            for what, names in (
                ("orphan, to be set aside", found.orphans),
                ("orphan, set aside", found.kept),
                ("orphan, to be deleted after its day", found.expired),
                ("somebody's, though its row says that it waits: an orphan from now on", found.astray),
                ("to be deleted", found.gone),
                ("lab whose container is gone", found.lost),
                ("kept after a reset, and gone", found.unkept),
            ):
                for name in names:
                    print(f"{name}\t{what}")
            if found.too_much:
                print(found.too_much, file=sys.stderr)
                return 1
            if arguments.dry_run:
                print("Nothing was changed.")
                return 0
            for session in found.lost:
                await store.sessions.end(session, LOST)
            print("Done.")
            return 0

    return asyncio.run(work())


def adopt_containers(settings: Settings, arguments: argparse.Namespace) -> int:
    """0: all done that could be; 1: too strange to do without --force."""

    async def work() -> int:
        lxd = app.make_lxd(settings)
        try:
            async with opened(settings) as (store, _passwords):
                holder = Holder.load(settings.holder_path)
                containers, shells = app.make_containers(settings, lxd, holder), Shells(lxd, holder)
                adoption = Adoption(store, lxd, containers, shells, app.patience(settings), LOST)
                report = await adoption.run(dry=arguments.dry_run, force=arguments.force)
        finally:
            lxd.close()
        for name, what in report.done.items():
            print(f"{name}\t{what}")
        for session in report.ended:
            print(f"{session}\tended: its container is gone")
        if report.too_much:
            print(report.too_much, file=sys.stderr)
            return 1
        print("Nothing was changed." if arguments.dry_run else "Done.")
        return 0

    return asyncio.run(work())


@asynccontextmanager
async def _reconciler(settings: Settings) -> AsyncIterator[tuple[Store, Reconciler]]:
    lxd = app.make_lxd(settings)
    try:
        async with opened(settings) as (store, _passwords):
            containers = app.make_containers(settings, lxd, Holder.load(settings.holder_path))
            power = Power(store, containers)
            yield store, Reconciler(store, lxd, containers, Clearing(store, containers), power)
            await power.close()
    finally:
        lxd.close()
