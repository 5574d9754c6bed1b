"""Steps, publishes and summaries; the names of what is measured; and TensorBoard's file read back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from learner.config import OptimConfig, RunConfig
from learner.loop import Schedule, run_steps
from learner.metrics import Versions, flatten
from learner.tensorboard import Board
from tests.learner.hand_made import make_trainer

CONFIG = RunConfig(optim=OptimConfig(batch_size=16))


class Recorded:
    """Hooks that write down what happens."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.values: dict[int, Mapping[str, float]] = {}

    def after_step(self, step: int) -> None:
        self.calls.append(("step", step))

    def publish(self, step: int) -> None:
        self.calls.append(("publish", step))

    def report(self, step: int, values: Mapping[str, float]) -> None:
        self.calls.append(("report", step))
        self.values[step] = values


def test_steps_publishes_and_reports_come_in_one_order():
    """Publishes at multiples of 2, a report at 3 and, because it is the last step, at 4: each step reported once."""
    hooks, versions = Recorded(), Versions()
    schedule = Schedule(publish_steps=2, summary_steps=3)
    run_steps(make_trainer(CONFIG), until=4, schedule=schedule, versions=versions, hooks=hooks)

    assert hooks.calls == [
        ("step", 1),
        ("step", 2),
        ("publish", 2),
        ("step", 3),
        ("report", 3),
        ("step", 4),
        ("publish", 4),
        ("report", 4),
    ]
    assert (versions.count, versions.step) == (2, 4)
    assert (hooks.values[3]["versions/published"], hooks.values[3]["versions/steps_behind"]) == (1, 1)
    assert all(0 < hooks.values[step]["loss"] < 10 for step in (3, 4))


def test_publishes_keep_their_distance_in_time():
    """Every second step is due; the clock advances 3 s a look, and 20 s must pass."""
    now = iter(range(0, 1000, 3))
    hooks, versions = Recorded(), Versions(clock=lambda: float(next(now)))
    schedule = Schedule(publish_steps=1, publish_interval_s=10.0)
    run_steps(make_trainer(CONFIG), until=6, schedule=schedule, versions=versions, hooks=hooks)

    assert [step for what, step in hooks.calls if what == "publish"] == [1, 5]


def test_every_name_of_a_summary():
    """Nothing that a chart shows changes its name unnoticed. Of a task without online data nothing is invented."""
    trainer = make_trainer(CONFIG)
    for _ in range(4):
        trainer.step()
    versions = Versions(count=3)
    names = set(flatten(trainer.summary(), versions))
    versions.add(4)

    both = {"share/{}/raw", "share/{}/cap", "share/{}/clipped", "frames/{}/online", "frames/{}/offline"}
    losses = {"loss/{}/offline", "window/{}/offline"}
    wanted = {"loss", "gradient_norm", "steps_per_s", "data_wait", "versions/published"}
    wanted |= {name.format(task) for name in both | losses for task in ("bin-picking", "box-close")}
    wanted |= {"loss/bin-picking/online", "window/bin-picking/online"}
    assert wanted <= names
    assert not {name for name in names if name.startswith(("loss/box-close/on", "window/box-close/on", "versions/s"))}
    assert {"versions/step", "versions/steps_behind", "versions/age_s"} <= set(flatten(trainer.summary(), versions))


def read_events(folder: Path) -> list[Event]:
    """Parse TFRecord files in TensorBoard's order: length, its checksum, data, its checksum."""
    events = []
    for path in sorted(folder.iterdir()):
        data, position = path.read_bytes(), 0
        while position < len(data):
            (length,) = struct.unpack_from("<Q", data, position)
            events.append(Event.FromString(data[position + 12 : position + 12 + length]))
            position += 16 + length
    return events


def test_tensorboards_file_reads_back_and_a_resumed_run_adds_a_file(tmp_path: Path):
    """Steps 100 and 200, then a process that resumes after 100: what the first one wrote is all still there, and
    TensorBoard is told to forget step 200 of it, which comes again.
    """
    Board(tmp_path, first_step=1).write(100, {"loss": 0.5, "loss/box-close/online": 0.25})
    first = Board(tmp_path, first_step=101)
    first.write(200, {"loss": 0.4})
    resumed = Board(tmp_path, first_step=101)
    resumed.write(200, {"loss": 0.375})

    events = read_events(tmp_path)
    scalars = [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]
    assert scalars[:2] == [(100, "loss", 0.5), (100, "loss/box-close/online", 0.25)]
    assert [(step, tag, pytest.approx(value)) for step, tag, value in scalars[2:]] == [
        (200, "loss", 0.4),
        (200, "loss", 0.375),
    ]
    starts = [event.step for event in events if event.session_log.status == SessionLog.START]
    assert starts == [1, 101, 101]
    assert len(list(tmp_path.iterdir())) == 3
    assert events[0].file_version == "brain.Event:2"


def test_a_folder_that_cannot_be_written_costs_the_picture_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Where the folder should be there is a file: a warning, and numbers are dropped."""
    (tmp_path / "board").write_text("in the way")
    Board(tmp_path / "board", first_step=1).write(1, {"loss": 0.5})
    assert [record.message for record in caplog.records] == ["TensorBoard's file is not written any more"]
    assert (tmp_path / "board").read_text() == "in the way"
