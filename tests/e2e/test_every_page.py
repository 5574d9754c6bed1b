"""Every page of the console as an admin opens it: it loads, says what it is, fits, and axe finds nothing.

At 1280 px in both themes, and at the 390 px of a phone, which is for reading.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import SETTLED, violations, violations_in_both_themes
from tests.e2e.pages import PHONE, ROBOTS, assert_it_fits, sign_in

pytestmark = pytest.mark.e2e

PAGES = (
    "/", "/wall", "/help", "/alerts", "/alerts?view=rules",
    "/episodes", "/datasets", "/datasets/exports", "/datasets/imports", "/training",
    "/training/new", "/training/compare", "/versions",
    "/reports", "/reports?view=versions", "/reports?view=robots", "/reports/periods", "/status",
    "/settings/profile", "/settings/tokens", "/settings/robots", "/settings/tasks", "/settings/assignments",
    "/settings/people", "/settings/groups", "/settings/audit", "/settings/storage", "/settings/webhooks",
)  # fmt: skip
# Pages of one thing: of the newest that the API lists.
PAGES_OF = {
    "/episodes/{id}": "/api/v1/episodes", "/training/{id}": "/api/v1/training-runs",
    "/versions/{id}": "/api/v1/policy-versions", "/teleop/{id}": "/api/v1/robots",
}  # fmt: skip


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


def _address(page: Page, path: str) -> str:
    if path not in PAGES_OF:
        return path
    return path.format(id=page.request.get(PAGES_OF[path]).json()["results"][0]["id"])


def _wait_until_loaded(page: Page) -> None:
    expect(page.get_by_role("main").get_by_role("heading").first).to_be_attached()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("path", [*PAGES, *PAGES_OF])
def test_a_page_is_whole(page: Page, path: str) -> None:
    """In both themes, then as narrow as a phone: only what scrolls in a box of its own is wider than the screen."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    if path in PAGES:  # a page of one thing asks for what may not be there, as an episode's values
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(_address(page, path))
    _wait_until_loaded(page)
    assert violations_in_both_themes(page) == []
    assert_it_fits(page)
    page.set_viewport_size(PHONE)
    page.reload()
    _wait_until_loaded(page)
    page.wait_for_function(SETTLED)
    assert violations(page) == []
    assert_it_fits(page)
    assert problems == []


def test_the_navigation_folds_on_a_phone(page: Page) -> None:
    """A button unfolds it, a choice leads there and folds it in, Escape folds it in."""
    page.set_viewport_size(PHONE)
    page.goto("/help")
    bar = page.get_by_role("navigation", name="Main")
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Navigation").click()
    assert violations(page) == []
    bar.get_by_role("link", name="Reports").click()
    expect(page).to_have_url(re.compile("/reports$"))
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Navigation").click()
    bar.get_by_role("link", name="Fleet").focus()
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()


def test_the_palette_leads_by_keyboard_alone(page: Page) -> None:
    """Ctrl+K opens it with the focus in its field, axe finds nothing, Escape gives the focus back, Enter goes there."""
    page.goto("/help")
    expect(page.get_by_role("heading", name="Help", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name=re.compile("^Page, robot"))
    expect(field).to_be_focused()
    page.keyboard.type(ROBOTS[0])
    option = page.get_by_role("option", name=re.compile(ROBOTS[0])).first
    expect(option).to_have_attribute("aria-selected", "true")
    assert violations_in_both_themes(page) == []
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    page.get_by_role("button", name="Go to or do").click()
    page.keyboard.type("audit log")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/settings/audit$"))
