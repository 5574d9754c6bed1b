"""demonstrate, evaluate and scenes through the command line, the control loop and the recorder."""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np
import pytest

from fleet.daemon import rollouts
from fleet.daemon.__main__ import main
from fleet.daemon.drivers.metaworld.driver import create
from fleet.protocol.authority import Mode, Source
from fleet.protocol.policy import ActionChunk, Observation
from fleet.protocol.recording import Origin, Outcome, decode_manifest, validate_steps
from fleet.protocol.steps import decode_steps

SHARED = ["--renderer", "raycast"]
DEMONSTRATE = ["demonstrate", "--task", "bin-picking", "--seeds", "0-1", "--starts", "narrow", *SHARED, "--out"]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_demonstrations_are_complete_scripted_episodes_equal_for_equal_seeds(tmp_path: Path) -> None:
    assert main([*DEMONSTRATE, str(tmp_path / "a")]) == 0
    assert main([*DEMONSTRATE, str(tmp_path / "b")]) == 0
    episodes = sorted((tmp_path / "a").iterdir())

    assert len(episodes) == 2
    assert content(tmp_path / "a") == content(tmp_path / "b")
    for folder in episodes:
        manifest = decode_manifest((folder / "manifest.json").read_bytes())
        steps = decode_steps((folder / "steps.parquet").read_bytes())
        validate_steps(steps, manifest)
        assert manifest.episode_id == folder.name
        assert (manifest.origin, manifest.outcome) == (Origin.DEMONSTRATION, Outcome.SUCCESS)
        assert manifest.human_steps == manifest.steps
        assert [(part.mode, part.source) for part in manifest.segments] == [(Mode.TELEOP, Source.SCRIPTED)]
        assert manifest.instruction == "move the block from the left bin to the right bin"
        assert not steps["proposed"].any()


def test_demonstrations_go_on_where_they_stopped_and_mend_a_damaged_one(tmp_path: Path) -> None:
    main([*DEMONSTRATE, str(tmp_path)])
    before = content(tmp_path)
    first, second = sorted(tmp_path.iterdir())
    times = (first / "manifest.json").stat().st_mtime_ns
    (second / "steps.parquet").write_bytes(b"torn")

    assert main([*DEMONSTRATE, str(tmp_path)]) == 0

    assert content(tmp_path) == before
    assert (first / "manifest.json").stat().st_mtime_ns == times


class ExpertPolicy:
    """A policy that cheats: the expert of the driver under it, so an evaluation has something to count."""

    execute_steps = 1

    def __init__(self) -> None:
        self.driver = None
        self.begun: list[tuple[str, int]] = []

    def reset(self, *, instruction: str, seed: int) -> None:
        self.begun.append((instruction, seed))

    def infer(self, observation: Observation) -> ActionChunk:
        return ActionChunk(self.driver.advisor.action()[None])


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> ExpertPolicy:
    """Stands in for the learner's network, which has tests of its own; loop, driver and files are real."""
    cheat = ExpertPolicy()

    def create_and_remember(name: str, options: dict[str, str]) -> object:
        cheat.driver = create(options)
        return cheat.driver

    monkeypatch.setattr(rollouts, "create_driver", create_and_remember)
    monkeypatch.setattr(
        rollouts, "load_policy_directory", lambda folder: (types.SimpleNamespace(version_id="version-1"), cheat)
    )
    return cheat


def evaluate(out: Path, seeds: str, *more: str) -> dict[str, object]:
    arguments = ["evaluate", "--task", "drawer-open", "--policy", "p", "--seeds", seeds, *SHARED, *more]
    assert main([*arguments, "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_an_evaluation_counts_each_seed_and_gives_wilsons_interval(tmp_path: Path, policy: ExpertPolicy) -> None:
    result = evaluate(tmp_path / "e.json", "5-7")

    assert (result["successes"], result["episodes"], result["rate"]) == (3, 3, 1.0)
    assert (result["low"], result["high"], result["confidence"]) == (0.4385, 1.0, 0.95)
    assert [entry["seed"] for entry in result["results"]] == [5, 6, 7]
    assert all(entry["outcome"] == "success" and 50 < entry["steps"] < 130 for entry in result["results"])
    assert policy.begun == [("open the drawer", seed) for seed in (5, 6, 7)]


def test_an_evaluation_goes_on_where_it_stopped_but_not_with_other_settings(
    tmp_path: Path, policy: ExpertPolicy
) -> None:
    out = tmp_path / "e.json"
    evaluate(out, "5-6")
    longer = evaluate(out, "5-7")
    assert longer["episodes"] == 3
    assert [seed for _, seed in policy.begun] == [5, 6, 7]

    short = evaluate(out, "5-5", "--max-steps", "10")

    assert (short["successes"], short["episodes"]) == (0, 1)
    assert short["results"] == [{"seed": 5, "success": False, "steps": 10, "outcome": "timeout"}]


def test_wilsons_interval_has_the_textbook_values() -> None:
    assert rollouts.wilson_interval(0, 0) == (0.0, 1.0)
    low, high = rollouts.wilson_interval(36, 60)
    assert (round(low, 3), round(high, 3)) == (0.474, 0.714)


def test_scenes_are_written_once(tmp_path: Path) -> None:
    out = tmp_path / "scenes.npz"
    command = ["scenes", "--task", "bin-picking", "--count", "20", "--seed", "1", *SHARED, "--out", str(out)]
    assert main(command) == 0
    written = out.stat().st_mtime_ns
    assert main(command) == 0

    assert out.stat().st_mtime_ns == written
    with np.load(out, allow_pickle=False) as data:
        assert data["images"].shape == (20, 64, 64, 3)
        assert data["labels"].shape == (20, 9)
        assert str(data["task"]) == "bin-picking"


def test_what_the_caller_can_mend_is_status_2(tmp_path: Path) -> None:
    assert main(["demonstrate", "--task", "fold-laundry", "--seeds", "0-1", "--out", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())
    missing = ["--policy", str(tmp_path / "none"), "--out", str(tmp_path / "e.json")]
    assert main(["evaluate", "--task", "box-close", "--seeds", "0-1", *missing]) == 2


@pytest.mark.parametrize("seeds", ["5-1", "x", "0-1000000"])
def test_bad_seed_ranges_are_refused(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["demonstrate", "--task", "box-close", "--seeds", seeds, "--out", str(tmp_path)])
