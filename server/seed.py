"""Seed: a demo course with a teacher and 30 students. Idempotent."""

from pathlib import Path

from server.passwords import Passwords
from terminals.store import Store
from terminals.store.lessons import Text, Wants

PASSWORD = "demo-demo"  # noqa: S105 - public on purpose; it signs in only while DEMO is on, and that only on loopback
COURSE = "linux-basics"
STUDENTS = 30
TEXTS = Path(__file__).parent / "lessons"
LESSONS = (
    ("first-steps", "First steps in a shell", 30, Wants(image="lab")),
    ("files", "Files and folders", 45, Wants(image="lab")),
    ("administer", "Be the administrator", 60, Wants(image="lab", root=True, memory="1GiB", disk="4GiB")),
    ("tiny-system", "A tiny system: busybox", 20, Wants(image="busybox", memory="128MiB", processes=100, disk="1GiB")),
)


async def demo(store: Store, passwords: Passwords) -> None:
    """teacher@demo.test and student01@demo.test … student30@demo.test, all with `PASSWORD`."""
    password_hash = await passwords.hash(PASSWORD)
    await store.courses.put(COURSE, "Linux basics", "LINUX1")
    teacher = await store.users.put("teacher@demo.test", "Ms Rivera", password_hash, demo=True)
    await store.courses.enrol(COURSE, teacher, "instructor")
    for number in range(1, STUDENTS + 1):
        email = f"student{number:02d}@demo.test"
        student = await store.users.put(email, f"Student {number:02d}", password_hash, demo=True)
        await store.courses.enrol(COURSE, student, "student")
    for position, (lesson, title, minutes, wants) in enumerate(LESSONS, start=1):
        text = Text(title, minutes, (TEXTS / f"{lesson}.md").read_text())
        await store.lessons.put(lesson, COURSE, position, text, wants)
