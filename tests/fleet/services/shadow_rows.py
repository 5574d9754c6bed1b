"""Versions, robots that can shadow them, shadows, and what comes of them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from fleet.models import Episode, PolicyVersion, Robot, Shadow
from fleet.protocol.messages import Distances, ShadowEpisode, ShadowReport, ShadowState
from fleet.services.policy import policy_version_publish
from fleet.services.robot_hello import Arrival, robots_hello
from fleet.services.shadow import shadow_begin, shadow_reported
from tests.fleet import builders

DAY = 86400.0


def publish(run: Any, step: int = 0, **changes: Any) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step), **changes)
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def connect(robot: Robot, **changes: Any) -> None:
    hello = builders.hello(**({"capabilities": ("logs", "shadow")} | changes))
    robots_hello(arrivals=[Arrival(str(robot.id), str(uuid.uuid4()), hello)])


def begin(version: PolicyVersion, *robots: Robot, **changes: Any) -> Shadow:
    values: dict[str, Any] = {"duration_s": DAY, "max_episodes": 10, "robot_ids": [robot.id for robot in robots]}
    return shadow_begin(version_id=version.id, **(values | changes))


def report(shadow: Shadow, robot: Robot, state: ShadowState, **values: Any) -> None:
    shadow_reported(robot_id=str(robot.id), report=ShadowReport(shadow_id=str(shadow.id), state=state, **values))


def distances(n: int, total: float) -> Distances:
    return Distances(proposals=n, total=total, p50=total / max(1, n), p95=total / max(1, n))


def proposed(shadow: Shadow, n: int = 4, total: float = 1.0, **changes: Any) -> ShadowEpisode:
    values: dict[str, Any] = {
        "shadow_id": str(shadow.id), "instants": n, "asked": n, "answered": n, "inference_ms": 3.0,
        "policy": distances(n, total), "human": distances(0, 0.0), "own": distances(0, 0.0),
    }  # fmt: skip
    return ShadowEpisode(**(values | changes))


_seq = iter(range(1, 10**6))


def episode(robot: Robot, task: Any, version: PolicyVersion | None = None, *, minute: int = 0) -> Episode:
    at = timezone.now() - timedelta(hours=3) + timedelta(minutes=minute)
    return Episode.objects.create(
        id=uuid.uuid4(), index_seq=next(_seq), origin="online", outcome="success", outcome_source="environment",
        robot=robot, task=task, policy_version=version, instruction="x", seed=0, steps=50, human_steps=0,
        control_rate_hz=10.0, started_at=at, ended_at=at + timedelta(seconds=5), indexed_at=at, manifest_key="k",
        manifest_sha256="a" * 64, size_bytes=1,
    )  # fmt: skip
