"""Stops in force: what robots and cards are told of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from fleet.clock import to_ns
from fleet.models import RobotStop
from fleet.protocol.messages import CardStop, StopInfo


def stops_in_force(*, robot_ids: Sequence[uuid.UUID] | None = None) -> dict[str, RobotStop]:
    """Return the newest stop in force of each of these robots, or of all, that has one, by robot id."""
    rows = RobotStop.objects.filter(cleared_at__isnull=True).order_by("id")
    return {str(row.robot_id): row for row in (rows if robot_ids is None else rows.filter(robot_id__in=robot_ids))}


def stops_cleared_newest(*, robot_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return by robot id the stop_id that was cleared last; of those cleared together the newest."""
    rows = RobotStop.objects.filter(robot_id__in=robot_ids, cleared_at__isnull=False)
    newest = rows.order_by("robot_id", "-cleared_at", "-id").distinct("robot_id")
    return {robot_id: str(stop_id) for robot_id, stop_id in newest.values_list("robot_id", "stop_id")}


def stop_info(row: RobotStop) -> StopInfo:
    return StopInfo(stop_id=str(row.stop_id), by=row.by, reason=row.reason, at_ns=to_ns(row.stopped_at))


def card_stop(reported: StopInfo | None, row: RobotStop | None) -> CardStop | None:
    """Return the stop as the robot reports it or, until it does, as the server asked for it."""
    stop = reported or (stop_info(row) if row else None)
    if stop is None:
        return None
    return CardStop(
        stop_id=stop.stop_id,
        by=stop.by,
        reason=stop.reason,
        at_ms=stop.at_ns // 1_000_000,
        is_confirmed=reported is not None,
    )
