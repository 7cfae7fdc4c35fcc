"""A teacher's first page: who is live, in what state, and that nobody else gets to see it."""

from playwright.async_api import expect

from tests.browser.conftest import MakeLab
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser


async def test_a_teacher_sees_what_the_courses_terminals_do(
    make_lab: MakeLab, server: Server, make_user: MakeUser
) -> None:
    ana, teacher = await make_user(server.url, name="Ana"), await make_user(server.url, role="instructor")
    lab = await make_lab(server.url)
    await lab.sign_in(ana.email)
    await lab.start()
    board = await make_lab(server.url)
    await board.sign_in(teacher.email)
    await board.page.get_by_role("link", name="Live terminals").click()
    row = board.page.locator("tr", has_text="Ana")
    await expect(row).to_contain_text("First steps in a shell")
    await lab.type("sleep 30\n")
    await expect(row).to_contain_text("typing")
    await expect(row).to_contain_text("running", timeout=15_000)
    await expect(row).to_contain_text("sleep")
    await lab.press("Control+C")
    await lab.prompt()
    await expect(row).to_contain_text("idle", timeout=15_000)
    await lab.page.close()
    await expect(row).to_contain_text("away", timeout=15_000)
    await board.page.get_by_label("Find a student").fill("nobody")
    await board.page.get_by_text("No one of that name is live").wait_for()


async def test_a_student_may_not_see_the_class(make_lab: MakeLab, server: Server, make_user: MakeUser) -> None:
    student = await make_user(server.url)
    lab = await make_lab(server.url)
    lab.forgive("404")
    await lab.sign_in(student.email)
    await expect(lab.page.get_by_role("link", name="Live terminals")).to_have_count(0)
    await lab.open("/courses/linux-basics")
    await lab.page.get_by_role("heading", name="There is nothing here").wait_for()


async def test_a_code_brings_a_student_into_the_course(make_lab: MakeLab, server: Server, make_user: MakeUser) -> None:
    nobody = await make_user(server.url, role=None)
    lab = await make_lab(server.url)
    lab.forgive("404")
    await lab.sign_in(nobody.email)
    field = lab.page.get_by_label("Course code")
    await field.fill("wrong1")
    await lab.press("Enter")
    await expect(lab.page.locator("#join-error")).to_contain_text("No course has this code")
    await field.fill(" linux1 ")
    await lab.press("Enter")
    await lab.page.get_by_role("heading", name="Linux basics").wait_for()
    await expect(lab.page.locator('[data-lesson="first-steps"]')).to_have_count(1)
