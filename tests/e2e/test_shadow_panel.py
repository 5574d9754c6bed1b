"""A manager shadows a version from its page, on the robots that run, sees how far it lies, and ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations, violations_in_both_themes
from tests.e2e.pages import ROBOTS, sign_in
from tests.stack.harness import RUN, System
from tests.stack.policies import write_random_policy
from tests.stack.test_rollout import as_admin

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PROPOSED_MS = 300_000  # until a process at the lowest priority has loaded torch, and an episode is delivered


@pytest.fixture
def candidate(running: System, tmp_path: Path) -> Iterator[str]:
    """A version that no robot drives with; gone afterwards, and the run's strategy as it was."""
    run = str(running.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0][0])
    as_admin(running, ("PUT", f"/api/v1/training-runs/{run}/release", {"strategy": "manual"}))
    running.manage("policy_import", str(write_random_policy(tmp_path / "candidate", seed=9)), "--run", RUN)
    query = "SELECT id::text FROM fleet_policyversion WHERE run_id = %s ORDER BY number DESC LIMIT 1"
    version = str(running.rows(query, run)[0][0])
    yield version
    shadows = "(SELECT id FROM fleet_shadow WHERE version_id = %s)"
    for table in ("fleet_shadowresult", "fleet_shadowrobot"):
        running.rows(f"DELETE FROM {table} WHERE shadow_id IN {shadows}", version)
    running.rows("DELETE FROM fleet_shadow WHERE version_id = %s", version)
    running.rows("DELETE FROM fleet_rolloutevent WHERE run_id = %s", run)
    running.rows("DELETE FROM fleet_releasetrack WHERE run_id = %s", run)
    running.rows("DELETE FROM fleet_policyversion WHERE id = %s", version)
    running.rows("UPDATE fleet_robot SET state_revision = state_revision + 1")


def test_a_version_is_shadowed_from_its_page(page: Page, base_url: str, candidate: str) -> None:
    sign_in(page, "manager")
    page.goto(f"/versions/{candidate}")
    expect(page.get_by_text("It never ran as a shadow")).to_be_visible()
    page.get_by_role("button", name="Shadow it on robots").click()
    assert violations(page) == []
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Share of the robots (%)").fill("200")
    dialog.get_by_role("button", name="Shadow", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("a share of the robots above 0 and at most 1")
    dialog.get_by_label("Share of the robots (%)").fill("100")
    dialog.get_by_role("button", name="Shadow", exact=True).click()
    robots = page.get_by_role("table", name="Robots that shadow")
    for name in ROBOTS:
        expect(robots.get_by_text(name)).to_be_visible()

    expect(page.get_by_text("times in")).to_be_visible(timeout=PROPOSED_MS)
    expect(page.get_by_role("slider", name="Distance over time, read-out")).to_be_visible()
    expect(page.get_by_role("table", name="Episodes of the shadow").get_by_role("link").first).to_be_visible()
    assert violations_in_both_themes(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"

    page.get_by_role("button", name="End the shadow").click()
    expect(page.get_by_text("ended by hand")).to_be_visible()
    expect(page.get_by_role("button", name="End the shadow")).to_have_count(0)
