"""PostgreSQL: reached, of an age, migrated, ours to write, roomy, durable, and of one mind about the time."""

import time
from collections.abc import AsyncGenerator, Callable
from urllib.parse import urlsplit

from server.doctor.clock import compare
from server.doctor.finding import Finding, ok, warning, wrong
from server.migrate import FOLDER
from terminals.errors import Unavailable
from terminals.store.database import POOL_SIZE, Database

NAME = "PostgreSQL"
TESTED, OLDEST = 15, 13
MENDS = {
    "InvalidPasswordError": "the user or the password in DATABASE_URL is wrong; ALTER ROLE … PASSWORD '…' sets one",
    "InvalidAuthorizationSpecificationError": "the user in DATABASE_URL isn't let in: make the role, or mend pg_hba.conf",
    "InvalidCatalogNameError": "make the database: createdb -O USER NAME, then `python -m server migrate`",
    "TooManyConnectionsError": "raise max_connections, or see who holds them: SELECT * FROM pg_stat_activity",
    "CannotConnectNowError": "it is starting or stopping: try again in a moment, then look into its log",
}
"""By the class of what asyncpg raised."""
AWAY = "start it, and see that the host and port in DATABASE_URL are right and no firewall is between"


async def postgresql(url: str, clock: Callable[[], float] = time.time) -> AsyncGenerator[Finding, None]:
    """All of it over one pool; what can't be reached is one finding."""
    async with Database.connected(url) as database:
        try:
            number = int(await database.value("SHOW server_version_num")) // 10_000
        except Unavailable as error:
            yield _unreached(url, error)
            return
        yield _version(number)
        yield await _migrations(database)
        yield await _rights(database)
        yield await _connections(database)
        yield await _durability(database)

        async def now() -> float:
            return float(await database.value("SELECT extract(epoch FROM clock_timestamp())::float8"))

        yield await compare(NAME, now, clock)


def _unreached(url: str, error: Unavailable) -> Finding:
    cause = error.__cause__
    parts = urlsplit(url)
    where = f"{parts.hostname or 'its socket'}, database {parts.path.strip('/') or '(none)'}"
    words = str(cause).strip() or type(cause).__name__
    return wrong(NAME, f"not reached at {where}: {words}", MENDS.get(type(cause).__name__, AWAY))


def _version(number: int) -> Finding:
    if number < OLDEST:
        return wrong(NAME, f"version {number}", f"{TESTED} or newer is needed: pg_upgrade")
    if number < TESTED:
        return warning(NAME, f"answers; version {number} was never tried", f"take {TESTED} or newer")
    return ok(NAME, f"answers, version {number}")


async def _migrations(database: Database) -> Finding:
    check = "migrations"
    known = {path.stem for path in FOLDER.glob("*.sql") if not path.stem.endswith(".rollback")}
    if not await database.value("SELECT to_regclass('_yoyo_migration') IS NOT NULL"):
        return wrong(check, "none is applied: the database is empty", "python -m server migrate")
    done = {row["migration_id"] for row in await database.fetch("SELECT migration_id FROM _yoyo_migration")}
    if missing := sorted(known - done):
        words = f"{len(missing)} missing: {', '.join(missing)}"
        return wrong(check, words, "python -m server migrate, before this version serves")
    if newer := sorted(done - known):
        words = f"the database knows {', '.join(newer)}, which this version doesn't"
        return warning(
            check, words, "an older version runs here: deploy the newer one, or restore a dump of this one's"
        )
    return ok(check, f"all {len(known)} applied")


async def _rights(database: Database) -> Finding:
    check = "rights in PostgreSQL"
    if await database.value("SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'"):
        return wrong(check, "it takes no writes: a standby, or default_transaction_read_only", "name the primary")
    sql = """
        SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND EXISTS (
            SELECT FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS each
            WHERE NOT has_table_privilege(quote_ident(tablename), each))"""
    if closed := [row["tablename"] for row in await database.fetch(sql)]:
        todo = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO …, or make that user their owner"
        return wrong(check, f"DATABASE_URL's user may not read and write {', '.join(closed)}", todo)
    if not await database.value("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"):
        todo = "GRANT CREATE ON SCHEMA public TO …, or run migrate as the owner"
        return warning(check, "enough to serve, not to migrate: no tables may be made", todo)
    return ok(check, "reads, writes, makes tables")


async def _connections(database: Database) -> Finding:
    check = "connections"
    sql = """
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
            (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS used"""
    row = await database.row(sql)
    free = row["most"] - row["used"]
    words = f"{row['used']} of {row['most']} are open"
    if free < 2 * POOL_SIZE:
        todo = f"each instance takes up to {POOL_SIZE}, and a new version runs beside the old: raise max_connections"
        return (warning if free > POOL_SIZE else wrong)(check, words, todo)
    return ok(check, f"{words}; room for {free // POOL_SIZE} more instances of {POOL_SIZE}")


async def _durability(database: Database) -> Finding:
    check = "durability"
    names = ("fsync", "full_page_writes", "synchronous_commit")
    off = [name for name in names if await database.value(f"SHOW {name}") == "off"]
    if not off:
        return ok(check, "what is committed is on the disk")
    harm = "a crash of its host loses the last moments"
    if off != ["synchronous_commit"]:
        harm = "a crash of its host may ruin the whole database"
    todo = "ALTER SYSTEM RESET …, SELECT pg_reload_conf(): right for tests only"
    return warning(check, f"{', '.join(off)} off: {harm}", todo)
