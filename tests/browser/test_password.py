"""The link with which somebody sets their password, in the hands of who got it; and the way out of every device."""

from playwright.async_api import expect

from server.links import Links
from terminals.store import Store
from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.browser.test_accessibility import clean
from tests.client import User
from tests.conftest import Server


async def link(server: Server, store: Store, email: str) -> str:
    user = await store.users.by_email(email)
    assert user is not None
    return Links(server.settings["SECRET_KEY"], server.url).make(user)


async def test_a_link_sets_the_password_once_and_says_whose(
    make_lab: MakeLab, server: Server, store: Store, student: User
) -> None:
    lab = await make_lab(server.url)
    address = await link(server, store, student.email)
    await lab.page.goto(address)
    await expect(lab.page.get_by_text(student.email)).to_be_visible()
    field = lab.page.get_by_label("New password")
    await expect(field).to_be_focused()
    await clean(lab, "a new password")
    await field.fill("short")
    await field.press("Enter")
    await expect(lab.page.locator("#password-error")).to_have_text("At least 8 characters.")
    await clean(lab, "a password too short")
    await field.fill("a-much-better-one")
    await field.press("Enter")
    await lab.page.get_by_text("Your password is set").wait_for()
    assert "#" not in lab.page.url
    await clean(lab, "a password set")
    await lab.page.get_by_role("link", name="Sign in").click()
    await lab.page.get_by_label("E-mail").fill(student.email)
    await lab.page.get_by_label("Password").fill("a-much-better-one")
    await lab.press("Enter")
    await lab.page.get_by_role("heading", name="My lessons").wait_for()
    lab.forgive("410")
    await lab.page.goto("about:blank")
    await lab.page.goto(address)
    await lab.page.get_by_label("New password").fill("a-third-password")
    await lab.press("Enter")
    await expect(lab.page.locator("#password-error")).to_contain_text("was used already")
    await expect(lab.page.locator("#password-error")).to_contain_text("link_spent")


async def test_half_a_link_says_so(make_lab: MakeLab, server: Server) -> None:
    lab = await make_lab(server.url)
    for half in ("/password", "/password#W1", "/password#.."):
        await lab.page.goto("about:blank")
        await lab.open(half)
        await lab.page.get_by_text("needs the whole link").wait_for()


async def test_signing_out_everywhere_leads_every_device_to_the_sign_in(
    lab: Lab, make_lab: MakeLab, student: User
) -> None:
    await lab.start("tiny-system")
    other = await make_lab(lab.url)
    for each in (lab, other):
        each.forgive("401")
    await other.sign_in(student.email)
    await other.page.get_by_role("button", name="Sign out everywhere").click()
    await other.page.wait_for_url("**/signin**")
    await lab.page.wait_for_url("**/signin**")
