"""Rounds as the worker runs them, on the real services, database and object store."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from fleet.models import Episode, PolicyVersion, RunMetric, TrainingRound, TrainingRun
from fleet.protocol.policy import decode_policy_manifest
from fleet.protocol.recording import Outcome
from fleet.selectors.objects import object_store
from fleet.services.episode_label import LabelChange, episode_label
from fleet.services.training import training_run_start
from fleet.services.training_ask import training_run_ask, training_run_resume
from fleet.storage import keys
from learner import tasks
from learner.trainer import Trainer
from tests.learner.recap_made import VALUE, value_file
from tests.learner.rounds_made import register, start, train

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("services", "cold_process")]


def test_killed_round_resumes_to_the_same_weights(monkeypatch: pytest.MonkeyPatch):
    """Three rounds, the second killed after three steps with an episode registered meanwhile: equal checkpoints.

    One run stays warm throughout, the other begins each round cold; versions are published once each.
    """
    register("one")
    undisturbed, disturbed = start("undisturbed"), start("disturbed")
    train(disturbed)
    train(undisturbed)
    register("two")
    train(undisturbed)
    warm, tasks._process.warm = tasks._process.warm, None
    real, taken = Trainer.step, []

    def dies(self: Trainer) -> Any:
        taken.append(1)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Trainer, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(disturbed)
    monkeypatch.setattr(Trainer, "step", real)
    register("three")
    tasks._process.warm = None
    training_run_start(run_id=disturbed.id)
    train(disturbed)
    tasks._process.warm = None
    train(disturbed)
    tasks._process.warm = warm
    train(undisturbed)
    assert tasks._process.warm is warm is not None

    rounds = {
        run.name: list(
            TrainingRound.objects.filter(run=run)
            .order_by("index")
            .values_list("start_step", "end_step", "ingest_upto", "checkpoint_sha256")
        )
        for run in (undisturbed, disturbed)
    }
    assert rounds["disturbed"] == rounds["undisturbed"]
    assert [row[:2] for row in rounds["disturbed"]] == [(0, 6), (6, 12), (12, 18)]
    steps = list(PolicyVersion.objects.filter(run=disturbed).order_by("number").values_list("step", flat=True))
    assert steps == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


def test_recap_rounds_resume_cold_as_warm():
    """Value function and labels survive in the checkpoint: one worker stays, one is new for every round.

    The base has no indicator; what is published has, on the base's backbone.
    """
    register("one")
    register("two")
    value = {"min_rollouts": 0, "refit_steps": 8, "steps": 10, "width": 8}
    runs = [start(name, "recap", algorithm_config={"value": value}) for name in ("warm", "cold")]
    for run in runs:
        for _ in range(3):
            if run.name == "cold":
                tasks._process.warm = None
            train(run)

    hashes = [
        list(TrainingRound.objects.filter(run=run).order_by("index").values_list("checkpoint_sha256", flat=True))
        for run in runs
    ]
    assert len(hashes[0]) == 3
    assert hashes[0] == hashes[1]
    versions = list(PolicyVersion.objects.filter(run=runs[1]).order_by("number"))
    assert [version.architecture for version in versions[:2]] == ["flow_vla.v1", "flow_vla_indicator.v2"]


def sidecars_of(run: TrainingRun) -> dict[str, dict[str, Any]]:
    """The stored columns of a run by episode id."""
    prefix = f"runs/{run.id}/sidecars/"
    return {
        key.removeprefix(prefix).removesuffix(".safetensors"): safetensors.numpy.load(object_store().get(key))
        for key in object_store().list(prefix)
    }


def test_sidecars_lie_beside_the_episodes_and_are_stored_once_a_fit(monkeypatch: pytest.MonkeyPatch):
    """Two episodes, at most one sidecar a round: one, two, and then no more, in a new worker neither. A fit that comes
    again scores them again. Episodes are as they were."""
    monkeypatch.setattr(tasks, "SIDECARS_PER_ROUND", 1)
    episodes = [register("one"), register("two")]
    before = {key: object_store().digest(key) for key in object_store().list("episodes/")}
    value = {"min_rollouts": 0, "refit_steps": 18, "steps": 10, "width": 8}
    run = start("sidecars", "recap", algorithm_config={"value": value})
    train(run)
    assert list(sidecars_of(run)) == episodes[:1]
    train(run)
    stored = sidecars_of(run)
    assert set(stored) == set(episodes)
    for columns in stored.values():
        assert {name: (column.dtype.name, column.shape) for name, column in columns.items()} == {
            "return": ("float32", (30,)),
            "value": ("float32", (30,)),
            "advantage": ("float32", (30,)),
            "indicator": ("int8", (30,)),
        }
        assert columns["return"][-1] == 0
        assert set(columns["indicator"].tolist()) == {1}

    object_store().delete(keys.run_sidecar(str(run.id), episodes[0]))
    tasks._process.warm = None
    train(run)
    assert set(sidecars_of(run)) == {episodes[1]}
    train(run)

    again = sidecars_of(run)
    assert set(again) == set(episodes)
    assert not np.array_equal(again[episodes[0]]["value"], stored[episodes[0]]["value"])
    assert {key: object_store().digest(key) for key in object_store().list("episodes/")} == before


def test_a_run_starts_from_a_stored_value_function(tmp_path: Path):
    """Its SHA-256 names it; the run's sidecars hold its values. Another name fails the run with an explanation."""
    episode_id = register("one")
    file = value_file(tmp_path / "file")
    printed = io.StringIO()
    call_command("training_file_import", str(file), stdout=printed)
    name = printed.getvalue().strip()
    settings = {"file": name, "min_rollouts": 1000, "width": VALUE.width}
    run, other, odd = (
        start(label, "recap", algorithm_config={"value": {**settings, "file": found}})
        for label, found in (("known", name), ("unknown", "0" * 64), ("path", "/etc/passwd"))
    )
    for part in (run, other, odd):
        train(part)
        part.refresh_from_db()

    assert np.allclose(sidecars_of(run)[episode_id]["value"], -1.0, atol=1e-3)
    assert "training_file_import" in other.failure_message
    assert "not the SHA-256" in odd.failure_message


