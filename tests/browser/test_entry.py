"""From the sign-in form to a prompt, and the ways in which that fails."""

from collections.abc import Callable
from typing import Any

from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.client import PASSWORD, User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser

SLOWEST_START_MS = 30_000


async def test_signing_in_and_pressing_start_leads_to_a_prompt_that_computes(
    lab: Lab, aloud: Callable[[str], None]
) -> None:
    milliseconds = await lab.start()
    assert await lab.run("echo $((6*7))") == "42"
    aloud(f"click to prompt in Chromium: {milliseconds:.0f} ms")
    assert milliseconds < SLOWEST_START_MS


async def test_a_wrong_password_is_said_beside_the_field(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url)
    lab.forgive(r"401 \(Unauthorized\)")
    await lab.fill(student.email, "not-it-at-all")
    field = lab.page.get_by_label("Password")
    error = lab.page.locator("#password-error")
    await error.get_by_text("don't match").wait_for()
    assert "bad_credentials" in await error.inner_text()
    assert await field.get_attribute("aria-invalid") == "true"
    assert await field.get_attribute("aria-describedby") == "password-error"
    below, above = await error.bounding_box(), await field.bounding_box()
    assert below is not None
    assert above is not None
    assert 0 <= below["y"] - (above["y"] + above["height"]) < 16, "the error stands right under its field"
    await field.fill("demo-demo")
    await field.press("Enter")
    await lab.page.get_by_role("heading", name="My lessons").wait_for()


async def test_after_signing_in_the_lab_that_was_asked_for_opens(lab: Lab, make_lab: MakeLab, student: User) -> None:
    await lab.start("tiny-system")
    other = await make_lab(lab.url)
    await other.open(f"/sessions/{lab.session}")
    await other.page.get_by_label("E-mail").fill(student.email)
    await other.page.get_by_label("Password").fill("demo-demo")
    await other.page.get_by_role("button", name="Sign in").click()
    await other.prompt()
    assert other.session == lab.session


async def test_a_start_that_fails_says_why_and_can_be_tried_again(
    lab: Lab, student: User, store: Store, lxd: Lxd
) -> None:
    await store.lessons.put("no-image", "linux-basics", 90, Text("No image", 10), Wants(image="does-not-exist"))
    await lab.page.reload()
    await lab.page.locator('[data-lesson="no-image"]').get_by_role("button", name="Start").click()
    failed = lab.page.locator('[data-view="failed"]')
    await failed.wait_for()
    first = lab.session
    assert "does-not-exist" in await failed.inner_text()
    assert "no_image" in await failed.inner_text()
    await failed.get_by_role("button", name="Try again").click()
    await lab.page.wait_for_url(lambda url: "/sessions/" in url and first not in url, wait_until="commit")
    await failed.get_by_text("does-not-exist").wait_for()
    assert not lxc("list", f"user.educenter.session={first}", "-c", "n", "-f", "csv").split()


async def test_two_people_at_once_do_not_see_each_others_lab(
    lab: Lab, make_lab: MakeLab, make_user: MakeUser, server: Server
) -> None:
    stranger: Any = await make_user(server.url, name="Other Person")
    other = await make_lab(server.url)
    await other.sign_in(stranger.email)
    await lab.start("tiny-system")
    await lab.run("echo this-is-private > /root/note")
    await other.start("tiny-system")
    assert await other.run("cat /root/note 2>/dev/null") == ""
    mine, theirs = lab.session, other.session
    other.forgive(r"404 \(Not Found\)")
    answer = await other.page.goto(f"{server.url}/sessions/{mine}")
    assert answer is not None
    assert answer.status == 404
    assert "There is no such lab" in await other.page.inner_text("body")
    foreign = await other.page.content()
    answer = await other.page.goto(f"{server.url}/sessions/{'a' * 20}")
    assert answer is not None
    assert answer.status == 404
    assert await other.page.content() == foreign, "somebody else's and none look the same"
    await other.open(f"/sessions/{theirs}")
    await other.prompt()


async def test_screen_reader_mode_is_remembered_and_has_every_row_as_text(lab: Lab) -> None:
    await lab.start("tiny-system")
    assert not await lab.page.evaluate("() => window.educenterTerminal.options.screenReaderMode")
    await lab.page.get_by_role("button", name="Menu").click()
    await lab.page.get_by_label("Screen reader mode").check()
    await lab.page.reload()
    await lab.prompt()
    assert await lab.page.evaluate("() => window.educenterTerminal.options.screenReaderMode")
    await lab.type("echo read''able\n")
    await lab.page.locator(".xterm-accessibility-tree", has_text="readable").wait_for(state="attached")


async def test_signing_in_never_leads_to_another_site(lab: Lab, make_lab: MakeLab, student: User) -> None:
    for sly in ("/..//example.test", "/.//example.test", "//example.test", "https://example.test"):
        other = await make_lab(lab.url)
        await other.open(f"/signin?next={sly}")
        await other.page.get_by_label("E-mail").fill(student.email)
        await other.page.get_by_label("Password").fill(PASSWORD)
        other.forgive("404")
        await other.press("Enter")
        await other.page.wait_for_url(lambda url: "signin" not in url, wait_until="commit")
        assert other.page.url.startswith(lab.url), other.page.url


async def test_signing_out_closes_the_other_pages_of_this_browser(lab: Lab, make_lab: MakeLab) -> None:
    await lab.start("tiny-system")
    lessons = await make_lab(lab.url, beside=lab)
    await lessons.open("/")
    await lessons.page.get_by_role("button", name="Sign out", exact=True).click()
    await lab.page.get_by_role("heading", name="Sign in").wait_for()
