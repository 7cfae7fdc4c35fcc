"""The house: imports only downward (docs/architecture.md has the table)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = [
    {"errors", "limits", "frames", "wire", "messages", "scrollback", "valve", "flow", "person", "viewer", "answers"},
    {"lxd", "bus", "feeds", "presence", "instances", "store", "helper", "screen"},
    {"streams", "door", "holder", "relay", "tunnel"},
    {"exec", "pipe", "sinks", "grants", "screening"},
    {"audience", "history"},
    {"mirror"},
    {"terminal", "templates", "containers", "shells"},
    {"relays", "clearing", "keeping", "power"},
    {"hub", "classroom", "hands", "homes", "starts", "pool", "reconcile"},
    {"sessions"},
    {"keeper", "acts"},
    {"janitor"},
]
"""Each ring may import its own and those above it in this list; `viewer` is pure but for an Event."""
SERVICES = {
    "pylxd": {"lxd"},
    "asyncpg": {"store"},
    "redis": {"bus", "feeds", "presence", "instances"},
    "websockets": {"streams"},
}
"""Outside packages and the rooms of the core that may import each."""
EDGE = [
    {
        "settings",
        "logs",
        "passwords",
        "tickets",
        "jobs",
        "migrate",
        "peer",
        "browser",
        "hello",
        "prose",
        "bodies",
        "lives",
        "workers",
        "signals",
        "drain",
    },
    {"metrics", "seed"},
    {"keys"},
    {"auth", "health"},
    {"pages", "closes"},
    {"channel", "far"},
    {"tunnels"},
    {"forward"},
    {"connection"},
    {"middlewares", "ws", "api", "homes", "classroom", "teaching"},
    {"app"},
    {"commands"},
    {"__main__"},
]


def modules(package: str) -> list[tuple[str, list[str]]]:
    """(room, imported names) of each file of a package; a folder is one room."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        names: list[str] = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                base = node.module
                names += [f"{base}.{alias.name}" for alias in node.names] if base in ("terminals", "server") else [base]
        found.append((room, names))
    return found


def level(rings: list[set[str]], room: str) -> int:
    return next(number for number, ring in enumerate(rings) if room in ring)


@pytest.mark.parametrize(("package", "rings"), [("terminals", RINGS), ("server", EDGE)])
def test_imports_go_only_downward(package: str, rings: list[set[str]]) -> None:
    for room, names in modules(package):
        if room == "__init__":
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] != room:
                assert level(rings, parts[1]) <= level(rings, room), f"{package}/{room} imports {name}"


def test_the_core_knows_nothing_of_http_and_the_edge() -> None:
    for room, names in modules("terminals"):
        for name in names:
            assert name.split(".")[0] not in ("aiohttp", "aiohttp_session", "server", "prometheus_client"), room


def test_each_service_is_spoken_to_in_one_room() -> None:
    for room, names in modules("terminals"):
        for name in names:
            owners = SERVICES.get(name.split(".")[0])
            assert owners is None or room in owners, f"terminals/{room} imports {name}"


def test_handlers_touch_no_sql_lxd_or_redis() -> None:
    for room, names in modules("server"):
        if room in ("api", "homes", "classroom", "teaching", "ws", "pages"):
            for name in names:
                assert name.split(".")[0] not in SERVICES, f"server/{room} imports {name}"
