"""People in a real browser on the real stack: shut out under an open page."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import ROBOTS
from tests.stack.harness import PASSWORD, System

pytestmark = pytest.mark.e2e


def _sign_in(page: Page, username: str, password: str) -> None:
    page.goto("/sign-in?next=/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def _connected(page: Page) -> None:
    expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected", timeout=20_000)


def _admin(browser: Browser, base_url: str) -> Page:
    page = browser.new_context(base_url=base_url, viewport={"width": 1280, "height": 800}).new_page()
    _sign_in(page, "admin", PASSWORD)
    _connected(page)
    return page


def test_a_role_that_ends_ends_under_the_open_page(browser: Browser, base_url: str, running: System) -> None:
    """The page shows at once what is left: after the role nothing moves, after deactivating the sign-in page."""
    page = browser.new_context(base_url=base_url, viewport={"width": 1280, "height": 800}).new_page()
    _sign_in(page, "manager", PASSWORD)
    _connected(page)
    expect(page.get_by_text(ROBOTS[0]).first).to_be_visible()
    admin = _admin(browser, base_url)
    admin.goto("/settings/people")
    admin.get_by_role("button", name="Change manager").click()
    began_s = time.monotonic()
    admin.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_label("User name")).to_be_visible(timeout=5_000)
    assert time.monotonic() - began_s < 5
    admin.get_by_role("button", name="Change manager").click()
    admin.get_by_role("button", name="Activate").click()
    expect(admin.get_by_text("manager may sign in again.")).to_be_visible()
