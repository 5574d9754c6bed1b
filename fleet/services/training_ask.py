"""Pause, resume and stop a run as people ask for it. The learner obeys between two rounds, so no step is lost.

While a round is open and held, the run stays "running" with what is asked beside it, until the learner commits the
round (`training_round_commit`) or has fallen silent (`training_runs_reap`). With no round in work nobody could confirm
and nobody has to: the run rests at once.
"""

from __future__ import annotations

from typing import Literal

from django.db import transaction
from django.utils import timezone

from fleet.errors import RunNotNow
from fleet.events import hint_consoles
from fleet.models import TrainingRun
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance
from fleet.services.training import run_lock, run_settle, training_run_start

State = TrainingRun.State
Rest = Literal[TrainingRun.State.PAUSED, TrainingRun.State.STOPPED]
_MAY_REST: dict[Rest, frozenset[str]] = {
    State.PAUSED: frozenset({State.RUNNING}),
    State.STOPPED: frozenset({State.RUNNING, State.PAUSED, State.FAILED}),
}


@transaction.atomic
def training_run_ask(*, run_id: object, rest: Rest, revision: int, by_name: str = "") -> TrainingRun:
    """Ask a run to pause or stop over the revision that was read. Raises: NotFound, PreconditionFailed, RunNotNow."""
    run = run_lock(run_id=run_id)
    revision_advance(run, expected=revision)
    if run.state not in _MAY_REST[rest] or run.asked == rest:
        word = f"is asked to be {rest} already" if run.asked == rest else f"is {run.state}"
        raise RunNotNow(f"the run {word}", state=run.state)
    before = {"state": run.state, "asked": run.asked}
    if _is_worked_at(run):
        run.asked, run.asked_at, run.asked_by_name = rest, timezone.now(), by_name[:150]
        run.save(update_fields=["asked", "asked_at", "asked_by_name", "revision"])
        hint_consoles("run", run.id)
    else:
        run_settle(run, rest)
    action = "run.pause" if rest == State.PAUSED else "run.halt"
    audit_record(action=action, subject=run, before=before, after={"state": run.state, "asked": run.asked})
    return run


@transaction.atomic
def training_run_resume(*, run_id: object, revision: int) -> TrainingRun:
    """Let a paused or failed run go on, or take back what is asked of a running one.

    A stopped run is over: a new one begins from one of its versions. Raises: NotFound, PreconditionFailed, RunNotNow.
    """
    run = run_lock(run_id=run_id)
    revision_advance(run, expected=revision)
    if run.state in (State.PAUSED, State.FAILED):
        return training_run_start(run_id=run.id)
    if not run.asked:
        over = "; start a new run from one of its versions" if run.state == State.STOPPED else ""
        raise RunNotNow(f"the run is {run.state}{over}", state=run.state)
    before = {"asked": run.asked}
    run.asked, run.asked_at, run.asked_by_name = "", None, ""
    run.save(update_fields=["asked", "asked_at", "asked_by_name", "revision"])
    audit_record(action="run.resume", subject=run, before=before, after={"asked": ""})
    hint_consoles("run", run.id)
    return run


def _is_worked_at(run: TrainingRun) -> bool:
    """Whether a learner holds an open round, and will commit it."""
    is_open = run.rounds.filter(committed_at__isnull=True).exists()
    return run.state == State.RUNNING and run.holder != "" and is_open
