"""The house: imports only downward (docs/architecture.md has the table)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = [
    {"errors", "limits", "networks", "capacity", "person", "tallies"}
    | {"link/frames", "link/wire", "link/messages", "link/scrollback", "link/valve", "link/flow"}
    | {"viewers/viewer", "viewers/answers"},
    {
        "lxd",
        "store",
        "fleet/bus",
        "fleet/feeds",
        "fleet/presence",
        "fleet/instances",
        "screens/helper",
        "screens/screen",
    },
    {"link/streams", "link/door", "link/events", "holder", "fleet/relay", "fleet/tunnel", "proxy"},
    {"link/exec", "link/pipe", "viewers/sinks", "viewers/grants", "screens/screening"},
    {"viewers/audience", "screens/history"},
    {"mirror"},
    {"path"},
    {"terminal", "labs/templates", "labs/networks", "labs/containers", "labs/shells", "labs/admission"},
    {"relays", "labs/chores", "labs/clearing", "labs/power"},
    {"hub", "labs/homes", "labs/starts", "labs/pool", "labs/reconcile", "labs/adoption"},
    {"school/sessions", "school/keeping"},
    {"school/classroom", "school/hands", "school/keeper", "school/outside"},
    {"school/acts", "school/janitor"},
]
"""Each ring may import its own and those above it in this list; `viewer` is pure but for an Event."""
FLOORS = {"link", "fleet", "viewers", "screens", "labs", "school"}
"""Folders of the core whose files are rooms of their own; other folders are one room."""
SERVICES = {
    "pylxd": {"lxd"},
    "asyncpg": {"store"},
    "redis": {"fleet/bus", "fleet/feeds", "fleet/presence", "fleet/instances"},
    "websockets": {"link/streams", "link/events"},
}
"""Outside packages and the rooms of the core that may import each."""
EDGE = [
    {
        "settings",
        "seal",
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
    {"metrics", "seed", "links"},
    {"keys"},
    {"auth", "health"},
    {"pages", "closes"},
    {"channel", "far"},
    {"tunnels"},
    {"forward"},
    {"connection"},
    {"middlewares", "ws", "api", "homes", "classroom", "teaching"},
    {"app"},
    {"doctor"},
    {"commands"},
    {"__main__"},
]


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module, by the parts of its name below its package."""
    return "/".join(parts[: 2 if parts[0] in FLOORS else 1])


def modules(package: str) -> list[tuple[str, list[str]]]:
    """(room, imported names) of each file of a package."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        names: list[str] = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                base = node.module.split(".")
                whole = len(base) == 1 or (len(base) == 2 and base[1] in FLOORS)
                names += [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module]
        if parts[-1] != "__init__" or parts[0] not in FLOORS:
            found.append((room_of(parts), names))
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
            if parts[0] == package and len(parts) > 1 and (other := room_of(tuple(parts[1:]))) != room:
                assert level(rings, other) <= level(rings, room), f"{package}/{room} imports {name}"


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


def test_folders_of_the_core_stand_above_each_other() -> None:
    """Between two of them all imports run one way."""
    ways = {
        (room.split("/")[0], name.split(".")[1])
        for room, names in modules("terminals")
        for name in names
        if name.startswith("terminals.") and room.split("/")[0] != name.split(".")[1]
    }
    assert not [way for way in ways if way[::-1] in ways]
