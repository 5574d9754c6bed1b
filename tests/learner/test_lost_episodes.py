"""Episodes that are gone or damaged when a round needs them: left out by name, and the rest of the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from fleet.models import PolicyVersion, RunMetric, TrainingRun
from fleet.protocol.policy import decode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.storage import keys
from learner import tasks
from learner.data.loader import FeatureLoader
from learner.trainer import Trainer
from tests.learner.rounds_made import register, start, train

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("services", "cold_process")]


def delete(episode_id: str) -> None:
    """Delete every object of an episode, as somebody who clears the store would."""
    for key in list(object_store().list(f"episodes/{episode_id}/")):
        object_store().delete(key)


def truncate(episode_id: str) -> None:
    """Leave the first half of an episode's video."""
    key = keys.episode_object(episode_id, "front.mp4")
    data = object_store().get(key)
    object_store().put(key, data[: len(data) // 2])


def forget_features(trainer: Trainer) -> None:
    """Empty the local cache, so that what is drawn next is read from the store again."""
    loader = trainer.replay._loader
    assert isinstance(loader, FeatureLoader)
    for entry in trainer.replay._entries:
        loader._store._discard(entry.key.name)


def left_out(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What was logged of episodes left out of training."""
    return [record.event for record in caplog.records if record.message == "episode left out of training"]  # type: ignore[attr-defined]


def served(run: TrainingRun) -> list[int]:
    """Steps of the run's versions; the blobs of the newest are there."""
    versions = list(PolicyVersion.objects.filter(run=run).order_by("number"))
    manifest = decode_policy_manifest(object_store().get(versions[-1].manifest_key))
    assert all(object_store().exists(keys.policy_blob(blob.sha256)) for blob in manifest.blobs)
    return [version.step for version in versions]


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, happens: Callable[[Trainer], None]) -> None:
    """Let something happen before the trainer takes its next step from `step`."""
    real = Trainer.step

    def patched(self: Trainer) -> Any:
        if self.gradient_steps == step:
            happens(self)
        return real(self)

    monkeypatch.setattr(Trainer, "step", patched)


@pytest.mark.parametrize(
    ("damage", "code"), [(delete, "object_missing"), (truncate, "invalid_episode")], ids=["deleted", "truncated"]
)
def test_an_episode_lost_in_mid_round_leaves_and_the_round_goes_on(
    damage: Callable[[str], None], code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """After two steps: all six are taken and published, the log and the run's rows tell of it, once; later rounds, by a
    new worker too, learn from the other episode alone."""
    caplog.set_level(logging.WARNING)
    kept, lost = register("kept"), register("lost")
    run = start("lost in mid-round")

    def happens(trainer: Trainer) -> None:
        assert trainer.replay.sizes()["box-close"].offline == 60
        damage(lost)
        forget_features(trainer)

    at_step(monkeypatch, 2, happens)
    train(run)

    run.refresh_from_db()
    assert (run.state, run.step, served(run)) == ("running", 6, [0, 2, 4, 6])
    assert [(event["episode"], event["code"]) for event in left_out(caplog)] == [(lost, code)]
    assert object_store().exists(keys.episode_object(kept, "front.mp4"))
    tasks._process.warm = None
    train(run)
    rows = RunMetric.objects.filter(run=run).order_by("step")
    assert [row.values["frames/box-close/offline"] for row in rows] == [30, 30]
    assert rows[0].values["data/episodes/left/unreadable"] == 1
    assert served(run)[-1] == 12


@pytest.mark.parametrize("damage", [delete, truncate], ids=["deleted", "truncated"])
def test_without_a_readable_episode_the_last_good_version_serves(
    damage: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The only episode is lost after a good round and three steps: the run waits with what it has, and the next episode
    lets it go on."""
    caplog.set_level(logging.WARNING)
    lost = register("lost")
    run = start("nothing left")
    train(run)

    def happens(trainer: Trainer) -> None:
        damage(lost)
        forget_features(trainer)

    at_step(monkeypatch, 9, happens)
    train(run)
    run.refresh_from_db()
    stopped_at = run.step
    assert run.state == "running"
    assert 9 <= stopped_at < 12
    assert {event["episode"] for event in left_out(caplog)} == {lost}
    versions = served(run)
    assert versions[-1] == stopped_at // 2 * 2

    train(run)
    run.refresh_from_db()
    assert (run.state, run.step, served(run)) == ("running", stopped_at, versions)

    register("new")
    train(run)
    run.refresh_from_db()
    assert (run.state, run.step) == ("running", stopped_at + 6)


def test_a_video_truncated_from_the_start_is_left_out(caplog: pytest.LogCaptureFixture):
    """Named, and the run trains on the readable one; a run that has it alone takes no step, and its base serves."""
    caplog.set_level(logging.WARNING)
    truncate(bad := register("bad"))
    alone = start("alone")
    train(alone)
    alone.refresh_from_db()
    assert (alone.state, alone.step, served(alone)) == ("running", 0, [0])

    register("good")
    run = start("with another")
    train(run)

    run.refresh_from_db()
    assert (run.state, run.step, served(run)) == ("running", 6, [0, 2, 4, 6])
    assert {(event["episode"], event["code"]) for event in left_out(caplog)} == {(bad, "invalid_episode")}
