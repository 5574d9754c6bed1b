"""Robots, keys, sessions and versions as rows, written past enrolment to save minutes. Needs Django to be set up."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from typing import Any

USERS = 10  # whose sessions the consoles share


def seed(robots: int) -> tuple[list[tuple[str, str]], list[str], str]:
    """Return (id, key) of each robot, cookies of viewers, and the id of a running run that feeds the fleet."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.test import Client

    from fleet.models import Assignment, Robot, RobotKey
    from fleet.services.task import task_create
    from fleet.services.training import training_run_create, training_run_start

    task = task_create(slug="load", instruction="stand under load", driver_task="load", max_steps=250)
    run = training_run_create(name="load", algorithm="hg_dagger", config={}, seed=1)
    run.tasks.add(task)
    training_run_start(run_id=run.id)
    rows = [Robot(name=f"load-{number:05d}") for number in range(robots)]
    keys = [secrets.token_urlsafe(32) for _ in rows]
    Robot.objects.bulk_create(rows, batch_size=1000)
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
    own = [RobotKey(robot=row, key_sha256=sha256) for row, sha256 in zip(rows, hashes, strict=True)]
    RobotKey.objects.bulk_create(own, batch_size=1000)
    Assignment.objects.bulk_create([Assignment(robot=row, task=task) for row in rows], batch_size=1000)
    cookies = []
    for number in range(USERS):
        user = get_user_model().objects.create_user(f"load-{number}")
        user.groups.add(*Group.objects.filter(name="viewer"))
        client = Client()
        client.force_login(user)
        cookies.append(f"sessionid={client.cookies['sessionid'].value}")
    return [(str(row.id), key) for row, key in zip(rows, keys, strict=True)], cookies, str(run.id)


def publish(run_id: str, step: int) -> str:
    """Publish a tiny version to all robots, as a learner does; return its id."""
    import numpy as np
    from safetensors.numpy import save

    from fleet.protocol.policy import BlobRef, CameraSpec, PolicyManifest, TensorSpec, encode_policy_manifest
    from fleet.services.policy import policy_version_publish

    data = save({"weight": np.full(3, step, np.float32)})
    sha256 = hashlib.sha256(data).hexdigest()
    blob = BlobRef(name="head", size=len(data), sha256=sha256, tensors={"weight": TensorSpec(dtype="F32", shape=(3,))})
    version_id = str(uuid.uuid4())
    manifest = PolicyManifest(
        version_id=version_id, run_id=run_id, parent_id=None, step=step, trained_ns=time.time_ns(),
        architecture="tiny", config={}, cameras=(CameraSpec(name="front", height=128, width=128),), proprio_dim=2,
        action_dim=4, horizon=12, blobs=(blob,),
    )  # fmt: skip
    policy_version_publish(run_id=run_id, manifest_bytes=encode_policy_manifest(manifest), blobs={sha256: data})
    return version_id


def statements() -> dict[str, Any]:
    """Return PostgreSQL's own counters: transactions, rows read and written, bytes of log since it began."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit, tup_returned, tup_inserted, tup_updated, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') "
            "FROM pg_stat_database WHERE datname = current_database()"
        )
        row = cursor.fetchone()
    return dict(zip(("commits", "rows_read", "inserted", "updated", "wal_bytes"), map(int, row), strict=True))


def redis_commands() -> dict[str, int]:
    """Return Redis's own counters since it began."""
    from fleet import live

    info: dict[str, Any] = live.connection().info()  # type: ignore[assignment]
    names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
    return {name: int(info[name]) for name in names}
