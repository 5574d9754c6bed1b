"""Which version robots drive with: strategies, candidates, promotion, rolling back, pins. Every change is recorded.

Robots are told on commit and swap at their next episode boundary. Whatever changes locks the run's row first and
robots after it, by id, as publishing does. `services/rollout_judge.py` decides canaries.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from fleet.canary import CanarySettings, canary_settings, per_block_of
from fleet.errors import CanaryTooSmall, InvalidRequest, NotFound, RolloutClosed, RolloutOpen, VersionUnusable
from fleet.events import hint_consoles
from fleet.models import PolicyDeployment, PolicyVersion, ReleaseTrack, Robot, Rollout, RolloutEvent, TrainingRun
from fleet.selectors.objects import object_store
from fleet.selectors.rollout import desired_versions, release_track, rollout_open, version_current, versions_waiting
from fleet.services.audit import audit_record
from fleet.services.revision import revision_check
from fleet.services.robot import robots_bump
from fleet.services.training import run_lock
from fleet.storage import keys

logger = logging.getLogger(__name__)

MAX_REASON = 2000


@transaction.atomic
def release_strategy_set(
    *,
    run_id: object,
    strategy: str,
    revision: int,
    canary: Mapping[str, Any] | None = None,
    reason: str = "",
    user: AbstractBaseUser | None = None,
) -> ReleaseTrack:
    """Choose how this run's next versions reach robots, over the revision of its track that was read.

    `canary`: settings of canaries that begin from now on.

    Leaving `immediate` keeps what robots drive with now; entering it gives everyone the newest at once.
    Raises: InvalidRequest, NotFound, PreconditionFailed, RolloutOpen while a candidate is being tried.
    """
    if strategy not in ReleaseTrack.Strategy.values:
        raise InvalidRequest("a strategy is immediate, canary or manual", field="strategy")
    run = run_lock(run_id=run_id)
    track = release_track(run=run)
    revision_check(track.revision, expected=revision)
    if canary is not None:
        track.canary = canary_settings(dict(canary)).as_json()
    if strategy == ReleaseTrack.Strategy.IMMEDIATE:
        if rollout_open(run=run) is not None:
            raise RolloutOpen("promote or roll back the candidate that is being tried first", field="strategy")
        _track_set(track, strategy, None)
    else:
        current = version_current(run=run)
        if current is None:
            raise InvalidRequest("the run has no version yet: publish its base first", field="strategy")
        _track_set(track, strategy, current)
    record_event(run, f"strategy {strategy}", user=user, reason=reason, version=version_current(run=run))
    fleet_follow(run=run)
    return track


@transaction.atomic
def rollout_begin(
    *,
    version_id: object,
    settings: Mapping[str, Any] | None = None,
    robot_ids: Sequence[uuid.UUID] | None = None,
    user: AbstractBaseUser | None = None,
) -> Rollout:
    """Try a candidate on some robots: those named, else those tagged, else a random share. The rest stays as it is.

    A run that was immediate becomes manual, so that what is published meanwhile does not overtake the comparison.
    Raises: NotFound, InvalidRequest, RolloutOpen, VersionUnusable, CanaryTooSmall.
    """
    version = version_usable(version_id=version_id)
    run = run_lock(run_id=version.run_id)
    if rollout_open(run=run) is not None:
        raise RolloutOpen("another candidate of this run is being tried")
    track, baseline = release_track(run=run), version_current(run=run)
    limits = canary_settings({**track.canary, **(settings or {})})
    if track.strategy == ReleaseTrack.Strategy.IMMEDIATE:
        # The newest is what everyone drives with: what was before it is what it can be compared with.
        if baseline == version:
            before = PolicyVersion.objects.filter(run=run, number__lt=version.number)
            baseline = before.order_by("-number").first()
        if baseline is not None:
            _track_set(track, ReleaseTrack.Strategy.MANUAL, baseline)
    if baseline is None or baseline.id == version.id:
        raise InvalidRequest("a candidate is compared with another version that robots drive with", field="version")
    members, others = _choose(limits, robot_ids)
    rollout = Rollout.objects.create(
        run=run,
        candidate=version,
        baseline=baseline,
        settings=limits.as_json(),
        per_block=per_block_of(canary_robots=len(members), other_robots=len(others)),
        by_name=_name(user),
    )
    rollout.robots.set(members)
    how = f", tagged '{limits.tag}'" if limits.tag and robot_ids is None else ""
    reason = f"on {len(members)} of {len(members) + len(others)} robots{how}"
    record_event(run, "canary", user=user, reason=reason, version=version, rollout=rollout)
    fleet_follow(run=run)
    return rollout


def _choose(limits: CanarySettings, robot_ids: Sequence[uuid.UUID] | None) -> tuple[list[Robot], list[Robot]]:
    """Return (robots of the canary, the others); pinned and retired ones are in neither.

    Raises: CanaryTooSmall, NotFound.
    """
    free = list(Robot.objects.filter(pinned_version__isnull=True, retired_at__isnull=True).order_by("id"))
    if robot_ids is not None:
        wanted = set(robot_ids)
        members = [robot for robot in free if robot.id in wanted]
        if len(members) != len(wanted):
            raise NotFound("a robot of the canary does not exist, is pinned or retired")
    elif limits.tag:
        members = [robot for robot in free if limits.tag in robot.tags]
    elif len(free) >= 2:
        count = min(len(free) - 1, max(1, round(limits.share * len(free))))
        members = random.SystemRandom().sample(free, count)  # chosen by lot: whoever chooses would choose the good ones
    else:
        members = []
    others = [robot for robot in free if robot not in members]
    if not members or not others:
        raise CanaryTooSmall(_too_small(limits, members, free, is_tagged=bool(limits.tag) and robot_ids is None))
    return members, others


def _too_small(limits: CanarySettings, members: Sequence[Robot], free: Sequence[Robot], *, is_tagged: bool) -> str:
    """Say why these robots make no canary, and what to do."""
    if is_tagged and not members:
        set_aside = Robot.objects.filter(tags__contains=[limits.tag]).count()
        why = f"{set_aside} carry it but are pinned or retired" if set_aside else "tag some on the page Robots"
        return f"no robot that could try the candidate carries the tag '{limits.tag}': {why}"
    if is_tagged and members:
        text = f"every robot that could stay at the current version carries the tag '{limits.tag}' ({len(members)})"
        return f"{text}: a canary needs one that does not, to compare with"
    text = "a canary needs at least one robot that tries the candidate and one that stays"
    return f"{text}; {len(free)} are neither pinned nor retired. Promote it directly instead."


@transaction.atomic
def version_promote(*, version_id: object, reason: str = "", user: AbstractBaseUser | None = None) -> PolicyVersion:
    """Give a version to every robot that is not pinned. An open canary of it ends as promoted, any other is refused.

    A run that was immediate becomes manual, unless the version is its newest. Raises: NotFound, VersionUnusable,
    RolloutOpen.
    """
    version = version_usable(version_id=version_id)
    run = run_lock(run_id=version.run_id)
    trying = rollout_open(run=run)
    if trying is not None and trying.candidate_id != version.id:
        raise RolloutOpen("another candidate of this run is being tried: decide on it first")
    if trying is not None:
        close_rollout(trying, Rollout.State.PROMOTED, reason or "promoted by hand", user=user)
        return version
    _make_current(run, version)
    record_event(run, "promote", user=user, reason=reason, version=version)
    fleet_follow(run=run)
    return version


@transaction.atomic
def rollout_pause(
    *, rollout_id: object, is_paused: bool, reason: str = "", user: AbstractBaseUser | None = None
) -> Rollout:
    """Let the canary's robots go back to the current version for now, or go on with the candidate.

    Raises: NotFound, RolloutClosed.
    """
    rollout = rollout_lock(rollout_id=rollout_id)
    pause_rollout(rollout, is_paused, reason, user=user)
    return rollout


def pause_rollout(rollout: Rollout, is_paused: bool, reason: str, *, user: AbstractBaseUser | None = None) -> None:
    """Of a locked rollout; the reason stays until the next change."""
    state = Rollout.State.PAUSED if is_paused else Rollout.State.CANARY
    if rollout.state == state:
        return
    rollout.state, rollout.reason = state, reason[:MAX_REASON]
    rollout.is_automatic = user is None
    rollout.save(update_fields=["state", "reason", "is_automatic"])
    kind = "pause" if is_paused else "resume"
    record_event(rollout.run, kind, user=user, reason=reason, version=rollout.candidate, rollout=rollout)
    fleet_follow(run=rollout.run)


@transaction.atomic
def rollout_roll_back(*, rollout_id: object, reason: str, user: AbstractBaseUser | None = None) -> Rollout:
    """End a canary: its robots go back to the current version. Raises: NotFound, RolloutClosed, InvalidRequest."""
    rollout = rollout_lock(rollout_id=rollout_id)
    close_rollout(rollout, Rollout.State.ROLLED_BACK, _needed(reason), user=user)
    return rollout


@transaction.atomic
def release_roll_back(
    *, run_id: object, version_id: object | None = None, reason: str, user: AbstractBaseUser | None = None
) -> PolicyVersion:
    """Take every robot that is not pinned back to an earlier version, in one action: the one before, unless named.

    An open canary ends with it. The run becomes manual: else the next version would undo this.
    Raises: NotFound, VersionUnusable (`version_unusable`), InvalidRequest.
    """
    run, reason = run_lock(run_id=run_id), _needed(reason)
    current = version_current(run=run)
    if current is None:
        raise InvalidRequest("the run has no version to roll back", field="version")
    if version_id is None:
        before = PolicyVersion.objects.filter(run=run, number__lt=current.number).order_by("-number").first()
        if before is None:
            raise InvalidRequest("there is no version before this one", field="version")
        version_id = before.id
    version = version_usable(version_id=version_id, run=run)
    _track_set(release_track(run=run), ReleaseTrack.Strategy.MANUAL, version)
    trying = rollout_open(run=run)
    if trying is not None:
        close_rollout(trying, Rollout.State.ROLLED_BACK, reason, user=user)
    record_event(run, "roll back to", user=user, reason=reason, version=version)
    logger.warning("rolled back", extra={"event": {"run": run.name, "to": version.number, "reason": reason}})
    fleet_follow(run=run)
    return version


@transaction.atomic
def version_note(*, version_id: uuid.UUID, notes: str, revision: int) -> PolicyVersion:
    """Replace notes over the revision that was read. Raises: NotFound, PreconditionFailed, InvalidRequest."""
    if len(notes) > 4000 or "\x00" in notes:
        raise InvalidRequest("notes have at most 4,000 characters", field="notes")
    version = PolicyVersion.objects.select_for_update().filter(id=version_id).first()
    if version is None:
        raise NotFound("there is no such policy version")
    revision_check(version.notes_revision, expected=revision)
    audit_record(action="version.note", subject=version, before={"notes": version.notes}, after={"notes": notes})
    version.notes, version.notes_revision = notes, revision + 1
    version.save(update_fields=["notes", "notes_revision"])
    return version


# --- Shared with rollout_judge and policy -----------------------------------------------------------------------------


def rollout_lock(*, rollout_id: object) -> Rollout:
    """Return an open rollout, its run locked. Raises: NotFound, RolloutClosed."""
    run_id = Rollout.objects.filter(id=rollout_id).values_list("run_id", flat=True).first()  # type: ignore[misc]
    if run_id is None:
        raise NotFound("there is no such rollout")
    run_lock(run_id=run_id)
    rollout = Rollout.objects.select_related("run", "candidate", "baseline").get(id=rollout_id)  # type: ignore[misc]
    if rollout.state not in Rollout.OPEN:
        raise RolloutClosed(f"this rollout is {rollout.get_state_display().lower()} already")
    return rollout


def close_rollout(
    rollout: Rollout,
    state: Rollout.State,
    reason: str,
    *,
    evidence: Mapping[str, Any] | None = None,
    user: AbstractBaseUser | None = None,
    is_automatic: bool = False,
) -> None:
    """End a locked rollout; with strategy canary the newest version that waits is tried next."""
    rollout.state, rollout.reason, rollout.decided_at = state, reason[:MAX_REASON], timezone.now()
    rollout.is_automatic = is_automatic
    rollout.evidence = dict(evidence) if evidence is not None else rollout.evidence
    rollout.save()
    is_promoted = state == Rollout.State.PROMOTED
    if is_promoted:
        _make_current(rollout.run, rollout.candidate)
    kind = "promote" if is_promoted else "roll back"
    record_event(rollout.run, kind, user=user, reason=reason, version=rollout.candidate, rollout=rollout)
    logger.warning("canary ended", extra={"event": {"candidate": rollout.candidate.number, "state": state.value}})
    track = release_track(run=rollout.run)
    waiting = versions_waiting(run=rollout.run, after=rollout.candidate)
    if track.strategy == ReleaseTrack.Strategy.CANARY and waiting is not None:
        try_next(run=rollout.run, version=waiting)
    fleet_follow(run=rollout.run)


def try_next(*, run: TrainingRun, version: PolicyVersion) -> None:
    """Begin a canary by the run's strategy; a fleet too small for one keeps its version and says so."""
    try:
        with transaction.atomic():
            rollout_begin(version_id=version.id)
    except (CanaryTooSmall, VersionUnusable) as error:
        record_event(run, "not tried", user=None, reason=error.message, version=version)
        logger.warning("no canary", extra={"event": {"run": run.name, "code": error.code}})


