"""Registered episodes for the tests of the library's API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from fleet.models import Episode, Robot, Task
from fleet.protocol.recording import Segment, encode_manifest
from fleet.services.episode import episode_register
from tests.fleet import builders


def register(task: Task, robot: Robot | None, *, operator: str = "", **changes: Any) -> Episode:
    """Register one episode; `operator` drove its human steps, `files` replaces bytes of its objects."""
    files = changes.pop("files", {})
    manifest, sound = builders.episode(task, robot, **changes)
    if operator:
        segments = tuple(_named(segment, operator) for segment in manifest.segments)
        manifest = msgspec.structs.replace(manifest, segments=segments)
        sound |= {"manifest.json": encode_manifest(manifest)}
    builders.store(manifest, sound | files)
    episode_register(robot_id=str(robot.id) if robot else None, manifest=manifest, uploaded_ns=None)
    return Episode.objects.get(id=manifest.episode_id)


def _named(segment: Segment, operator: str) -> Segment:
    return msgspec.structs.replace(segment, operator=operator) if segment.lease_epoch else segment


def end_one_minute_apart(episodes: list[Episode]) -> None:
    """The first ended first, a minute before the next; the last an hour after it really did."""
    newest = episodes[-1].ended_at + timedelta(hours=1)
    for age, row in enumerate(reversed(episodes)):
        ended = newest - timedelta(minutes=age)
        Episode.objects.filter(id=row.id).update(ended_at=ended, started_at=ended - timedelta(seconds=1))
        row.ended_at = ended
