"""A lab page while every place is taken: words that say so, the place, and the lab as soon as one is free."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import MakeLab
from tests.browser.test_accessibility import clean
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser

WORDS = "All places are taken: your lab starts as soon as one is free"


@pytest.fixture
def _alone(server: Server) -> Iterator[None]:
    """The tests' own server is away: it would take starts by rules of its own."""
    server.stop()
    yield
    server.start()


@pytest.mark.usefixtures("_alone")
async def test_the_page_says_that_all_places_are_taken_and_opens_the_lab_when_one_is_free(
    make_server: Callable[..., Server], make_user: MakeUser, make_lab: MakeLab, tmp_path: Path
) -> None:
    server = make_server(CAPACITY_LABS="1")
    server.start()
    first, second = await make_user(server.url), await make_user(server.url)
    session = await first.start("tiny-system")
    lab = await make_lab(server.url)
    await lab.sign_in(second.email)
    waiting = (await second.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"]
    await lab.page.goto(f"{server.url}/sessions/{waiting}")
    card = lab.page.locator("section.card")
    await expect(card).to_contain_text(WORDS)
    await expect(card).to_contain_text("You are next")
    await expect(card).to_contain_text("You keep your place if you close this page")
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    for width in (1280, 390):
        await lab.page.set_viewport_size({"width": width, "height": 720})
        for scheme in ("light", "dark"):
            await lab.page.emulate_media(color_scheme=scheme)
            await lab.page.screenshot(animations="disabled", path=folder / f"full-{width}-{scheme}.png")
    await clean(lab, "waiting for a place")
    await first.call("DELETE", f"/api/sessions/{session}", None, 202)
    await lab.prompt(60_000)
