"""Redis: reached, of an age, forgets nothing by itself, takes writes, and of one mind about the time."""

import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from server.doctor.clock import compare
from server.doctor.finding import Finding, ok, warning, wrong

NAME = "Redis"
TESTED, OLDEST = (7, 0), (6, 2)
CROWDED = 0.8
"""Of maxmemory."""


async def redis(client: Redis, clock: Callable[[], float] = time.time) -> AsyncGenerator[Finding, None]:
    """What can't be reached is one finding."""
    try:
        info: dict[str, Any] = await client.info()
    except (AuthenticationError, ResponseError) as error:
        yield wrong(
            NAME, f"doesn't let us in: {error}", "mend user and password in REDIS_URL: redis://user:password@host"
        )
        return
    except (RedisError, OSError, TimeoutError) as error:
        todo = "start it, and see that REDIS_URL is right and no firewall is between"
        yield wrong(NAME, f"not reached: {str(error) or type(error).__name__}", todo)
        return
    yield _version(str(info["redis_version"]))
    yield _eviction(info)
    yield _writes(info)
    yield _persistence(info)

    async def now() -> float:
        seconds, micros = await client.time()
        return float(seconds) + float(micros) / 1e6

    yield await compare(NAME, now, clock)


def _version(text: str) -> Finding:
    version = tuple(int(part) for part in text.split(".")[:2])
    if version < OLDEST:
        return wrong(NAME, f"version {text}", "7 or newer: older ones lack what streams need")
    if version < TESTED:
        return warning(NAME, f"answers; version {text} was never tried", "take 7 or newer")
    return ok(NAME, f"answers, version {text}")


def _eviction(info: dict[str, Any]) -> Finding:
    check = "Redis's memory"
    policy, most, used = str(info["maxmemory_policy"]), int(info["maxmemory"]), int(info["used_memory"])
    size = f"{used >> 20} MiB of {most >> 20} MiB" if most else f"{used >> 20} MiB, no limit"
    if policy != "noeviction":
        words = f"maxmemory-policy is {policy}: it deletes sign-ins and terminals' owners when it is full ({size})"
        return (wrong if most else warning)(check, words, "CONFIG SET maxmemory-policy noeviction, and in redis.conf")
    if most and used > CROWDED * most:
        return warning(check, f"{size}; full, it refuses writes", "raise maxmemory: 2 MiB for each watched terminal")
    return ok(check, f"{size}, noeviction")


def _writes(info: dict[str, Any]) -> Finding:
    check = "Redis's writes"
    if info["role"] != "master":
        return wrong(check, f"it is a replica of {info.get('master_host', 'another')}", "name the primary in REDIS_URL")
    if info.get("rdb_last_bgsave_status") != "ok" or info.get("aof_last_write_status", "ok") != "ok":
        todo = "free space on its disk, or mend its dir's rights; its log says what failed"
        return wrong(check, "its last save failed, and it refuses writes until one succeeds", todo)
    return ok(check, "taken")


def _persistence(info: dict[str, Any]) -> Finding:
    check = "Redis's persistence"
    if info.get("aof_enabled"):
        return ok(check, "appendonly")
    if info.get("rdb_last_save_time") and info.get("rdb_saves", 0):
        return ok(check, "snapshots")
    # Not the truth: nothing is lost that PostgreSQL or a container doesn't have.
    return ok(check, "none seen: when it restarts everybody signs in again, and nothing else is lost")
