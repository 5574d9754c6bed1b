"""Every page of the console as an admin opens it: it loads, says what it is, fits 1280 px, and axe finds nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations
from tests.e2e.pages import sign_in

pytestmark = pytest.mark.e2e

PAGES = (
    "/", "/help", "/episodes", "/datasets", "/datasets/exports", "/datasets/imports", "/training", "/versions",
    "/reports", "/status",
    "/settings/profile", "/settings/tokens", "/settings/robots", "/settings/tasks", "/settings/assignments",
    "/settings/people", "/settings/audit", "/settings/storage", "/settings/webhooks",
)  # fmt: skip
SETTLED = "() => document.getAnimations().every((each) => !(each instanceof CSSTransition))"  # colours fade over
SHOTS = os.environ.get("SOP_SHOTS")  # a folder: keep a picture of each


@pytest.fixture(scope="session")
def admin_state(running: object, browser: object, base_url: str) -> object:
    """Sign in once; every test opens a page of its own with that session."""
    context = browser.new_context(base_url=base_url)  # type: ignore[attr-defined]
    sign_in(context.new_page(), "admin")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], admin_state: object) -> dict[str, object]:
    return {**browser_context_args, "storage_state": admin_state, "viewport": {"width": 1280, "height": 800}}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_in_both_themes(page: Page, path: str) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(path)
    expect(page.get_by_role("main").get_by_role("heading").first).to_be_attached()
    page.wait_for_load_state("networkidle")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_function(SETTLED)
        assert violations(page) == []
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{path.strip('/').replace('/', '-') or 'fleet'}-{scheme}.png")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280, "it scrolls sideways"
    assert problems == []
