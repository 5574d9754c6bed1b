"""What the browser tests do on every page."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.stack.harness import PASSWORD, USERNAME

ROBOTS = ("arm-one", "arm-two")


def sign_in(page: Page, name: str = USERNAME) -> None:
    """Sign in on the way to the fleet page, as the operator unless it says otherwise."""
    page.goto("/sign-in?next=/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected", timeout=60_000)
