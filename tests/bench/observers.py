"""Observers: a process of its own that watches one terminal many times, the last time without reading.

`python -m tests.bench.observers EMAIL TERMINAL COUNT PUBLIC_URL URL…` says "attached" once all are, and goes on.
"""

import asyncio
import sys

from tests.client import Page, User


async def main(email: str, terminal: str, count: int, public: str, urls: list[str]) -> None:
    """For ever."""
    async with User(public, email) as teacher:
        await teacher.sign_in()
        pages = []
        for number in range(count):
            page = Page(teacher, terminal, url=urls[number % len(urls)], role="observer")
            await page.connect()
            pages.append(page)
        async with asyncio.TaskGroup() as group:
            for page in pages[:-1]:
                group.create_task(_read(page))
            print("attached", flush=True)


async def _read(page: Page) -> None:
    while True:
        await page.step(timeout=3600)


if __name__ == "__main__":
    address, name, many, front, *where = sys.argv[1:]
    asyncio.run(main(address, name, int(many), front, where))
