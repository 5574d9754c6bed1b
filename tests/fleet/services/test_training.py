"""Runs and rounds: fenced by epoch, repeatable after a kill, taken up by the reaper."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.errors import InvalidRequest, NotFound, RunFenced, RunNotRunning
from fleet.models import RunMetric, TrainingRound, TrainingRun
from fleet.selectors.system import queue_names
from fleet.services import training
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from fleet.storage.local import LocalStore
from fleet.tasks import reap
from tests.fleet import builders

pytestmark = pytest.mark.django_db

SHA = "a" * 64


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What was handed to the broker: (task name, arguments, options)."""
    sent: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    class Signature:
        def __init__(self, name: str, args: tuple[Any, ...]) -> None:
            self._call = (name, args)

        def apply_async(self, **options: Any) -> None:
            sent.append((*self._call, options))

    monkeypatch.setattr("fleet.queue.current_app.signature", Signature, raising=False)
    return sent


def _commit(
    run: TrainingRun, plan: training.RoundPlan, *, end_step: int, epoch: int | None = None, **more: Any
) -> None:
    training.training_round_commit(
        run_id=str(run.id),
        epoch=run.epoch if epoch is None else epoch,
        index=plan.index,
        end_step=end_step,
        checkpoint_key=f"runs/{run.id}/checkpoints/{plan.index:08d}.safetensors",
        checkpoint_sha256=SHA,
        **more,
    )


def _begin(run: TrainingRun, *, epoch: int | None = None) -> training.RoundPlan:
    return training.training_round_begin(run_id=str(run.id), epoch=run.epoch if epoch is None else epoch, holder="w")


def _register(count: int) -> None:
    robot, task = builders.enrol().robot, builders.task()
    for _ in range(count):
        manifest, files = builders.episode(task, robot)
        builders.store(manifest, files)
        episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)