def test_an_empty_file_is_not_stored(tmp_path: Path):
    """Nothing can be a value function of nothing."""
    empty = tmp_path / "empty"
    empty.touch()
    before = list(object_store().list("training-files/"))
    with pytest.raises(CommandError, match="0 bytes"):
        call_command("training_file_import", str(empty))
    assert list(object_store().list("training-files/")) == before


def test_a_round_records_metrics_marks_episodes_and_drops_old_checkpoints():
    """After four rounds: the two newest checkpoints, a row a round, first-sampled times of every drawn episode."""
    register("one")
    run = start("rows")
    for _ in range(4):
        train(run)

    stored = [object_store().exists(keys.run_checkpoint(str(run.id), index, run.epoch)) for index in range(4)]
    assert stored == [False, False, True, True]
    rows = {row.step: row.values for row in RunMetric.objects.filter(run=run)}
    assert sorted(rows) == [6, 12, 18, 24]
    assert rows[24]["frames/box-close/offline"] == 30
    assert rows[24]["versions/published"] == 12
    assert rows[24]["versions/steps_behind"] == 0
    assert 0 < rows[24]["loss"] < 10
    (events,) = (Path(settings.SOP_TENSORBOARD_DIR) / "rows").iterdir()
    assert events.read_bytes().count(b"loss/box-close/offline") == 4
    assert Episode.objects.get().first_sampled_at is not None
    assert tasks._process.warm is not None


def test_a_person_s_outcome_is_what_is_learned_from():
    """The manifest says success; labelled as a failure before the round, the episode is a failure to the learner."""
    episode = Episode.objects.get(id=register("one"))
    user = get_user_model().objects.create_user("ann")
    episode_label(episode_id=episode.id, user=user, change=LabelChange(outcome=Outcome.FAILURE), revision=0)
    train(start("labelled"))
    assert tasks._process.warm is not None
    learned = tasks._process.warm.trainer.replay.episode(0).manifest
    assert (learned.episode_id, learned.outcome, episode.outcome) == (str(episode.id), Outcome.FAILURE, "success")


def test_a_fenced_worker_writes_nothing():
    """The task of an older epoch ends quietly and changes no row."""
    register("one")
    run = start("fenced")
    old = run.epoch
    training_run_start(run_id=run.id)

    tasks.train_round(str(run.id), old)

    run.refresh_from_db()
    assert (run.step, run.state) == (0, "running")
    assert not TrainingRound.objects.filter(run=run).exists()


def test_a_holder_replaced_in_mid_commit_harms_no_committed_checkpoint(monkeypatch: pytest.MonkeyPatch):
    """It had passed every check when it fell silent, and writes its checkpoint after its successor committed."""
    register("one")
    run = start("replaced")
    store_put, late = type(object_store()).put, []

    def put(store: Any, key: str, data: bytes) -> None:
        if "/checkpoints/" in key and not late:
            late.append((key, data[:-1] + b"x"))  # another device, other last bits
            training_run_start(run_id=run.id)
            train(run)
            store_put(store, *late[0])
            return
        store_put(store, key, data)

    monkeypatch.setattr(type(object_store()), "put", put)
    train(run)
    committed = TrainingRound.objects.get(run=run, committed_at__isnull=False)
    data = object_store().get(committed.checkpoint_key)
    assert hashlib.sha256(data).hexdigest() == committed.checkpoint_sha256
    tasks._process.warm = None
    train(run)
    train(run)
    run.refresh_from_db()
    assert (run.state, run.step) == ("running", 18)
    assert not object_store().exists(late[0][0])  # what it left goes with its round


