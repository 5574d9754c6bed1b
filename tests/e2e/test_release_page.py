"""An admin stages a deliberately bad version in the browser and sees it halted and rolled back by itself.

Over real robots (tests/stack/point_fleet.py) and their own stack: the shared one's robots drive at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.accessibility import violations
from tests.e2e.pages import sign_in
from tests.stack.harness import RUN, System
from tests.stack.point_fleet import ROBOTS, episodes_of, newest_version, point_fleet, write_version

pytestmark = pytest.mark.e2e

DECIDED_MS = 180_000  # twenty seconds on a machine with nothing else to do
SHOWN_MS = 20_000


@pytest.fixture(scope="module")
def fleet(make_open_folder: Callable[[str], Path]) -> Iterator[System]:
    with point_fleet(make_open_folder("release")) as system:
        yield system


@pytest.fixture
def admin(browser: Browser, fleet: System) -> Iterator[Page]:
    context = browser.new_context(base_url=fleet.stack.url, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sign_in(page, "admin")
    yield page
    context.close()


def test_a_bad_version_is_staged_halted_and_rolled_back_by_itself(admin: Page, fleet: System) -> None:
    """The page says live what is tried and what comes next; then that it went back by itself, after how long, on how
    many episodes, and why."""
    good = newest_version(fleet)
    fleet.wait_for(lambda: episodes_of(fleet, good) >= 8, what="episodes of the good version", timeout_s=120)
    admin.goto("/versions")
    admin.get_by_label("Strategy").select_option("manual")
    admin.get_by_role("button", name="Choose").click()
    expect(admin.get_by_text("The strategy is changed.")).to_be_visible()
    fleet.manage("policy_import", str(write_version(fleet.stack.data_dir / "bad", 2, dx=-0.5)), "--run", RUN)
    bad = newest_version(fleet)
    assert episodes_of(fleet, bad) == 0

    admin.goto(f"/versions/{bad}")
    admin.get_by_role("button", name="Try on some robots").click()
    admin.get_by_role("dialog").get_by_role("button", name="Try").click()
    expect(admin.get_by_text("v1 is being tried.")).to_be_visible()
    admin.get_by_role("navigation", name="Main").get_by_role("link", name="Versions").click()
    trial = admin.get_by_role("region", name="Trying v1 against v0")
    expect(trial).to_contain_text(re.compile(r"on arm-\d; the others drive with v0"), timeout=SHOWN_MS)

    done = admin.get_by_role("region", name="Versions that were tried")
    expect(done).to_contain_text("Rolled back", timeout=DECIDED_MS)
    expect(trial).to_have_count(0)
    cost = re.compile(r"v1 against v0, by itself after \d+\s(s|min) and \d+\sepisodes? on 1\srobot")
    expect(done.get_by_role("listitem")).to_contain_text(cost)
    expect(done.get_by_role("listitem")).to_contain_text("100 points lower")
    expect(admin.get_by_role("region", name="What was done")).to_contain_text("by the rollout itself")
    assert violations(admin) == []
    said = int(re.findall(r"(\d+)\sepisodes?", done.get_by_role("listitem").inner_text())[0])
    assert 0 < said <= episodes_of(fleet, bad) < 200

    def is_back() -> bool:
        return fleet.rows("SELECT DISTINCT policy_version_id::text FROM fleet_robot") == [(good,)]

    fleet.wait_for(is_back, what="every robot back on the good version", timeout_s=120)
    rows = admin.get_by_role("table", name="Versions").get_by_role("row")
    expect(rows.filter(has_text="v0")).to_contain_text(str(len(ROBOTS)), timeout=SHOWN_MS)