def test_start_enqueues_one_round_of_a_new_epoch(enqueued: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = builders.running_run()
    assert (run.state, run.epoch) == ("running", 1)
    assert [(name, args, options["queue"]) for name, args, options in enqueued] == [
        ("learner.train_round", (str(run.id), 1), "learner")
    ]


def test_a_round_goes_to_the_workers_that_can_train_its_policy(
    enqueued: list[Any], objects: LocalStore, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """By the newest version's architecture; every round, from whatever asks for it."""
    run = builders.running_run()
    manifest, blobs = builders.policy(run.id)
    architecture = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs).architecture
    settings.SOP_LEARNER_QUEUES = {architecture: "learner-elsewhere"}
    with django_capture_on_commit_callbacks(execute=True):
        run = training.training_run_start(run_id=run.id)
        _commit(run, _begin(run), end_step=10)
    rounds = [options["queue"] for name, _, options in enqueued if name == "learner.train_round"]
    assert rounds == ["learner-elsewhere", "learner-elsewhere"]
    assert "learner-elsewhere" in queue_names()


def test_claim_tells_the_holder_what_to_train() -> None:
    builders.task()
    run = builders.running_run(config={"lr": 0.5}, seed=9, task_slugs=["box-close"], target_steps=100)
    claim = training.training_run_claim(run_id=str(run.id), epoch=1, holder="worker-1")
    assert (claim.config, claim.seed, claim.step, claim.target_steps) == ({"lr": 0.5}, 9, 0, 100)
    assert claim.task_slugs == ("box-close",)
    run.refresh_from_db()
    assert run.holder == "worker-1"


def test_every_write_of_an_old_epoch_is_fenced() -> None:
    run = builders.running_run()
    plan = _begin(run)
    training.training_run_start(run_id=run.id)  # epoch 2
    calls = {
        "claim": lambda: training.training_run_claim(run_id=str(run.id), epoch=1, holder="w"),
        "heartbeat": lambda: training.training_run_heartbeat(run_id=str(run.id), epoch=1, holder="w"),
        "begin": lambda: _begin(run, epoch=1),
        "commit": lambda: _commit(run, plan, end_step=10, epoch=1),
        "metrics": lambda: training.run_metrics_record(run_id=str(run.id), epoch=1, rows=[(1, {"loss": 1.0})]),
        "fail": lambda: training.training_run_fail(run_id=str(run.id), epoch=1, code="x", message="y"),
    }
    for name, call in calls.items():
        with pytest.raises(RunFenced):
            call()
        run.refresh_from_db()
        assert (run.epoch, run.state, run.step) == (2, "running", 0), name
    assert RunMetric.objects.count() == 0
    assert TrainingRound.objects.get().committed_at is None


def test_stopped_run_refuses_its_holder() -> None:
    run = builders.running_run()
    stopped = training.training_run_stop(run_id=run.id)
    with pytest.raises(RunFenced):
        _begin(run)
    with pytest.raises(RunNotRunning):
        _begin(stopped)


def test_killed_round_resumes_with_the_same_bounds(objects: LocalStore) -> None:
    """Given a round begun at two episodes, when it is killed and a third arrives, then it still ends at two."""
    run = builders.running_run()
    _register(2)
    plan = _begin(run)
    _register(1)
    again = training.training_run_start(run_id=run.id)
    resumed = _begin(again)
    assert (resumed.index, resumed.start_step, resumed.ingest_upto) == (plan.index, plan.start_step, 2)
    _commit(again, resumed, end_step=50)
    following = _begin(again)
    assert (following.index, following.start_step, following.ingest_upto) == (1, 50, 3)
    assert following.checkpoint_sha256 == SHA
    assert TrainingRound.objects.get(index=0).attempts == 1  # counted anew since a person started it again


def test_commit_enqueues_the_next_round_and_twice_is_once(
    enqueued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    run = builders.running_run()
    plan = _begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        _commit(run, plan, end_step=10, next_delay_s=2.5)
        _commit(run, plan, end_step=10)
    assert [(args, options["countdown"]) for _, args, options in enqueued] == [((str(run.id), 1), 2.5)]
    run.refresh_from_db()
    assert run.step == 10
    with pytest.raises(InvalidRequest):
        _commit(run, plan, end_step=11)


def test_run_stops_at_its_target(enqueued: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    run = builders.running_run(target_steps=10)
    with django_capture_on_commit_callbacks(execute=True):
        _commit(run, _begin(run), end_step=10)
    run.refresh_from_db()
    assert (run.state, enqueued) == ("stopped", [])


def test_reaper_takes_a_run_from_a_silent_holder_once(
    enqueued: list[Any], settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.SOP_RUN_STALE_S = 30.0
    run, living = builders.running_run(), builders.running_run()
    TrainingRun.objects.filter(id=run.id).update(heartbeat_at=timezone.now() - timedelta(seconds=31))
    with django_capture_on_commit_callbacks(execute=True):
        reap()
        reap()
    run.refresh_from_db()
    living.refresh_from_db()
    assert (run.epoch, living.epoch) == (2, 1)
    assert [args for _, args, _ in enqueued] == [(str(run.id), 2)]


def test_reaper_takes_a_run_whose_holder_lived_by_a_clock_that_was_ahead(settings: Any) -> None:
    """The server's wall clock is set back by an hour: a heartbeat of then must not hide a holder's death until then."""
    settings.SOP_RUN_STALE_S = 30.0
    run, ahead = builders.running_run(), builders.running_run()
    TrainingRun.objects.filter(id=run.id).update(heartbeat_at=timezone.now() + timedelta(hours=1))
    TrainingRun.objects.filter(id=ahead.id).update(heartbeat_at=timezone.now() + timedelta(seconds=20))
    assert training.training_runs_reap() == [run.id], "seconds ahead is another host's clock"


def test_round_that_keeps_failing_fails_its_run_until_a_person_starts_it_again(
    enqueued: list[Any], settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.SOP_RUN_STALE_S = 30.0
    run = builders.running_run()
    _begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(training.MAX_ROUND_ATTEMPTS):
            TrainingRun.objects.filter(id=run.id).update(heartbeat_at=timezone.now() - timedelta(seconds=31))
            reap()
            run.refresh_from_db()
            if run.state == "running":
                _begin(run)
    assert (run.state, run.failure_code) == ("failed", "round_keeps_failing")
    assert len(enqueued) == training.MAX_ROUND_ATTEMPTS - 1
    training.training_run_start(run_id=str(run.id))
    run.refresh_from_db()
    assert (run.state, run.rounds.get().attempts) == ("running", 0)


def test_metrics_of_a_repeated_step_overwrite() -> None:
    run = builders.running_run()
    for loss in (1.0, 0.5):
        training.run_metrics_record(run_id=str(run.id), epoch=1, rows=[(1, {"loss": loss}), (2, {"loss": loss})])
    assert list(RunMetric.objects.values_list("step", "values")) == [(1, {"loss": 0.5}), (2, {"loss": 0.5})]


def test_failed_run_keeps_its_reason() -> None:
    run = builders.running_run()
    training.training_run_fail(run_id=str(run.id), epoch=1, code="loss_not_finite", message="NaN at step 3")
    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "loss_not_finite")


@pytest.mark.parametrize("run_id", ["0" * 32, "no uuid"])
def test_unknown_run(run_id: str) -> None:
    with pytest.raises(NotFound):
        training.training_run_claim(run_id=run_id, epoch=1, holder="w")


def test_message_delivered_twice_does_not_put_two_workers_on_one_round() -> None:
    run = builders.running_run()
    claim = {"run_id": str(run.id), "epoch": 1}
    training.training_run_claim(**claim, holder="w")
    plan = _begin(run)
    with pytest.raises(RunFenced):
        training.training_run_claim(**claim, holder="other")
    training.training_run_claim(**claim, holder="w")
    _commit(run, plan, end_step=1)
    assert training.training_run_claim(**claim, holder="other").step == 1