def fleet_follow(*, run: TrainingRun) -> None:
    """Have every robot read its desired version again, and note what it was told."""
    robots = list(Robot.objects.select_for_update().order_by("id"))
    announce_desired(robots)
    robots_bump(robot_ids=[robot.id for robot in robots])
    hint_consoles("run", run.id)
    hint_consoles("metrics")


def version_usable(*, version_id: object, run: TrainingRun | None = None) -> PolicyVersion:
    """Return a version that robots can load. Raises: NotFound; VersionUnusable if its objects are gone or every robot
    that tried it refused it."""
    try:
        version = PolicyVersion.objects.filter(id=uuid.UUID(str(version_id))).first()
    except ValueError:
        version = None
    if version is None or (run is not None and version.run_id != run.id):
        raise NotFound("there is no such version of this run")
    version_require_weights(version)
    told = PolicyDeployment.objects.filter(version=version)
    refused = told.filter(refused_at__isnull=False).exclude(refused_code=PolicyDeployment.TRIED_ON).first()
    if refused is not None and not told.filter(applied_at__isnull=False).exists():
        text = f"version {version.number} was refused by {refused.robot.name}: {refused.refused_code}"
        raise VersionUnusable(text, field="version")
    return version


def version_require_weights(version: PolicyVersion, *, field: str = "version") -> None:
    """Raises: VersionUnusable if its objects are gone."""
    store = object_store()
    wanted = [version.manifest_key, *(keys.policy_blob(sha256) for sha256 in version.blobs)]
    if not all(store.exists(key) for key in wanted):
        raise VersionUnusable(f"the weights of version {version.number} are deleted", field=field)


