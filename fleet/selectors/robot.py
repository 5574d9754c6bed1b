"""What a robot shall do, and what the fleet page shows of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from fleet.clock import to_ns
from fleet.errors import NotFound
from fleet.models import Assignment, PolicyVersion, Robot, Shadow
from fleet.protocol.messages import (
    SHADOW_CAPABILITY,
    AssignedTask,
    DesiredState,
    PolicyPatch,
    PolicyTarget,
    ShadowOrder,
    ShadowWish,
)
from fleet.protocol.policy import policy_statement, shadow_statement
from fleet.selectors.lease import leases_handed_back, leases_in_force
from fleet.selectors.objects import object_store
from fleet.selectors.policy import policy_version_patches
from fleet.selectors.rollout import desired_versions
from fleet.selectors.schedule import assignments_active, schedule_digest
from fleet.selectors.shadow import shadows_open_of
from fleet.selectors.stop import stop_info, stops_cleared_newest, stops_in_force
from fleet.signing import SigningKey, public_keys, signing_keys
from fleet.storage import keys

Statement = Callable[..., bytes]
POLICY_URL_EXPIRES_S = 6 * 3600  # a robot that fetches later asks again: each Resync brings fresh URLs


def desired_state(*, robot_id: str, now: datetime | None = None) -> DesiredState:
    """Return everything the server wants of a robot. Raises: NotFound."""
    found = desired_states(robot_ids=[robot_id], now=now)
    if not found:
        raise NotFound("there is no such robot")
    return found[str(uuid.UUID(str(robot_id)))]


def desired_states(*, robot_ids: Sequence[str], now: datetime | None = None) -> dict[str, DesiredState]:
    """Return everything the server wants of each robot, by id; who is gone is missing.

    The revisions are read first: rows that change meanwhile make a state newer than its number says, and the next
    heartbeat mends that; the other order would hide a change. The newest clearings are read before the stops: the other
    order could name one stop as in force and as cleared.
    """
    robots, now = list(Robot.objects.filter(id__in=robot_ids)), now or timezone.now()
    ids = [robot.id for robot in robots]
    wanted, signers = desired_versions(robots=robots), signing_keys()
    leases, cleared = leases_in_force(robot_ids=ids, now=now), stops_cleared_newest(robot_ids=ids)
    stops, handed_back = stops_in_force(robot_ids=ids), leases_handed_back(robot_ids=ids)
    shadows = shadows_open_of(robots=[robot for robot in robots if SHADOW_CAPABILITY in robot.capabilities], now=now)
    assigned: dict[uuid.UUID, list[Assignment]] = {}
    for row in _assignments().filter(robot__in=ids):
        assigned.setdefault(row.robot_id, []).append(row)
    return {
        str(robot.id): DesiredState(
            revision=robot.state_revision,
            robot_id=str(robot.id),
            robot_name=robot.name,
            is_paused=robot.is_paused,
            assignments=_assigned_tasks(_active(robot, assigned.get(robot.id, ()), now)),
            policy=_signed_policy(robot, wanted[robot.id].version, signers),
            lease=leases.get(robot.id),
            handed_back_epoch=handed_back.get(robot.id, 0),
            stop=stop_info(stops[str(robot.id)]) if str(robot.id) in stops else None,
            cleared_stop_id=cleared.get(robot.id),
            policy_keys=public_keys(signers),
            lifted_hold_id=robot.lifted_hold_id or None,
            shadow=_shadow_wish(robot, signers, shadows),
        )
        for robot in robots
    }


def _signed_policy(robot: Robot, version: PolicyVersion | None, signers: Sequence[SigningKey]) -> PolicyTarget | None:
    return sign_target(signers, policy_target(version, holder=str(robot.id)), robot=robot) if version else None


def _shadow_wish(
    robot: Robot, signers: Sequence[SigningKey], shadows: Mapping[uuid.UUID, Shadow]
) -> ShadowWish | msgspec.UnsetType:
    """Return what the robot shall shadow; nothing at all to a daemon that does not know the field."""
    if SHADOW_CAPABILITY not in robot.capabilities:
        return msgspec.UNSET
    shadow = shadows.get(robot.id)
    if shadow is None:
        return ShadowWish()
    target = policy_target(shadow.version, holder=str(robot.id))
    order = ShadowOrder(
        shadow_id=str(shadow.id),
        policy=sign_target(signers, target, robot=robot, state=shadow_statement),
        share=shadow.share,
        max_episodes=shadow.max_episodes,
        ends_ns=to_ns(shadow.ends_at),
    )
    return ShadowWish(order=order)


def sign_target(
    signers: Sequence[SigningKey], target: PolicyTarget, *, robot: Robot, state: Statement = policy_statement
) -> PolicyTarget:
    """Return the order signed for this robot by the newest key; as it is where the server has none. `state`: what is
    signed, an order to drive or one to shadow.

    The robot's revision is the order's epoch: it grows with every change of what the robot should do.
    """
    if not signers:
        return target
    statement = state(
        robot_id=str(robot.id),
        version_id=target.version_id,
        number=target.number,
        manifest_sha256=target.manifest_sha256,
        epoch=robot.state_revision,
    )
    signed = {"key": signers[0].public, "signature": signers[0].sign(statement), "epoch": robot.state_revision}
    return msgspec.structs.replace(target, **signed)


def policy_target(version: PolicyVersion, *, holder: str = "") -> PolicyTarget:
    """Return the version with URLs for its manifest, blobs and patches, signed for one robot."""
    sign = partial(object_store().sign_get, expires_s=POLICY_URL_EXPIRES_S, holder=holder)
    return PolicyTarget(
        version_id=str(version.id),
        number=version.number,
        manifest_url=sign(version.manifest_key),
        manifest_sha256=version.manifest_sha256,
        blob_urls={sha256: sign(keys.policy_blob(sha256)) for sha256 in version.blobs},
        published_ns=to_ns(version.published_at),
        traceparent=version.traceparent or msgspec.UNSET,
        patches={
            blob: PolicyPatch(
                base=base,
                url=sign(keys.policy_patch(base, blob)),
                size=size,
                sha256=sha256,
            )
            for blob, base, size, sha256 in policy_version_patches(version_id=version.id)
        },
    )


def _assigned_tasks(rows: Iterable[Assignment]) -> tuple[AssignedTask, ...]:
    return tuple(
        AssignedTask(
            task_id=str(row.task.id),
            slug=row.task.slug,
            instruction=row.task.instruction,
            driver_task=row.task.driver_task,
            max_steps=row.task.max_steps,
            weight=row.weight,
        )
        for row in rows
    )


def robot_assignments_active(*, robot: Robot, now: datetime) -> list[Assignment]:
    """Return what a robot works at now, by the task's slug: nothing while it waits for approval or is retired."""
    return _active(robot, _assignments().filter(robot=robot), now)


def robots_off_schedule(*, now: datetime) -> list[uuid.UUID]:
    """Return the robots with hours that were last told of other assignments than are active now."""
    with_hours = Assignment.objects.filter(ended_at__isnull=True).exclude(windows=[]).values("robot_id")
    unended = Prefetch("assignments", _assignments(), to_attr="unended")
    robots: Iterable[Any] = Robot.objects.filter(id__in=with_hours).prefetch_related(unended)
    return [each.id for each in robots if each.schedule_digest != schedule_digest(_active(each, each.unended, now))]


def _assignments() -> QuerySet[Assignment]:
    """Return what has not ended, by the task's slug."""
    rows = Assignment.objects.filter(ended_at__isnull=True, task__is_active=True)
    return rows.select_related("task").order_by("task__slug")


def _active(robot: Robot, rows: Iterable[Assignment], now: datetime) -> list[Assignment]:
    is_working = robot.is_approved and robot.retired_at is None
    return assignments_active(rows, now=now) if is_working else []
