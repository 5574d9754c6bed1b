"""Decides open canaries by their episodes. Called by `fleet.reap` every few seconds; idempotent."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from fleet.canary import Verdict
from fleet.errors import RolloutClosed
from fleet.events import hint_consoles
from fleet.models import Rollout
from fleet.selectors.canary import CanaryView, canary_view
from fleet.services.rollout import close_rollout, pause_rollout, rollout_lock

logger = logging.getLogger(__name__)


def rollouts_judge() -> int:
    """Look at every running canary and act; return how many were decided. A paused one waits for a person."""
    decided = 0
    for rollout_id in Rollout.objects.filter(state=Rollout.State.CANARY).values_list("id", flat=True):
        try:
            decided += rollout_judge(rollout_id=rollout_id)
        except RolloutClosed:  # somebody decided meanwhile
            continue
    return decided


@transaction.atomic
def rollout_judge(*, rollout_id: object) -> bool:
    """Judge one canary; whether that changed its state. Raises: NotFound, RolloutClosed."""
    rollout = rollout_lock(rollout_id=rollout_id)
    if rollout.state != Rollout.State.CANARY:
        return False
    view = canary_view(rollout=rollout, now=timezone.now())
    verdict, reason = view.judgement.verdict, view.judgement.reason
    if view.refusals:
        verdict, reason = Verdict.ROLL_BACK, "; ".join(view.refusals) + "."
    evidence = evidence_json(view)
    if verdict is Verdict.CONTINUE:
        return _note(rollout, reason, evidence)
    if verdict is Verdict.PAUSE:
        rollout.evidence = evidence
        rollout.save(update_fields=["evidence"])
        pause_rollout(rollout, True, reason)
        return True
    state = Rollout.State.PROMOTED if verdict is Verdict.PROMOTE else Rollout.State.ROLLED_BACK
    close_rollout(rollout, state, reason, evidence=evidence, is_automatic=True)
    return True


def _note(rollout: Rollout, reason: str, evidence: dict[str, Any]) -> bool:
    if (rollout.reason, rollout.evidence) != (reason, evidence):
        rollout.reason, rollout.evidence = reason, evidence
        rollout.save(update_fields=["reason", "evidence"])
        hint_consoles("metrics")
    return False


def evidence_json(view: CanaryView) -> dict[str, Any]:
    """Return the numbers of a view as they are kept with the rollout and shown."""
    judgement = view.judgement
    return {
        "candidate": judgement.candidate,
        "current": judgement.current,
        "left_out": list(view.left_out),
        "unsettled": list(view.unsettled),
        "measures": [asdict(measure) for measure in judgement.measures],
    }
