"""Takes the README's pictures from the running demo: `make screenshots`, while `make demo` runs in another terminal.

Writes docs/images/fleet-dark.png and fleet-light.png, 1440 x 730 at twice the pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SOP_DATA_DIR", ROOT / "var")))
    given = parser.parse_args()
    accounts = given.data_dir / "demo" / "credentials.json"
    if not accounts.exists():
        print(f"{accounts} is not there: start `make demo` first", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        take(given.url, password=json.loads(accounts.read_text())["operator"], out=given.out)
    except Error as error:
        print(
            f"no pictures from {given.url}: {error.message.splitlines()[0]}\nIs `make demo` running?", file=sys.stderr
        )
        return 1
    return 0


def take(url: str, *, password: str, out: Path) -> None:
    """Sign in once a theme and save the fleet page once every card has its picture."""
    found = os.environ.get("SOP_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("dark", "light"):
            context = browser.new_context(
                base_url=url, color_scheme=scheme, viewport={"width": 1440, "height": 730}, device_scale_factor=2
            )  # type: ignore[arg-type]
            page = context.new_page()
            page.goto("/")
            page.get_by_label("User name").fill("operator")
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            cards = page.get_by_role("article")
            cards.first.wait_for()
            for index in range(cards.count()):
                cards.nth(index).get_by_role("img").first.wait_for(timeout=60_000)
            page.get_by_role("img", name="Autonomous success rate").wait_for(timeout=60_000)
            page.screenshot(path=out / f"fleet-{scheme}.png")
            print(out / f"fleet-{scheme}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main())