def announce_desired(robots: Sequence[Robot]) -> None:
    now = timezone.now()
    wanted = desired_versions(robots=robots)
    PolicyDeployment.objects.bulk_create(
        (
            PolicyDeployment(robot=robot, version=found.version, announced_at=now)
            for robot in robots
            if (found := wanted[robot.id]).version is not None
        ),
        ignore_conflicts=True,
    )


def _make_current(run: TrainingRun, version: PolicyVersion) -> None:
    track = release_track(run=run)
    newest = PolicyVersion.objects.filter(run=run).order_by("-number").first()
    is_immediate = track.strategy == ReleaseTrack.Strategy.IMMEDIATE
    if is_immediate and newest == version:
        return
    _track_set(track, ReleaseTrack.Strategy.MANUAL if is_immediate else track.strategy, version)


def _track_set(track: ReleaseTrack, strategy: str, current: PolicyVersion | None) -> None:
    """Write the track of a locked run."""
    track.strategy, track.current, track.changed_at = strategy, current, timezone.now()
    track.revision += 1
    track.save()


def record_event(run: TrainingRun, kind: str, *, user: AbstractBaseUser | None, reason: str = "", **names: Any) -> None:
    RolloutEvent.objects.create(
        run=run,
        kind=kind,
        reason=reason[:MAX_REASON],
        by=user,  # type: ignore[misc]
        by_name=_name(user),
        **names,
    )
    version, robot = names.get("version"), names.get("robot")
    after = {"version": version.number if version else None, "robot": robot.name if robot else None, "reason": reason}
    audit_record(action=f"rollout.{kind.replace(' ', '_')}"[:64], subject=run, after=after)


def _name(user: AbstractBaseUser | None) -> str:
    return user.get_username()[:150] if user is not None else ""


def _needed(reason: str) -> str:
    if not reason.strip():
        raise InvalidRequest("say why: the reason is kept", field="reason")
    return reason.strip()[:MAX_REASON]
