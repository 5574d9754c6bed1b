"""Heartbeats of many robots at once: their live status, presence, and the revisions that they should work by.

No row that a stop or a lease locks is waited for here, and none is held: what another transaction has locked is left to
the robot's next row, ten seconds later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Greatest
from django.utils import timezone

from fleet import live
from fleet.errors import LinkReplaced, NotFound
from fleet.events import hint_beats
from fleet.models import Robot, RobotKey, RobotStateInterval
from fleet.protocol.errors import SopError, Unauthorised
from fleet.protocol.messages import RobotStatus
from fleet.services.robot import secret_sha256
from fleet.services.robot_state import State, robot_state_of, silence_s


@dataclass(frozen=True)
class Beat:
    """One heartbeat. `key`: given when the robot's row is due; then the connection's right to be there is checked."""

    robot_id: str
    session_id: str
    status: RobotStatus
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Seen:
    """`revision`: of the desired state. `state_due`: what `robot_state_note` is yet to be told, if anything."""

    revision: int
    state_due: State | None


def robots_seen(*, beats: Sequence[Beat]) -> list[Seen | SopError]:
    """Keep the live statuses, tell consoles; of those with a key also last_seen_at and how long the state lasts.

    Instead of an answer a heartbeat gets Unauthorised after its key was revoked, LinkReplaced where a newer connection
    is there, NotFound where the robot was deleted; of the first two nothing is kept.
    """
    refused = _refused([beat for beat in beats if beat.key is not None])
    heard = [beat for beat in beats if beat.session_id not in refused]
    before = live.statuses_put([(beat.robot_id, beat.session_id, beat.status) for beat in heard])
    states = {beat.session_id: robot_state_of(beat.status) for beat in heard}
    changed = {
        beat.session_id
        for beat, old in zip(heard, before, strict=True)
        if old is None or robot_state_of(old) is not states[beat.session_id]
    }
    due = [beat for beat in heard if beat.key is not None]
    _note_presence([beat.robot_id for beat in due])
    lasting = _note_lasting({beat.robot_id: states[beat.session_id] for beat in due if beat.session_id not in changed})
    hint_beats([beat.robot_id for beat in heard])
    rows = Robot.objects.filter(id__in=[beat.robot_id for beat in heard]).values_list("id", "state_revision")
    revisions = {str(robot_id): revision for robot_id, revision in rows}
    answers: list[Seen | SopError] = []
    for beat in beats:
        if beat.session_id in refused:
            answers.append(refused[beat.session_id])
        elif beat.robot_id not in revisions:
            answers.append(NotFound("there is no such robot"))
        else:
            is_noted = beat.robot_id in lasting if beat.key is not None else beat.session_id not in changed
            state_due = None if is_noted else states[beat.session_id]
            answers.append(Seen(revisions[beat.robot_id], state_due))
    return answers


def _refused(due: Sequence[Beat]) -> dict[str, SopError]:
    """Return by connection why it may not go on, as robot_link_check says it."""
    if not due:
        return {}
    hashes = {beat.session_id: secret_sha256(beat.key or "") for beat in due}
    keys = RobotKey.objects.filter(key_sha256__in=hashes.values(), revoked_at__isnull=True)
    sessions = {
        (str(robot_id), key_sha256): session
        for robot_id, key_sha256, session in keys.values_list("robot_id", "key_sha256", "robot__link_session")
    }
    found: dict[str, SopError] = {}
    for beat in due:
        session = sessions.get((beat.robot_id, hashes[beat.session_id]))
        if session is None:
            found[beat.session_id] = Unauthorised("this robot key is not valid")
        elif session != beat.session_id:
            found[beat.session_id] = LinkReplaced("this robot has a newer connection")
    return found


def _note_presence(robot_ids: Sequence[str]) -> None:
    if not robot_ids:
        return
    with transaction.atomic():
        free = Robot.objects.filter(id__in=robot_ids).select_for_update(skip_locked=True, no_key=True).values("id")
        Robot.objects.filter(id__in=free).update(last_seen_at=timezone.now())


def _note_lasting(states: Mapping[str, State]) -> set[str]:
    """Put off the end of the open intervals that are in this state; return the robots that have one.

    No robot's row is locked: one that ended meanwhile is left alone, and the robot's next row opens another.
    """
    if not states:
        return set()
    now = timezone.now()
    fresh = now - timedelta(seconds=silence_s())
    rows = RobotStateInterval.objects.filter(robot_id__in=list(states), ended_at__isnull=True, seen_at__gte=fresh)
    same = {
        str(robot): pk
        for pk, robot, state in rows.values_list("id", "robot_id", "state")
        if states[str(robot)] == state
    }
    with transaction.atomic():
        free = RobotStateInterval.objects.filter(id__in=same.values(), ended_at__isnull=True)
        free = free.select_for_update(skip_locked=True)
        RobotStateInterval.objects.filter(id__in=free.values("id")).update(seen_at=Greatest("seen_at", now))
    return set(same)
