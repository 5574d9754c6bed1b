"""Pause, resume and stop as people ask: obeyed between rounds, over the revision that was read, one writer a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.errors import PreconditionFailed, RunFenced, RunNotNow, RunNotRunning
from fleet.models import AuditEntry, Robot, TrainingRound, TrainingRun
from fleet.services import training
from fleet.services.training_ask import training_run_ask, training_run_resume
from tests.fleet import builders

pytestmark = pytest.mark.django_db
State = TrainingRun.State
SHA = "a" * 64


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs of rounds that were enqueued."""
    sent: list[int] = []
    monkeypatch.setattr("fleet.services.training.enqueue_train_round", lambda **values: sent.append(values["epoch"]))
    return sent


def _held(run: TrainingRun) -> training.RoundPlan:
    training.training_run_claim(run_id=str(run.id), epoch=run.epoch, holder="w")
    return training.training_round_begin(run_id=str(run.id), epoch=run.epoch, holder="w")


def _commit(run: TrainingRun, plan: training.RoundPlan, epoch: int) -> None:
    training.training_round_commit(
        run_id=str(run.id), epoch=epoch, index=plan.index, end_step=9, checkpoint_key="k", checkpoint_sha256=SHA
    )


def _ask(run: TrainingRun, rest: Any, **changes: Any) -> TrainingRun:
    run.refresh_from_db()
    return training_run_ask(run_id=run.id, rest=rest, **{"revision": run.revision, "by_name": "ann", **changes})


@pytest.mark.parametrize("rest", [State.PAUSED, State.STOPPED])
def test_a_held_round_is_finished_before_the_run_rests(rest: Any, enqueued: list[int]) -> None:
    """Asked in the middle of a round it says running and what is asked; the commit confirms and enqueues none."""
    run = builders.running_run()
    plan = _held(run)
    asked = _ask(run, rest)
    assert (asked.state, asked.asked, asked.asked_by_name, asked.epoch) == ("running", rest, "ann", 1)
    training.training_run_heartbeat(run_id=str(run.id), epoch=1, holder="w")
    before = list(enqueued)
    _commit(run, plan, 1)
    run.refresh_from_db()
    assert (run.state, run.asked, run.asked_at, run.step) == (rest, "", None, 9)
    assert enqueued == before
    with pytest.raises((RunFenced, RunNotRunning)):
        training.training_round_begin(run_id=str(run.id), epoch=1, holder="w")
    actions = list(AuditEntry.objects.filter(object_id=str(run.id)).order_by("id").values_list("action", flat=True))
    assert actions[-2:] == ["run.pause" if rest == State.PAUSED else "run.halt", "run.rest"]


def test_a_run_that_nobody_works_at_rests_at_once_and_resumes_with_a_new_epoch(enqueued: list[int]) -> None:
    run = builders.running_run()
    paused = _ask(run, State.PAUSED)
    assert (paused.state, paused.asked, paused.epoch) == ("paused", "", 2)
    with pytest.raises(RunFenced):  # the round that was enqueued before
        training.training_run_claim(run_id=str(run.id), epoch=1, holder="w")
    again = training_run_resume(run_id=run.id, revision=paused.revision)
    assert (again.state, again.epoch, enqueued[-1]) == ("running", 3, 3)


def test_robots_look_anew_when_the_run_that_feeds_them_rests() -> None:
    """With two running, the newer feeds the fleet until it is paused; no robot may go on with what it had."""
    robot = builders.enrol().robot
    builders.running_run()
    newer = builders.running_run()
    before = Robot.objects.get(id=robot.id).state_revision
    _ask(newer, State.PAUSED)
    assert Robot.objects.get(id=robot.id).state_revision > before


def test_what_is_asked_can_be_taken_back(enqueued: list[int]) -> None:
    """The same holder goes on: no new epoch, and its commit enqueues the next round."""
    run = builders.running_run()
    plan = _held(run)
    asked = _ask(run, State.PAUSED)
    training_run_resume(run_id=run.id, revision=asked.revision)
    _commit(run, plan, 1)
    run.refresh_from_db()
    assert (run.state, run.asked, run.epoch, enqueued) == ("running", "", 1, [1, 1])


def test_a_silent_learner_does_not_keep_a_run_from_resting() -> None:
    """Nobody would ever confirm: the reaper does, and the open round is taken up again when the run resumes."""
    run = builders.running_run()
    plan = _held(run)
    _ask(run, State.PAUSED)
    TrainingRun.objects.filter(id=run.id).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert training.training_runs_reap() == []
    run.refresh_from_db()
    assert (run.state, run.asked, run.epoch) == ("paused", "", 2)
    with pytest.raises(RunFenced):
        _commit(run, plan, 1)
    resumed = training_run_resume(run_id=run.id, revision=run.revision)
    again = _held(resumed)
    assert (again.index, again.ingest_upto, TrainingRound.objects.count()) == (plan.index, plan.ingest_upto, 1)


def test_two_admins_cannot_both_act_on_what_they_read() -> None:
    run = builders.running_run()
    read = TrainingRun.objects.get(id=run.id).revision
    _held(run)
    training_run_ask(run_id=run.id, rest=State.PAUSED, revision=read)
    with pytest.raises(PreconditionFailed):
        training_run_ask(run_id=run.id, rest=State.STOPPED, revision=read)
    run.refresh_from_db()
    assert (run.state, run.asked) == ("running", "paused")
    assert _ask(run, State.STOPPED).asked == "stopped"  # over what is true now, one may go further


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("stopped", ("paused", "stopped", "resume")),
        ("paused", ("paused",)),
        ("failed", ("paused",)),
        ("running", ("resume",)),
    ],
)
def test_what_a_state_does_not_allow_is_refused_and_changes_nothing(state: str, refused: tuple[str, ...]) -> None:
    run = builders.running_run()
    code = "oom" if state == "failed" else ""
    TrainingRun.objects.filter(id=run.id).update(state=state, failure_code=code)
    run.refresh_from_db()
    before = TrainingRun.objects.filter(id=run.id).values().get()
    for name in refused:
        with pytest.raises(RunNotNow) as raised:
            if name == "resume":
                training_run_resume(run_id=run.id, revision=run.revision)
            else:
                _ask(run, State(name))
        assert raised.value.data["state"] == state
    assert TrainingRun.objects.filter(id=run.id).values().get() == before


def test_asking_twice_is_refused() -> None:
    run = builders.running_run()
    _held(run)
    _ask(run, State.PAUSED)
    with pytest.raises(RunNotNow, match="asked to be paused already"):
        _ask(run, State.PAUSED)
