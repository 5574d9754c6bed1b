"""A dataset's life in a real browser on the real stack: found, collected, frozen, read, exported, downloaded."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sop_web.demo.stack import start_data_worker
from tests.e2e.accessibility import violations
from tests.e2e.pages import ROBOTS, sign_in
from tests.stack.harness import System

pytestmark = pytest.mark.e2e

WAIT_MS = 60_000  # the machine may be busy
EPISODES = 5  # of one robot: enough for two splits
VERSION = """SELECT v.digest, v.seed, v.splits::text, v.episodes_count, v.state FROM fleet_datasetversion v
    JOIN fleet_dataset d ON d.id = v.dataset_id WHERE d.name = %s"""
HELD = """SELECT DISTINCT r.name FROM fleet_datasetepisode h JOIN fleet_episode e ON e.id = h.episode_id
    JOIN fleet_robot r ON r.id = e.robot_id JOIN fleet_datasetversion v ON v.id = h.version_id
    JOIN fleet_dataset d ON d.id = v.dataset_id WHERE d.name = %s"""


@pytest.fixture(autouse=True)
def data_worker(running: System) -> Iterator[None]:
    start_data_worker(running.processes, running.stack)
    yield
    running.processes.stop("data")


def test_from_the_librarys_filter_to_a_download(page: Page, running: System, tmp_path: Path) -> None:
    registered = "SELECT count(*) FROM fleet_episode e JOIN fleet_robot r ON r.id = e.robot_id WHERE r.name = %s"
    running.wait_for(
        lambda: running.rows(registered, ROBOTS[1])[0][0] >= EPISODES, what="episodes of a robot", timeout_s=240
    )
    sign_in(page, "manager")
    collected = _collect(page)
    _freeze(page, collected)
    ((digest, seed, splits, episodes, _),) = running.rows(VERSION, "lids")
    assert (seed, episodes, running.rows(HELD, "lids")) == (7, collected, [(ROBOTS[1],)])
    train, val = (split["episodes"] for split in json.loads(splits))
    assert val > 0 and train + val == episodes

    _read(page, digest, train, val)

    folder = _download(page, tmp_path)
    assert digest in (folder / "README.md").read_text(), "the card of the export names the version"
    assert json.loads((folder / "meta" / "info.json").read_text())["total_episodes"] == episodes
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, _, name = line.partition("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted


def _collect(page: Page) -> int:
    """Tick what the filter leaves and add it to a new dataset; return how many."""
    page.get_by_role("link", name="Episodes", exact=True).click()
    page.get_by_role("checkbox", name=re.compile(f"^{ROBOTS[1]}")).click(timeout=WAIT_MS)
    rows = page.get_by_role("table", name="Episodes").get_by_role("row")
    expect(rows.filter(has_text=ROBOTS[0])).to_have_count(0, timeout=WAIT_MS)
    page.get_by_role("checkbox", name="Tick all that are shown").check()
    page.get_by_role("button", name="Add to dataset").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Dataset", exact=True).select_option(label="A new dataset")
    dialog.get_by_label("Name").fill("lids")
    assert violations(page) == []
    dialog.get_by_role("button", name="Add", exact=True).click()
    told = page.get_by_text(re.compile(r"^Added (\d+)\sepisodes? to lids"))
    expect(told).to_be_visible(timeout=WAIT_MS)
    match = re.search(r"Added (\d+)", told.inner_text())
    assert match is not None and int(match[1]) >= EPISODES
    return int(match[1])


def _freeze(page: Page, collected: int) -> None:
    page.get_by_role("link", name="Datasets", exact=True).click()
    page.get_by_role("link", name="lids", exact=True).click()
    page.get_by_role("link", name="Freeze a version").click()
    page.get_by_label("Preset").select_option(label="Train 80 %, val 20 %")
    page.get_by_label("Seed of the split").fill("7")
    freeze = page.get_by_role("button", name=re.compile(rf"^Freeze {collected}\sepisodes$"))
    expect(freeze).to_be_enabled(timeout=WAIT_MS)
    assert violations(page) == []
    freeze.click()
    expect(page).to_have_url(re.compile(r"/datasets/[0-9a-f-]{36}\?version=1$"), timeout=WAIT_MS)


def _read(page: Page, digest: str, train: int, val: int) -> None:
    """The version's page says what was frozen and, once the worker has read the steps, what they hold."""
    expect(page.get_by_role("heading", name="Version 1")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text(digest, exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(rf"^train 80\s% = {train}, val 20\s% = {val}"))).to_be_visible()
    expect(page.get_by_text("by seed 7", exact=True)).to_be_visible()
    expect(page.locator("pre[aria-label=Card]")).to_contain_text(digest)
    expect(page.get_by_role("table", name="Statistics of action")).to_be_visible(timeout=WAIT_MS)
    page.reload()
    expect(page.get_by_text(digest, exact=True)).to_be_visible(timeout=WAIT_MS)
    assert violations(page) == []


def _download(page: Page, tmp_path: Path) -> Path:
    """Export the version as LeRobot files; return the unpacked folder."""
    page.get_by_role("link", name="Export", exact=True).click()
    dialog = page.get_by_role("dialog", name="Export")
    expect(dialog.get_by_text("Nothing stands in its way.")).to_be_visible(timeout=WAIT_MS)
    dialog.get_by_role("button", name="Start the export").click()
    row = page.get_by_role("row").filter(has_text="lids")
    expect(row.get_by_text("Done", exact=True)).to_be_visible(timeout=WAIT_MS)
    with page.expect_download(timeout=WAIT_MS) as started:
        row.get_by_role("link", name=re.compile("^Download lids")).click()
    started.value.save_as(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (folder,) = (tmp_path / "unpacked").iterdir()
    return folder
