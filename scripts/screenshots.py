"""Takes the pictures of the docs from the running demo: `make screenshots`, while `make demo` runs in another terminal.

Writes docs/images/fleet-dark.png and fleet-light.png for the README, 1440 x 730 at twice the pixels, and every page in
both themes to docs/images/pages/NAME-THEME.webp, 1280 px wide. ARGS="--only pages" or "--only readme" takes a part,
ARGS="--pages help,alerts" these pages alone.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
SCHEMES = ("dark", "light")
PAGE_SIZE = {"width": 1280, "height": 800}
WEBP_QUALITY = 60  # of 100: a page takes about 30 kB
SETTLE_MS = 1500  # thumbnails and charts come after the last request
LIMIT_MS = 90_000  # a machine that runs robots and a learner beside the browser is slow

PAGES = {
    "fleet": "/", "wall": "/wall", "help": "/help", "alerts": "/alerts", "alert-rules": "/alerts?view=rules",
    "episodes": "/episodes", "datasets": "/datasets", "exports": "/datasets/exports", "imports": "/datasets/imports",
    "training": "/training", "training-new": "/training/new", "training-compare": "/training/compare",
    "versions": "/versions", "status": "/status",
    "reports-success": "/reports", "reports-versions": "/reports?view=versions",
    "reports-throughput": "/reports?view=throughput", "reports-interventions": "/reports?view=people",
    "reports-loop": "/reports?view=loop", "reports-robots": "/reports?view=robots",
    "reports-periods": "/reports/periods", "settings-profile": "/settings/profile",
    "settings-tokens": "/settings/tokens", "settings-robots": "/settings/robots", "settings-tasks": "/settings/tasks",
    "settings-assignments": "/settings/assignments", "settings-people": "/settings/people",
    "settings-audit": "/settings/audit", "settings-storage": "/settings/storage",
    "settings-webhooks": "/settings/webhooks",
}  # fmt: skip
# Pages of one thing: the newest of what the API lists.
PAGES_OF = {
    "episode": ("/api/v1/episodes", "/episodes/{id}"),
    "dataset": ("/api/v1/datasets", "/datasets/{id}"),
    "training-run": ("/api/v1/training-runs", "/training/{id}"),
    "version": ("/api/v1/policy-versions", "/versions/{id}"),
    "robot-log": ("/api/v1/robots", "/settings/robots/{id}/log"),
    "cockpit": ("/api/v1/robots", "/teleop/{id}"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SOP_DATA_DIR", ROOT / "var")))
    parser.add_argument("--only", choices=("readme", "pages"), default=None)
    parser.add_argument("--pages", type=lambda text: text.split(","), default=None, metavar="NAME,...")
    given = parser.parse_args()
    accounts = given.data_dir / "demo" / "credentials.json"
    if not accounts.exists():
        print(f"{accounts} is not there: start `make demo` first", file=sys.stderr)
        return 1
    passwords = json.loads(accounts.read_text())
    try:
        take(
            given.url,
            passwords=passwords,
            out=given.out,
            only="pages" if given.pages else given.only,
            names=given.pages,
        )
    except Error as error:
        print(
            f"no pictures from {given.url}: {error.message.splitlines()[0]}\nIs `make demo` running?", file=sys.stderr
        )
        return 1
    return 0


def take(
    url: str, *, passwords: dict[str, str], out: Path, only: str | None = None, names: list[str] | None = None
) -> None:
    """Take the pictures of the README, those of the pages (`names`, or all), or both. Raises: playwright's Error."""
    found = os.environ.get("SOP_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        if only != "pages":
            take_readme(browser, url, password=passwords["operator"], out=out)
        if only != "readme":
            take_pages(browser, url, password=passwords["admin"], out=out / "pages", names=names)
        browser.close()


def take_readme(browser: Browser, url: str, *, password: str, out: Path) -> None:
    """Save the fleet page once every card has its picture."""
    out.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
        context = browser.new_context(
            base_url=url, color_scheme=scheme, viewport={"width": 1440, "height": 730}, device_scale_factor=2
        )  # type: ignore[arg-type]
        page = sign_in(context, "operator", password)
        page.goto("/")
        cards = page.get_by_role("article")
        cards.first.wait_for()
        for index in range(cards.count()):
            cards.nth(index).get_by_role("img").first.wait_for(timeout=60_000)
        page.get_by_role("img", name="Autonomous success rate").wait_for(timeout=60_000)
        page.screenshot(path=out / f"fleet-{scheme}.png")
        print(out / f"fleet-{scheme}.png")
        context.close()


def take_pages(browser: Browser, url: str, *, password: str, out: Path, names: list[str] | None = None) -> None:
    """Save every page in both themes, as an admin sees it. A page of something that is not there yet is left out."""
    out.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(base_url=url, viewport=PAGE_SIZE)  # type: ignore[arg-type]
    context.set_default_timeout(LIMIT_MS)
    page = sign_in(context, "admin", password)
    known = PAGES | pages_of(context)
    for name in names or known:
        path = known[name]
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.goto(path)  # anew: a browser that is short of time leaves parts painted in the theme before
            expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected", timeout=LIMIT_MS)
            page.get_by_role("main").wait_for()
            page.wait_for_load_state("networkidle")
            if name == "cockpit":
                take_over(page)
            page.wait_for_timeout(SETTLE_MS)
            (out / f"{name}-{scheme}.webp").write_bytes(webp_of(page))
            if name == "cockpit":
                hand_back(page)
        print(out / f"{name}-*.webp")
    context.close()


def take_over(page: Page) -> None:
    """Drive the cockpit's robot, and wait for its live video: a picture that is old says so."""
    page.get_by_test_id("take").click()
    page.get_by_test_id("hand-back").wait_for()
    for video in page.locator("video").all():
        expect(video).to_have_js_property("readyState", 4, timeout=LIMIT_MS)
    expect(page.get_by_test_id("stale-video")).to_have_count(0, timeout=LIMIT_MS)


def hand_back(page: Page) -> None:
    page.get_by_test_id("hand-back").click()
    page.get_by_test_id("take").wait_for()


def pages_of(context: BrowserContext) -> dict[str, str]:
    """Return the pages of one thing each, by name."""
    found = {}
    for name, (listed, path) in PAGES_OF.items():
        rows = context.request.get(listed, params={"page_size": 1}).json()["results"]
        if rows:
            found[name] = path.format(id=rows[0]["id"])
    return found


def sign_in(context: BrowserContext, name: str, password: str) -> Page:
    page = context.new_page()
    page.goto("/sign-in?next=/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation", name="Main").wait_for()
    return page


def webp_of(page: Page) -> bytes:
    """Playwright itself saves PNG and JPEG alone; the browser knows WebP, too."""
    session = page.context.new_cdp_session(page)
    picture = session.send("Page.captureScreenshot", {"format": "webp", "quality": WEBP_QUALITY})
    session.detach()
    return base64.b64decode(picture["data"])


if __name__ == "__main__":
    raise SystemExit(main())
