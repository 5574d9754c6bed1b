"""The library and an episode's page in a real browser on the real stack: filters, labels, video, keyboard, axe."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations_in_both_themes
from tests.e2e.pages import PHONE, ROBOTS, assert_it_fits, sign_in
from tests.stack.harness import TASK, System

pytestmark = pytest.mark.e2e

WAIT_MS = 20_000  # the machine may be busy


def _open_library(page: Page) -> None:
    sign_in(page)
    page.get_by_role("link", name="Episodes", exact=True).click()
    expect(page.get_by_role("table", name="Episodes")).to_be_visible(timeout=WAIT_MS)


def _open_episode(page: Page) -> None:
    _open_library(page)
    page.get_by_role("link", name=re.compile(f"^Open {TASK}, {ROBOTS[0]}")).first.click()
    expect(page.get_by_role("figure", name="Reward over steps")).to_be_visible(timeout=WAIT_MS)


def _time(page: Page) -> float:
    return float(page.locator("video").first.evaluate("video => video.currentTime"))


def test_filters_lead_to_their_episodes(page: Page, running: System) -> None:
    """Choosing a robot leaves its episodes alone; the choice is in the URL and survives a reload."""
    _open_library(page)
    page.get_by_role("checkbox", name=re.compile(f"^{ROBOTS[1]}")).click()  # not check(): the URL holds its state
    expect(page).to_have_url(re.compile(r"\?robot=[0-9a-f-]{36}$"))
    page.reload()
    rows = page.get_by_role("table", name="Episodes").get_by_role("row")
    expect(rows.filter(has_text=ROBOTS[1]).first).to_be_visible(timeout=WAIT_MS)
    expect(rows.filter(has_text=ROBOTS[0])).to_have_count(0)
    page.get_by_role("searchbox").fill("there is no such word")
    expect(page.get_by_text("No episode fits these filters")).to_be_visible(timeout=WAIT_MS)


def test_bulk_changes_are_taken_back(page: Page, running: System) -> None:
    """A tag on one episode is in the database, found by its facet, and gone after undo."""
    _open_library(page)
    page.get_by_role("checkbox", name=re.compile(f"^Tick {TASK}, {ROBOTS[0]}")).first.check()
    page.get_by_label("Tag to add").fill("e2e")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Changed 1 episode.")).to_be_visible(timeout=WAIT_MS)
    assert running.rows("SELECT count(*) FROM fleet_episode WHERE tags = '{e2e}'") == [(1,)]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Taken back for 1 episode.")).to_be_visible(timeout=WAIT_MS)
    assert running.rows("SELECT count(*) FROM fleet_episode WHERE tags = '{e2e}'") == [(0,)]
    assert running.rows("SELECT count(*) FROM fleet_episodelabel WHERE batch IS NOT NULL") == [(2,)]


def test_video_steps_and_plays(page: Page, running: System) -> None:
    """The recorded video stands at the middle of the frame that the timeline names, steps by keyboard, and plays."""
    _open_episode(page)
    timeline = page.get_by_role("slider", name="Timeline")
    expect(page.locator("video").first).to_have_js_property("readyState", 4, timeout=WAIT_MS)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(timeline).to_have_attribute("aria-valuenow", "11")
    rate = 10.0
    assert _time(page) == pytest.approx(11.5 / rate, abs=0.02)
    expect(page).to_have_url(re.compile(r"\?frame=11$"))
    page.get_by_role("button", name="Play").click()
    beyond = re.compile("^(2[6-9]|[3-9][0-9]|[0-9]{3})$")
    expect(timeline).to_have_attribute("aria-valuenow", beyond, timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").click()
    frame = int(timeline.get_attribute("aria-valuenow") or 0)
    assert _time(page) == pytest.approx((frame + 0.5) / rate, abs=0.02)
    expect(page).to_have_url(re.compile(rf"\?frame={frame}$"))
    page.reload()
    expect(page.get_by_role("slider", name="Timeline")).to_have_attribute("aria-valuenow", str(frame), timeout=WAIT_MS)


def test_a_label_is_saved_and_kept(page: Page, running: System) -> None:
    _open_episode(page)
    episode = page.url.rsplit("/", 1)[1].split("?")[0]
    page.get_by_role("radio", name="Success").check()
    page.get_by_label("Reason").fill("lid is on")
    page.get_by_role("button", name="Save label").click()
    expect(page.get_by_text("The label is saved.")).to_be_visible(timeout=WAIT_MS)
    row = "SELECT outcome, outcome_source, outcome_reason FROM fleet_episode WHERE id = %s"
    assert running.rows(row, episode) == [("success", "person", "lid is on")]
    page.reload()
    expect(page.get_by_role("radio", name="Success")).to_be_checked(timeout=WAIT_MS)
    page.get_by_text("History").click()
    expect(page.get_by_text("Success (lid is on)")).to_be_visible()
    page.set_viewport_size(PHONE)
    page.goto("/episodes")
    # Read out alone, in a column that a phone has to scroll to.
    expect(page.get_by_text("said by a person").first).to_be_attached(timeout=WAIT_MS)
    assert_it_fits(page)


def test_ticking_the_first_row_moves_no_other(page: Page, running: System) -> None:
    """What is done with ticked rows has its place already, and stays in sight down the list."""
    _open_library(page)
    row = page.get_by_role("row").nth(2)
    before = row.bounding_box()
    row.get_by_role("checkbox").check()
    bar = page.get_by_role("region", name="Ticked episodes")
    expect(bar).to_contain_text("1 episode ticked")
    assert row.bounding_box() == before
    page.set_viewport_size({"width": 1280, "height": 300})
    page.mouse.wheel(0, 10_000)
    expect(page.get_by_text(re.compile("episodes? shown$"))).to_be_in_viewport()
    expect(bar).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Untick").click()
    expect(bar).to_have_count(0)


def test_no_accessibility_violations(page: Page, running: System) -> None:
    """axe finds nothing on the library with ticked rows, on its dialog, and on an episode, in both themes."""
    page.emulate_media(reduced_motion="reduce")
    _open_library(page)
    page.get_by_role("checkbox", name="Tick all that are shown").check()
    assert violations_in_both_themes(page) == []
    page.get_by_role("button", name="Saved filters").click()
    assert violations_in_both_themes(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("link", name=re.compile(f"^Open {TASK}")).first.click()
    expect(page.get_by_role("figure", name="Reward over steps")).to_be_visible(timeout=WAIT_MS)
    assert violations_in_both_themes(page) == []
