"""Heartbeats of many robots at once: their live status, presence, and the revisions that they should work by.

No row that a stop or a lease locks is waited for here, and none is held: what another transaction has locked is left to
the robot's next row, ten seconds later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
from django.db import transaction
from django.db.models.functions import Greatest
from django.utils import timezone

from fleet import live
from fleet.errors import LinkReplaced, NotFound
from fleet.events import hint_beats, hint_consoles
from fleet.models import HelpRequest, Robot, RobotKey, RobotStateInterval, RobotStop
from fleet.protocol.errors import SopError, Unauthorised
from fleet.protocol.messages import RobotStatus
from fleet.services.robot import secret_sha256
from fleet.services.robot_state import State, robot_state_of, robot_states_note, silence_s


@dataclass(frozen=True)
class Beat:
    """One heartbeat. `key`: given when the robot's row is due; then the connection's right to be there is checked."""

    robot_id: str
    session_id: str
    status: RobotStatus
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Seen:
    """`revision`: of the desired state. `state_due`: what `robot_state_note` is yet to be told, if anything, since
    another transaction holds the robot's row. `is_quiet`: whether the rows know of no stop that the robot confirmed and
    no open request for help; False also where they were not asked, as the row was not due."""

    revision: int
    state_due: State | None = None
    is_quiet: bool = False


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
    due_ids = [beat.robot_id for beat in due]
    _note_presence(due_ids)
    lasting = _note_lasting({beat.robot_id: states[beat.session_id] for beat in due if beat.session_id not in changed})
    to_note = {
        beat.robot_id: states[beat.session_id]
        for beat in heard
        if beat.session_id in changed or (beat.key is not None and beat.robot_id not in lasting)
    }
    noted = robot_states_note(states=to_note, is_waiting=False) if to_note else set()
    loud = _loud(due_ids)
    acting = [beat.robot_id for beat, old in zip(heard, before, strict=True) if old is None or _acts(old, beat.status)]
    hint_beats([beat.robot_id for beat in heard], acting=acting)
    rows = Robot.objects.filter(id__in=[beat.robot_id for beat in heard]).values_list("id", "state_revision")
    revisions = {str(robot_id): revision for robot_id, revision in rows}
    answers: list[Seen | SopError] = []
    for beat in beats:
        if beat.session_id in refused:
            answers.append(refused[beat.session_id])
        elif beat.robot_id not in revisions:
            answers.append(NotFound("there is no such robot"))
        else:
            state_due = to_note.get(beat.robot_id) if beat.robot_id not in noted else None
            is_quiet = beat.key is not None and beat.robot_id not in loud
            answers.append(Seen(revisions[beat.robot_id], state_due, is_quiet))
    return answers


def _acts(before: RobotStatus, now: RobotStatus) -> bool:
    """Whether the robot does something else, beyond what moves on by itself (FIGURES of selectors/robot_card.py)."""
    return msgspec.structs.replace(before, step=now.step, control=now.control) != now


def robots_gone(*, sessions: Sequence[tuple[str, str]]) -> list[bool]:
    """Connections ended, (robot id, session id) of each: show their robots as offline, but for those that a newer
    connection has taken over. Return whose state is yet to be noted as offline: another transaction holds the row."""
    live.statuses_clear(sessions)
    ids = [robot_id for robot_id, _ in sessions]
    _note_presence(ids)
    rows = Robot.objects.filter(id__in=ids).values_list("id", "link_session")
    counting = {(str(robot_id), session) for robot_id, session in rows}
    states = {pair[0]: State.OFFLINE for pair in sessions if pair in counting}
    left = states.keys() - robot_states_note(states=states, is_waiting=False) if states else set()
    hint_consoles("robot", " ".join(ids))
    return [pair in counting and pair[0] in left for pair in sessions]


def _loud(robot_ids: Sequence[str]) -> set[str]:
    """Return the robots of which rows know a stop that they confirmed, or an open request for help."""
    if not robot_ids:
        return set()
    stops = RobotStop.objects.filter(robot_id__in=robot_ids, cleared_at__isnull=True, confirmed_at__isnull=False)
    requests = HelpRequest.objects.filter(robot_id__in=robot_ids, closed_at__isnull=True)
    found = stops.order_by().values_list("robot_id").union(requests.order_by().values_list("robot_id"))
    return {str(robot_id) for (robot_id,) in found}


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
