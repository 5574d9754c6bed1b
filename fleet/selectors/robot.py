"""What a robot shall do, and what the fleet page shows of it."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from fleet import live
from fleet.clock import to_ms, to_ns
from fleet.errors import NotFound
from fleet.models import Assignment, PolicyVersion, Robot, Task
from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages import (
    SHADOW_CAPABILITY,
    AssignedTask,
    CardLease,
    CardStop,
    DesiredState,
    PolicyHold,
    PolicyPatch,
    PolicyTarget,
    RobotCard,
    ShadowOrder,
    ShadowWish,
)
from fleet.protocol.policy import policy_statement, shadow_statement
from fleet.selectors.lease import card_leases, lease_handed_back, lease_in_force, lease_info
from fleet.selectors.objects import object_store
from fleet.selectors.policy import policy_version_newest, policy_version_patches
from fleet.selectors.rollout import Desired, desired_version, desired_versions
from fleet.selectors.schedule import assignments_active, schedule_digest
from fleet.selectors.shadow import shadow_open_of
from fleet.selectors.stop import card_stop, stop_cleared_newest, stop_info, stops_in_force
from fleet.signing import SigningKey, public_keys, signing_keys
from fleet.storage import keys

Statement = Callable[..., bytes]
POLICY_URL_EXPIRES_S = 6 * 3600  # a robot that fetches later asks again: each Resync brings fresh URLs


def robot_revision(*, robot_id: str) -> int:
    """Return the revision of the robot's desired state. Raises: NotFound."""
    revision = Robot.objects.filter(id=robot_id).values_list("state_revision", flat=True).first()
    if revision is None:
        raise NotFound("there is no such robot")
    return revision


def desired_state(*, robot_id: str, now: datetime | None = None) -> DesiredState:
    """Return everything the server wants of a robot. Raises: NotFound.

    The revision is read first: rows that change meanwhile make the state newer than its number says, and the next
    heartbeat mends that; the other order would hide a change. The newest clearing is read before the stop: the other
    order could name one stop as in force and as cleared.
    """
    robot = Robot.objects.filter(id=robot_id).first()
    if robot is None:
        raise NotFound("there is no such robot")
    version, signers = desired_version(robot=robot).version, signing_keys()
    lease = lease_in_force(robot_id=robot.id, now=now or timezone.now())
    cleared_stop_id = stop_cleared_newest(robot_id=robot.id)
    stop = stops_in_force(robot_ids=[robot.id]).get(str(robot.id))
    return DesiredState(
        revision=robot.state_revision,
        robot_id=str(robot.id),
        robot_name=robot.name,
        is_paused=robot.is_paused,
        assignments=_assigned_tasks(robot, now or timezone.now()),
        policy=sign_target(signers, policy_target(version, holder=str(robot.id)), robot=robot) if version else None,
        lease=lease_info(lease) if lease else None,
        handed_back_epoch=lease_handed_back(robot_id=robot.id),
        stop=stop_info(stop) if stop else None,
        cleared_stop_id=cleared_stop_id,
        policy_keys=public_keys(signers),
        lifted_hold_id=robot.lifted_hold_id or None,
        shadow=_shadow_wish(robot, signers, now or timezone.now()),
    )


def _shadow_wish(robot: Robot, signers: Sequence[SigningKey], now: datetime) -> ShadowWish | msgspec.UnsetType:
    """Return what the robot shall shadow; nothing at all to a daemon that does not know the field."""
    if SHADOW_CAPABILITY not in robot.capabilities:
        return msgspec.UNSET
    shadow = shadow_open_of(robot=robot, now=now)
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


