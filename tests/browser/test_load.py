"""How the page loads: small, in one piece, from files that may be kept for ever, under a policy without exceptions."""

import gzip
import re

from playwright.async_api import Response

from tests.browser.conftest import MakeLab
from tests.client import User
from tests.conftest import Server

BUDGET = 300 * 1024
SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  const add = (list) => { for (const entry of list.getEntries()) sum += entry.value; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 500);
})"""


async def test_the_lab_loads_small_and_without_a_shift(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url)
    await lab.sign_in(student.email)
    await lab.start()
    answers: list[Response] = []

    def keep(answer: Response) -> None:  # playwright takes no built-in method
        answers.append(answer)

    lab.page.on("response", keep)
    await lab.page.reload()
    await lab.prompt()
    assert await lab.page.evaluate(SHIFTS) < 0.02
    for answer in answers:
        name = answer.url.rsplit("/", 1)[-1]
        if "/static/" in answer.url:
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            if re.search(r"\.(js|css)$", name):
                assert answer.headers["content-encoding"] in ("br", "gzip"), name
    timing = "() => performance.getEntriesByType('resource').map((e) => [e.name.split('/').pop(), e.encodedBodySize])"
    sizes: dict[str, int] = dict(await lab.page.evaluate(timing))
    first = {
        name: size
        for name, size in sizes.items()
        if not name.startswith("view-") and name.endswith((".js", ".css", ".woff2"))
    }
    print(
        f"\nbefore the terminal's chunk: {sum(first.values()) / 1024:.1f} KiB in {len(first)} files; the chunk: "
        f"{sum(size for name, size in sizes.items() if name.startswith('view-')) / 1024:.1f} KiB"
    )
    assert 0 < sum(first.values()) < BUDGET


async def test_every_page_has_the_strict_policy(server: Server, student: User) -> None:
    for path in ("/", "/signin", "/sessions/aaaaaaaaaaaaaaaaaaaa", "/api/me", "/static/manifest.json", "/nothing"):
        async with student.http.get(path, headers={"Accept": "text/html"}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert policy.startswith("default-src 'none'")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_static_files_come_compressed_as_the_browser_likes_it(server: Server, student: User) -> None:
    async with student.http.get("/static/manifest.json") as answer:
        lab = (await answer.json())["lab.js"]
    bodies = {}
    for encoding in ("br", "gzip", "identity"):
        async with student.http.get(
            f"/static/{lab}", headers={"Accept-Encoding": encoding}, auto_decompress=False
        ) as answer:
            assert answer.headers.get("Content-Encoding", "identity") == encoding
            assert answer.content_type in ("text/javascript", "application/javascript")
            assert "Accept-Encoding" in answer.headers.get("Vary", "")
            bodies[encoding] = await answer.read()
    assert gzip.decompress(bodies["gzip"]) == bodies["identity"]
    assert len(bodies["br"]) < len(bodies["gzip"]) < len(bodies["identity"]) / 2


async def test_an_emulator_that_does_not_load_is_said_and_can_be_had_again(
    make_lab: MakeLab, server: Server, student: User
) -> None:
    lab = await make_lab(server.url)
    lab.forgive("ERR_FAILED")
    await lab.sign_in(student.email)
    await student.start("tiny-system")
    await lab.page.route("**/static/view-*.js", lambda route: route.abort())
    await lab.open("/")
    await lab.page.get_by_role("link", name="Continue").click()
    again = lab.page.get_by_role("button", name="Load the page again")
    await again.wait_for()
    await lab.page.unroute_all()
    await again.click()
    await lab.prompt()
