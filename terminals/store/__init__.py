"""Store: PostgreSQL, one file of SQL for each noun. Rows in, dataclasses out; no behaviour."""

from dataclasses import dataclass

from terminals.limits import DEFAULTS, Limits
from terminals.store.acts import Acts
from terminals.store.adoptions import Adoptions
from terminals.store.audits import Audits
from terminals.store.containers import Containers
from terminals.store.courses import Courses
from terminals.store.database import Database
from terminals.store.hands import Hands
from terminals.store.kept import Kept
from terminals.store.ledger import Ledger
from terminals.store.lessons import Lessons
from terminals.store.lives import Lives
from terminals.store.promises import Promises
from terminals.store.sessions import Sessions
from terminals.store.terminals import Terminals
from terminals.store.timetable import Timetable
from terminals.store.users import Users


@dataclass(frozen=True, slots=True)
class Store:
    """Every noun's table over one database."""

    database: Database
    users: Users
    courses: Courses
    lessons: Lessons
    sessions: Sessions
    lives: Lives
    containers: Containers
    terminals: Terminals
    audits: Audits
    hands: Hands
    timetable: Timetable
    kept: Kept
    acts: Acts
    promises: Promises
    ledger: Ledger
    adoptions: Adoptions

    @classmethod
    def over(cls, database: Database, limits: Limits = DEFAULTS) -> "Store":
        """`limits`: where neither a lesson nor its course has one."""
        return cls(
            database,
            Users(database),
            Courses(database),
            Lessons(database, limits),
            Sessions(database, limits),
            Lives(database),
            Containers(database),
            Terminals(database, limits),
            Audits(database),
            Hands(database),
            Timetable(database),
            Kept(database),
            Acts(database),
            Promises(database, limits),
            Ledger(database),
            Adoptions(database),
        )
