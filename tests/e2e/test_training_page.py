"""The page of a training run in a real browser on the real stack: charts, live rows, keyboard, accessible."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations_in_both_themes
from tests.e2e.pages import sign_in
from tests.e2e.training_rows import REPORT_STEPS, write_reports
from tests.stack.harness import RUN, TASK, System

pytestmark = pytest.mark.e2e

LIVE_MS = 20_000  # new rows show within two seconds even without a hint; the machine may be busy


@pytest.fixture(scope="module")
def reported(running: System) -> System:
    """Thirty reports of a RECAP run."""
    write_reports(running, range(REPORT_STEPS, 31 * REPORT_STEPS, REPORT_STEPS), [TASK], is_recap=True)
    return running


def _open_run(page: Page) -> None:
    sign_in(page)
    page.get_by_role("link", name="Training", exact=True).click()
    page.get_by_role("row", name=re.compile(RUN)).get_by_role("link", name=RUN).click()
    expect(page.get_by_role("heading", name=RUN, exact=True)).to_be_visible()
    expect(page.get_by_role("slider", name=f"Loss, {TASK}, read-out")).to_be_visible(timeout=LIVE_MS)


def test_new_reports_reach_the_open_page(page: Page, reported: System) -> None:
    """A row that appears in the database moves the charts' newest point without any action."""
    _open_run(page)
    share = page.get_by_role("slider", name=re.compile("^Where its training comes from"))
    before = int(share.get_attribute("aria-valuemax") or 0)
    newest = int(reported.rows("SELECT max(step) FROM fleet_runmetric")[0][0]) + REPORT_STEPS
    write_reports(reported, range(newest, newest + 1, REPORT_STEPS), [TASK], is_recap=True)
    expect(share).to_have_attribute("aria-valuemax", str(before + 1), timeout=LIVE_MS)
    expect(share).to_have_attribute("aria-valuetext", re.compile(f"step {newest:,}, .*Fleet .*Rule .*Cap "))
    expect(page.get_by_text(re.compile("of this task's training comes from the fleet"))).to_be_visible()


def test_keyboard_reads_all_charts_at_one_moment(page: Page, reported: System) -> None:
    """Arrows on one chart move the cursor of every chart of the page."""
    _open_run(page)
    loss = page.get_by_role("slider", name=f"Loss, {TASK}, read-out")
    loss.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(loss).to_have_attribute("aria-valuetext", re.compile("^step 200, "))
    expect(page.get_by_role("slider", name="Gradient norm, read-out")).to_have_attribute(
        "aria-valuetext", re.compile("^step 200, ")
    )


def test_no_accessibility_violations(page: Page, reported: System) -> None:
    """axe finds nothing on the list, on a run's charts and on its tables, in both themes."""
    page.emulate_media(reduced_motion="reduce")
    _open_run(page)
    assert violations_in_both_themes(page) == []
    page.get_by_role("tab", name="Tables").click()
    expect(page.get_by_role("table", name=f"Loss, {TASK}")).to_be_visible()
    assert violations_in_both_themes(page) == []
    page.get_by_role("link", name="Training", exact=True).click()
    expect(page.get_by_role("table", name="Training runs")).to_be_visible()
    assert violations_in_both_themes(page) == []
