"""What the browser tests do on every page."""

from __future__ import annotations

from playwright.sync_api import Page, ViewportSize, expect

from tests.stack.harness import PASSWORD, USERNAME

ROBOTS = ("arm-one", "arm-two")
PHONE: ViewportSize = {"width": 390, "height": 844}

# What reaches beyond the right edge: it is what makes the page wider. A box that scrolls or cuts holds what is in it,
# but not what is positioned against something outside of it.
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const holder = (what) => getComputedStyle(what).position === "absolute" ? what.offsetParent : what.parentElement;
  if (each.getBoundingClientRect().right <= innerWidth + 0.5) return false;
  for (let box = holder(each); box && box !== document.body; box = holder(box))
    if (getComputedStyle(box).overflowX !== "visible") return false;
  return getComputedStyle(each).visibility !== "hidden";
}).slice(0, 5).map((each) => each.outerHTML.slice(0, 160))"""


def sign_in(page: Page, name: str = USERNAME) -> None:
    """Sign in on the way to the fleet page, as the operator unless it says otherwise."""
    page.goto("/sign-in?next=/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected", timeout=60_000)


def assert_it_fits(page: Page) -> None:
    """Raise with what is too wide unless the page needs no scroll bar below it."""
    wide = page.evaluate(TOO_WIDE)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), wide
