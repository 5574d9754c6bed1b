"""The proposal fits where it can; everything else about a mapping is named by its field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.imports.layout import Dataset
from fleet.imports.mapping import CameraTarget, Mapping, OutcomeFrom, OutcomeRule, misfits, propose
from fleet.imports.report import Report
from fleet.protocol.recording import Origin, Outcome
from tests.fleet.exports.made import TASK
from tests.fleet.imports.made import dry_run, export, record
from tests.learner.hand_made import PIXELS, TELEOP, make_manifest
from tests.learner.lerobot_made import VIDEO, write_dataset

FRONT = "observation.images.front"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Report]:
    folder = tmp_path_factory.mktemp("own")
    return dry_run(export("lerobot-v2.1", record(folder / "recorded", count=2), folder / "set"))


def test_a_stranger_is_proposed_by_names(tmp_path: Path) -> None:
    """Tasks that exist are found by their instruction; the others get a slug that is free."""
    write_dataset(
        tmp_path, [[make_manifest(f"d {k}", [(5, TELEOP)], task=f"t{k}", origin=Origin.DEMONSTRATION) for k in (0, 1)]]
    )
    dataset, report = dry_run(tmp_path)
    mapping = propose(dataset, report.tasks, {"Do the T0": "first", "else": "do-the-t1"})
    assert misfits(mapping, report) == []
    assert (mapping.state, mapping.action) == (("observation.state",), "action")
    assert mapping.cameras == {VIDEO: CameraTarget(name="top", width=PIXELS, height=PIXELS)}
    assert mapping.tasks == {"do the t0": "first", "do the t1": "do-the-t1-2"}
    assert (mapping.outcome, mapping.is_own, mapping.intervention) == (OutcomeRule(), False, "")


def test_our_export_is_known_again(own: tuple[Dataset, Report]) -> None:
    dataset, report = own
    mapping = propose(dataset, report.tasks, {})
    assert misfits(mapping, report) == []
    assert mapping.is_own and set(mapping.tasks.values()) == {"push"}
    assert mapping.outcome == OutcomeRule(source=OutcomeFrom.EPISODE, column="outcome")
    assert (mapping.intervention, mapping.reward) == ("intervention", "next.reward")
    assert msgspec.json.decode(msgspec.json.encode(mapping), type=Mapping) == mapping


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": ()}, "state"),
        ({"state": ("observation.pose",)}, "state"),
        ({"state": ("action", "action")}, "state"),
        ({"action": ""}, "action"),
        ({"action": FRONT}, "action"),
        (
            {"cameras": {"observation.images.top": CameraTarget(name="top", width=64, height=48)}},
            "cameras.observation.images.top",
        ),
        ({"cameras": {FRONT: CameraTarget(name="../x", width=64, height=48)}}, f"cameras.{FRONT}"),
        ({"cameras": {FRONT: CameraTarget(name="front", width=63, height=48)}}, f"cameras.{FRONT}"),
        ({"cameras": {FRONT: CameraTarget(name="front", width=0, height=48)}}, f"cameras.{FRONT}"),
        ({"tasks": {}}, f"tasks.{TASK}"),
        ({"tasks": {TASK: "Two Words"}}, f"tasks.{TASK}"),
        ({"intervention": "action"}, "intervention"),
        ({"reward": "none.such"}, "reward"),
        ({"outcome": OutcomeRule(source=OutcomeFrom.FRAMES)}, "outcome"),
        ({"outcome": OutcomeRule(source=OutcomeFrom.EPISODE, column="seed")}, "outcome"),
        ({"is_own": True, "keep_every": 2}, "keep_every"),
        ({"is_own": True, "action": "sop.asked_action"}, "is_own"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(
    own: tuple[Dataset, Report], change: dict[str, Any], field: str
) -> None:
    dataset, report = own
    mapping = replace(propose(dataset, report.tasks, {}), is_own=False)
    assert field in [misfit.field for misfit in misfits(replace(mapping, **change), report)]


def test_a_mapping_with_unknown_parts_does_not_parse() -> None:
    for text in (b'{"state":["a"],"action":"b","cameras":{},"tasks":{},"more":1}', b'{"state":["a"]}', b"[]"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=Mapping)
    assert Outcome.SUCCESS is OutcomeRule().same
