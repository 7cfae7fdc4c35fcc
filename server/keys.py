"""Keys: what the application holds, typed. A leaf, so that nothing imports the application."""

from aiohttp import web
from redis.asyncio import Redis

from server.metrics import Metrics
from server.passwords import Passwords
from server.settings import Settings
from server.tickets import Tickets
from terminals.bus import Bus
from terminals.classroom import Classroom
from terminals.feeds import Feeds
from terminals.hands import Hands
from terminals.holder import Holder
from terminals.hub import Hub
from terminals.keeper import Keeper
from terminals.keeping import Keeping
from terminals.lxd import Lxd
from terminals.pool import Pool
from terminals.presence import Presence
from terminals.reconcile import Reconciler
from terminals.sessions import Sessions
from terminals.starts import Starts
from terminals.store import Store

SETTINGS = web.AppKey("settings", Settings)
STORE = web.AppKey("store", Store)
REDIS = web.AppKey("redis", Redis)
HOLDER = web.AppKey("holder", Holder)
LXD = web.AppKey("lxd", Lxd)
BUS = web.AppKey("bus", Bus)
HUB = web.AppKey("hub", Hub)
STARTS = web.AppKey("starts", Starts)
POOL = web.AppKey("pool", Pool)
RECONCILER = web.AppKey("reconciler", Reconciler)
SESSIONS = web.AppKey("sessions", Sessions)
CLASSROOM = web.AppKey("classroom", Classroom)
HANDS = web.AppKey("hands", Hands)
KEEPING = web.AppKey("keeping", Keeping)
KEEPER = web.AppKey("keeper", Keeper)
FEEDS = web.AppKey("feeds", Feeds)
PRESENCE = web.AppKey("presence", Presence)
METRICS = web.AppKey("metrics", Metrics)
PASSWORDS = web.AppKey("passwords", Passwords)
TICKETS = web.AppKey("tickets", Tickets)
