"""Files in the page: my work is downloaded, files are dropped or chosen, and what goes wrong is said."""

import tarfile
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.browser.test_accessibility import clean
from tests.conftest import Server, container_of, lxc
from tests.e2e.test_main_job import MakeUser

HANG = """() => {
  const data = new DataTransfer();
  data.items.add(new File(["x"], "x.txt"));
  const event = new DragEvent("dragenter", { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector(".panels").dispatchEvent(event);
}"""
DROP = """([name, what]) => {
  const data = new DataTransfer();
  const text = typeof what === "number" ? "x".repeat(what) : what;
  data.items.add(new File([text], name));
  const target = document.querySelector(".xterm-screen");
  for (const kind of ["dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
    target.dispatchEvent(event);
    if (!event.defaultPrevented) throw new Error("the browser would open the file");
  }
}"""


async def test_my_work_is_downloaded_as_one_archive(lab: Lab, tmp_path: Path) -> None:
    await lab.start()
    await lab.run("echo precious > mine")
    async with lab.page.expect_download() as waiting:
        await lab.menu("Download my work")
    download = await waiting.value
    assert download.suggested_filename == "first-steps-home.tar.gz"
    await download.save_as(tmp_path / "home.tar.gz")
    with tarfile.open(tmp_path / "home.tar.gz") as archive:
        assert archive.extractfile("student/mine").read() == b"precious\n"  # type: ignore[union-attr]
    assert await lab.run("echo still-here") == "still-here", "the page stayed"


async def test_dropped_files_are_in_the_lab_and_overwrite_nothing(lab: Lab) -> None:
    await lab.start()
    await lab.page.evaluate(HANG)
    hint = lab.page.locator(".drop-hint")
    await expect(hint).to_contain_text("Drop files")
    await clean(lab, "files over the page")
    await lab.page.evaluate(DROP, ["notes.txt", "one"])
    await expect(hint).to_have_count(0)
    stored = lab.page.locator('[data-upload="stored"]')
    await expect(stored).to_contain_text("~/uploads/notes.txt")
    await clean(lab, "an uploaded file")
    await lab.page.evaluate(DROP, ["notes.txt", "two"])
    await expect(stored.nth(1)).to_contain_text("~/uploads/notes (2).txt")
    for _ in range(2):
        await stored.first.get_by_role("button", name="OK").click()
    await expect(stored).to_have_count(0)
    assert await lab.run("cat uploads/notes.txt 'uploads/notes (2).txt'; echo") == "onetwo"


async def test_files_are_chosen_from_the_menu_and_their_progress_is_shown(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(30 * 1024 * 1024))
    await lab.start()
    async with lab.page.expect_file_chooser() as waiting:
        await lab.menu("Upload files")
    await (await waiting.value).set_files([tmp_path / "data.bin"])
    await expect(lab.page.locator("[data-upload]")).to_be_visible()
    await expect(lab.page.locator('[data-upload="stored"]')).to_contain_text("~/uploads/data.bin", timeout=60_000)
    await lab.page.get_by_role("button", name="OK").click()
    assert await lab.run("stat -c %s uploads/data.bin") == str(30 * 1024 * 1024)


async def test_too_large_and_full_are_said(make_lab: MakeLab, server: Server, make_user: MakeUser) -> None:
    student = await make_user(server.url)
    lab = await make_lab(server.url)
    lab.forgive("409")
    await lab.sign_in(student.email)
    await lab.start("tiny-system")
    await lab.page.evaluate(DROP, ["large", 51 << 20])
    failed = lab.page.locator('[data-upload="failed"]')
    await expect(failed).to_contain_text("larger than 50 MiB")
    await clean(lab, "a file that is too large")
    await failed.get_by_role("button", name="OK").click()
    lxc("exec", container_of(lab.session), "--", "sh", "-c", "cat /dev/zero > /root/fill 2>/dev/null || sync")
    await lab.page.evaluate(DROP, ["no-room", 40 << 20])
    await expect(failed).to_contain_text("disk of your container is full", timeout=60_000)
    await expect(failed).to_contain_text("disk_full")
