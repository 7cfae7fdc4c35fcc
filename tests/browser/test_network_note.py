"""What network the lab has is said in a quiet place: below the lesson's text, and in the menu."""

from typing import Any

import pytest
from playwright.async_api import expect

from terminals.store import Store
from tests.browser.conftest import MakeLab
from tests.browser.test_accessibility import LOOKS, NAMES, clean
from tests.browser.test_raising import SIDEWAYS
from tests.client import User
from tests.conftest import Server

HOSTS = ["pypi.org", "*.pythonhosted.org", "a-rather-long-name-of-a-mirror.packages.example.org"]
WORDS = {"none": "none", "closed": f"only {', '.join(HOSTS)}", "internet": "the internet"}
NOTES = {
    "none": "This lab has no network.",
    "closed": f"Of the internet this lab reaches only {', '.join(HOSTS)}.",
    "internet": "This lab reaches the internet.",
}


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
@pytest.mark.parametrize("network", WORDS)
async def test_the_page_says_what_network_the_lab_has(
    make_lab: MakeLab, server: Server, student: User, store: Store, look: dict[str, Any], network: str
) -> None:
    lab = await make_lab(server.url, **look)
    await lab.sign_in(student.email)
    await lab.start("tiny-system")
    address = None if network == "none" else "10.99.8.9"
    sql = "UPDATE containers SET network = $2, address = $3::text::inet WHERE session_id = $1"
    await store.database.run(sql, lab.session, network, address)
    hosts = HOSTS if network == "closed" else []
    lesson = "UPDATE lessons SET network = $1, hosts = $2 WHERE id = 'tiny-system'"
    await store.database.run(lesson, network, hosts)
    try:
        await lab.page.reload()
        await lab.prompt()
        if look.get("is_mobile"):
            await lab.page.get_by_role("button", name="Lesson", exact=True).click()
        note = lab.page.locator(".network-note")
        await expect(note).to_have_text(NOTES[network])
        await note.scroll_into_view_if_needed()
        await clean(lab, f"{network}, lesson")
        assert not await lab.page.evaluate(SIDEWAYS)
        await lab.page.get_by_role("button", name="Menu").click()
        line = lab.page.locator(".menu-network")
        await expect(line).to_have_text(f"Network{WORDS[network]}")
        await line.scroll_into_view_if_needed()
        await clean(lab, f"{network}, menu")
        assert not await lab.page.evaluate(SIDEWAYS)
    finally:
        await store.database.run(lesson, "none", [])