def test_without_episodes_a_round_waits_without_steps():
    """Empty buffers: the round commits no step and the run goes on."""
    run = start("empty")
    train(run)
    run.refresh_from_db()
    assert (run.step, run.state) == (0, "running")


def test_terminal_errors_fail_the_run_and_publish_nothing(monkeypatch: pytest.MonkeyPatch):
    """A loss of NaN and a configuration with an unknown key: a state with a code, and the base still serves."""
    register("one")
    bad_config = start("bad config", typo=1)
    train(bad_config)
    monkeypatch.setattr(
        "learner.algorithms.hg_dagger.algorithm.imitation_loss",
        lambda losses, valid, weights: (losses.sum() * float("nan"), weights.sum(), losses.sum(1).detach()),
    )
    diverged = start("diverged")
    train(diverged)

    for run, code in ((bad_config, "invalid_config"), (diverged, "non_finite_loss")):
        run.refresh_from_db()
        assert (run.state, run.failure_code) == ("failed", code)
        assert PolicyVersion.objects.filter(run=run).count() == 1


def test_weights_that_rot_in_mid_run_fail_it_and_the_last_good_version_serves(monkeypatch: pytest.MonkeyPatch):
    """A round goes well; in the next, NaN gets into the EMA after a publish: no later version, and no checkpoint."""
    register("one")
    run = start("rots")
    train(run)
    real = Trainer.step

    def rots(self: Trainer) -> Any:
        if self.gradient_steps == 9:
            next(iter(self._ema.values())).fill_(float("nan"))
        return real(self)

    monkeypatch.setattr(Trainer, "step", rots)
    train(run)

    run.refresh_from_db()
    assert (run.state, run.failure_code, run.step) == ("failed", "non_finite_weights", 6)
    newest = PolicyVersion.objects.filter(run=run).order_by("number").last()
    assert newest is not None
    assert newest.step == 8
    head = next(
        ref for ref in decode_policy_manifest(object_store().get(newest.manifest_key)).blobs if ref.name == "head"
    )
    tensors = safetensors.torch.load(object_store().get(keys.policy_blob(head.sha256)))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_a_checkpoint_of_another_base_fails_the_run():
    """The committed checkpoint belongs to other weights than the base that the run has: nothing is trained on it."""
    register("one")
    run, other = start("own"), start("other", network_seed=3)
    for each in (run, other):
        train(each)
    theirs, ours = (TrainingRound.objects.get(run=each) for each in (other, run))
    TrainingRound.objects.filter(id=ours.id).update(
        checkpoint_key=theirs.checkpoint_key, checkpoint_sha256=theirs.checkpoint_sha256
    )
    tasks._process.warm = None

    train(run)

    run.refresh_from_db()
    assert (run.state, run.failure_code, run.step) == ("failed", "checkpoint_mismatch", 6)


@pytest.mark.parametrize("rest", [TrainingRun.State.PAUSED, TrainingRun.State.STOPPED])
def test_the_learner_rests_at_the_end_of_the_round_it_works_at(monkeypatch: pytest.MonkeyPatch, rest: Any):
    """Asked at the third of six steps, it trains all six, publishes and commits them, and only then confirms.

    Resumed, a paused run ends in the weights of one that was never paused.
    """
    register("one")
    undisturbed, run = start("undisturbed"), start("asked")
    real, taken, seen = Trainer.step, [], []

    def asks(self: Trainer) -> Any:
        taken.append(1)
        if len(taken) == 3:
            revision = TrainingRun.objects.get(id=run.id).revision
            asked = training_run_ask(run_id=run.id, rest=rest, revision=revision, by_name="ann")
            seen.append((asked.state, asked.asked))
        return real(self)

    monkeypatch.setattr(Trainer, "step", asks)
    train(run)
    monkeypatch.setattr(Trainer, "step", real)
    run.refresh_from_db()
    assert seen == [("running", rest)]
    assert (run.state, run.asked, run.step) == (rest, "", 6)
    assert PolicyVersion.objects.filter(run=run).count() == 4
    train(run)  # a message that was still on its way
    run.refresh_from_db()
    assert (run.state, run.step) == (rest, 6)
    if rest == TrainingRun.State.STOPPED:
        return
    training_run_resume(run_id=run.id, revision=run.revision)
    train(run)
    train(undisturbed)
    train(undisturbed)
    hashes = [
        list(TrainingRound.objects.filter(run=each).order_by("index").values_list("checkpoint_sha256", flat=True))
        for each in (run, undisturbed)
    ]
    assert len(hashes[0]) == 2
    assert hashes[0] == hashes[1]