def robot_cards(*, robot_ids: Sequence[str] | None = None, now: datetime | None = None) -> list[RobotCard]:
    """Return the cards of these robots, or of all, by name; retired robots have none."""
    found = Robot.objects.filter(retired_at__isnull=True).select_related("policy_version").order_by("name")
    robots = list(found if robot_ids is None else found.filter(id__in=robot_ids))
    ids = [robot.id for robot in robots]
    newest, wanted = policy_version_newest(), desired_versions(robots=robots)
    live_statuses = live.statuses_get(ids)
    seen = [found.status for found in live_statuses if found]
    tasks = {str(task.id): task for task in Task.objects.filter(id__in=_uuids(status.task_id for status in seen))}
    version_ids = _uuids(status.policy_version_id for status in seen)
    versions = {str(version.id): version for version in PolicyVersion.objects.filter(id__in=version_ids)}
    stamps = live.thumbnail_stamps(ids)
    leases, stops = card_leases(robot_ids=ids, now=now or timezone.now()), stops_in_force(robot_ids=ids)
    return [
        _card(
            robot,
            status,
            versions,
            newest,
            tasks,
            stamp,
            wanted=wanted[robot.id],
            lease=leases.get(str(robot.id)),
            stop=card_stop(status.status.stop if status else None, stops.get(str(robot.id))),
        )
        for robot, status, stamp in zip(robots, live_statuses, stamps, strict=True)
    ]


def _assigned_tasks(robot: Robot, now: datetime) -> tuple[AssignedTask, ...]:
    return tuple(
        AssignedTask(
            task_id=str(row.task.id),
            slug=row.task.slug,
            instruction=row.task.instruction,
            driver_task=row.task.driver_task,
            max_steps=row.task.max_steps,
            weight=row.weight,
        )
        for row in robot_assignments_active(robot=robot, now=now)
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


def _uuids(texts: Iterable[str | None]) -> set[uuid.UUID]:
    """Return those that are UUIDs: a robot may report anything, and one robot must not break everyone's page."""
    found = set()
    for text in texts:
        with contextlib.suppress(ValueError):
            found.add(uuid.UUID(text or ""))
    return found


def _card(
    robot: Robot,
    live_status: live.LiveStatus | None,
    versions: dict[str, PolicyVersion],
    newest: PolicyVersion | None,
    tasks: Mapping[str, Task],
    thumbnail_ns: int | None,
    *,
    wanted: Desired,
    lease: CardLease | None,
    stop: CardStop | None,
) -> RobotCard:
    """Build one card; an offline robot keeps its last known version and shows nothing that only a live one knows."""
    status = live_status.status if live_status else None
    version = versions.get(status.policy_version_id or "") if status else robot.policy_version
    behind = _behind(version, newest)
    task = tasks.get(status.task_id or "") if status else None
    seen_ms = live_status.received_ms if live_status else (to_ms(robot.last_seen_at) if robot.last_seen_at else None)
    return RobotCard(
        robot_id=str(robot.id),
        name=robot.name,
        is_online=status is not None,
        is_paused=robot.is_paused,
        mode=status.mode if status else Mode.STOPPED,
        activity=status.activity if status else "offline",
        detail=status.detail if status else "",
        source=status.source if status else Source.POLICY,
        operator=status.operator if status else "",
        task=task.slug if task else "",
        instruction=task.instruction if task else "",
        episode_id=status.episode_id if status else None,
        step=status.step if status else 0,
        max_steps=status.max_steps if status else 0,
        policy_number=version.number if version else None,
        policy_stage="held" if status and status.hold else wanted.stage,
        policy_hold=_hold_words(status.hold) if status and status.hold else "",
        policy_wanted=wanted.version.number if wanted.version else None,
        versions_behind=behind[0] if behind else None,
        seconds_behind=behind[1] if behind else None,
        last_seen_ms=seen_ms,
        thumbnail_ms=thumbnail_ns // 1_000_000 if thumbnail_ns is not None else None,
        pending_episodes=status.spool.pending_episodes if status else 0,
        episodes_closed=status.episodes_closed if status else 0,
        control_rate_hz=status.control.rate_hz if status and math.isfinite(status.control.rate_hz) else 0.0,
        overruns=status.control.overruns if status else 0,
        lease=lease,
        stop=stop,
    )


def _hold_words(hold: PolicyHold) -> str:
    return f"Taken back to version {hold.number} at the robot" + (f": {hold.reason}" if hold.reason else "")


def _behind(version: PolicyVersion | None, newest: PolicyVersion | None) -> tuple[int, float] | None:
    """Return (versions, seconds) between the newest published version and this one; None across runs."""
    if version is None or newest is None or version.run_id != newest.run_id:
        return None
    seconds = (newest.published_at - version.published_at).total_seconds()
    return max(0, newest.number - version.number), max(0.0, seconds)
