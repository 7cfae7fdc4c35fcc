"""From My lessons into a lab without a new document: the same page as ever, and the browser's history as ever."""

import re

from playwright.async_api import Route, expect

from tests.browser.lab import Lab
from tests.browser.test_accessibility import clean

SHEETS = "() => [...document.styleSheets].map((sheet) => sheet.href.split('/').pop().split('-')[0])"


async def test_start_and_continue_stay_in_the_document_and_look_as_a_loaded_page_does(lab: Lab) -> None:
    await lab.page.evaluate("window.here = 'lessons'")
    await lab.start()
    assert await lab.page.evaluate("window.here") == "lessons"
    await expect(lab.page).to_have_title(re.compile("First steps"))
    assert await lab.page.evaluate(SHEETS) == ["lab"]
    await clean(lab, "a lab that was crossed into")
    session, pid = lab.session, await lab.run("echo $$")
    crossed = await lab.page.evaluate("document.body.outerHTML.length")
    await lab.page.reload()
    await lab.prompt()
    assert await lab.page.evaluate("window.here") is None
    assert await lab.page.evaluate(SHEETS) == ["lab"]
    # What is on the screen may differ by a line or a second, not the page around it.
    assert abs(crossed - await lab.page.evaluate("document.body.outerHTML.length")) < 0.2 * crossed
    await lab.open("/")
    await lab.page.evaluate("window.here = 'again'")
    # Twice, as people do.
    await lab.page.get_by_role("link", name="Continue").dblclick()
    await lab.prompt()
    assert (lab.session, await lab.run("echo $$")) == (session, pid)
    assert await lab.page.evaluate("window.here") == "again"


async def test_back_leads_to_my_lessons_and_forward_into_the_lab(lab: Lab) -> None:
    await lab.start()
    pid = await lab.run("echo $$")
    await lab.page.go_back()
    await lab.page.get_by_role("heading", name="My lessons").wait_for()
    await lab.page.get_by_role("link", name="Continue").wait_for()
    await lab.page.go_forward()
    await lab.prompt()
    assert await lab.run("echo $$") == pid


async def test_what_fails_on_the_way_loads_the_page_as_ever(lab: Lab) -> None:
    async def refuse(route: Route) -> None:
        await (route.abort() if route.request.resource_type == "fetch" else route.continue_())

    lab.forgive("ERR_FAILED")
    await lab.page.route(re.compile("/sessions/[a-z0-9]+$"), refuse)
    await lab.page.evaluate("window.here = 'lessons'")
    # Its own question about the session has the same address but for /api: that one is let through.
    await lab.page.route("**/api/sessions/*", lambda route: route.continue_())
    await lab.start()
    assert await lab.page.evaluate("window.here") is None
    assert await lab.run("echo $((6*7))") == "42"


async def test_a_click_with_ctrl_opens_a_tab_of_its_own(lab: Lab) -> None:
    await lab.start("tiny-system")
    await lab.open("/")
    async with lab.page.context.expect_page() as opened:
        await lab.page.get_by_role("link", name="Continue").click(modifiers=["Control"])
    page = await opened.value
    await page.wait_for_url("**/sessions/*", wait_until="commit")
    await lab.page.get_by_role("heading", name="My lessons").wait_for()
    await page.close()
