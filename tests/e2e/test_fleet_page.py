"""The fleet page in a real browser on the real stack: live, correct after a restart of the server, accessible."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from sop_web.demo.run import wait_until_serving
from sop_web.demo.stack import start_server
from tests.e2e.accessibility import violations_in_both_themes
from tests.e2e.pages import ROBOTS, sign_in
from tests.stack.harness import USERNAME, System

pytestmark = pytest.mark.e2e

LIVE_MS = 20_000  # cards change at most 4 times a second; the machine may be busy


def _card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def _step(page: Page, name: str) -> str:
    """Return what the card's progress bar says."""
    return _card(page, name).get_by_role("progressbar").get_attribute("aria-valuenow") or ""


def _expect_to_move(page: Page, name: str) -> None:
    """The card's episode goes on by itself."""
    before = _step(page, name)
    expect(_card(page, name).get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", before, timeout=LIVE_MS)


def test_a_wrong_password_is_answered_in_words(page: Page) -> None:
    """No session, a message, and the form stays."""
    page.goto("/")
    page.get_by_label("User name").fill(USERNAME)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    expect(page.get_by_label("Password")).to_be_visible()


def test_cards_are_live(page: Page, running: System) -> None:
    """Signing in shows a card a robot whose episode moves on, with its task, policy and a camera picture."""
    sign_in(page)
    for name in ROBOTS:
        card = _card(page, name)
        expect(card).to_contain_text("box-close")
        expect(card).to_contain_text(re.compile(r"[Vv]\s?0|Version 0|Base", re.IGNORECASE))
        _expect_to_move(page, name)
        picture = card.get_by_role("img", name=f"Camera of {name}")
        expect(picture).to_be_visible(timeout=LIVE_MS)
        assert picture.evaluate("image => image.naturalWidth") > 0


def test_the_chart_shows_success(page: Page) -> None:
    """Registered episodes make a curve whose description carries n and the interval; the table has the numbers."""
    sign_in(page)
    chart = page.get_by_role("img", name=re.compile("Autonomous success rate over time"))
    expect(chart).to_be_visible(timeout=LIVE_MS)
    expect(chart).to_have_accessible_name(re.compile(r"n\s*=?\s*\d+|of \d+|\d+ episode"))
    page.get_by_role("tab", name="Table").click()
    expect(page.get_by_role("table")).to_be_visible()


def test_the_page_is_right_after_the_server_restarted(page: Page, running: System) -> None:
    """The page says that it waits, reconnects by itself, and its cards move again and agree with the rows."""
    sign_in(page)
    _expect_to_move(page, ROBOTS[0])
    running.kill("web")
    expect(page.get_by_role("status", name="Live link")).not_to_contain_text("Connected", timeout=LIVE_MS)
    start_server(running.processes, running.stack)
    wait_until_serving(running.stack.url, running.processes)
    expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected", timeout=60_000)
    expect(page.get_by_role("article")).to_have_count(len(ROBOTS))
    for name in ROBOTS:
        _expect_to_move(page, name)


def test_no_accessibility_violations(page: Page) -> None:
    """axe finds nothing on the sign-in page and the fleet page, in both themes."""
    page.emulate_media(reduced_motion="reduce")
    page.goto("/")
    expect(page.get_by_label("User name")).to_be_visible()
    assert violations_in_both_themes(page) == []
    sign_in(page)
    expect(_card(page, ROBOTS[0])).to_be_visible()
    assert violations_in_both_themes(page) == []
