"""What the demo gives its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sop_web.demo.stack import Stack
from sop_web.embedded import Services


def test_robots_get_nothing_that_opens_the_servers_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "bucket-secret")
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    services = Services(database_url="postgresql://sop:pg-secret@127.0.0.1/sop", redis_url="redis://:redis-secret@h/0")
    stack = Stack(data_dir=tmp_path, port=8000, services=services)
    server, robot = stack.environment(), stack.robot_environment(OMP_NUM_THREADS="1")
    assert (robot["MUJOCO_GL"], robot["OMP_NUM_THREADS"]) == ("osmesa", "1")
    text = "\n".join(robot.values())
    for secret in ("pg-secret", "redis-secret", "bucket-secret", server["SOP_SECRET_KEY"]):
        assert secret in "\n".join(server.values()) and secret not in text
