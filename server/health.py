"""Health: is the process alive, may it get users, and what of its world answers."""

import asyncio
from collections.abc import Awaitable

from aiohttp import web

from server import keys

TIMEOUT_S = 2


def routes() -> list[web.RouteDef]:
    """For balancers and people; nginx keeps /metrics and /readyz inside."""
    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]


async def healthz(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def readyz(request: web.Request) -> web.Response:
    """503 only while draining: a missing dependency must not make the balancer drop every instance at once."""
    draining = request.app[keys.HUB].draining
    body = {
        "ready": not draining,
        "instance": request.app[keys.SETTINGS].instance,
        "dependencies": await dependencies(request.app),
    }
    return web.json_response(body, status=503 if draining else 200)


async def metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=await request.app[keys.METRICS].text(), headers={"Content-Type": "text/plain; version=0.0.4"}
    )


async def dependencies(app: web.Application) -> dict[str, str]:
    """Service → "ok", or why not."""
    names = ("postgresql", "redis", "lxd")
    asked: tuple[Awaitable[object], ...] = (
        app[keys.STORE].users.by_id(0),
        app[keys.REDIS].ping(),
        app[keys.LXD].answers(),
    )
    found = await asyncio.gather(*(_ask(answer) for answer in asked))
    return dict(zip(names, found, strict=True))


async def _ask(answer: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await answer
    except TimeoutError:
        return f"no answer in {TIMEOUT_S} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to the question that was asked
        return str(error) or type(error).__name__
    return "ok"
