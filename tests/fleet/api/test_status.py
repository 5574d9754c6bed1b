"""`GET /api/v1/status`: the system's state in one answer, which comes also while a part of it is away."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from fleet import live
from fleet.models import Robot
from fleet.selectors import readiness as module
from fleet.selectors.readiness import Probe, ReadinessReader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Client:
    signed_in = Client()
    signed_in.force_login(get_user_model().objects.create_user("anna", password="x"))
    return signed_in


def test_strangers_see_nothing() -> None:
    assert Client().get("/api/v1/status").status_code == 401


def test_the_state_of_every_part_is_told(client: Client, objects: Any) -> None:
    live.connection().delete("hooks", "sop:workers")
    live.worker_seen("fleet@host", ["fleet"])
    live.connection().lpush("hooks", b'{"headers": {"sop_due_s": %f}}' % (time.time() - 90))
    Robot.objects.create(name="away")
    try:
        body = client.get("/api/v1/status").json()
    finally:
        live.connection().delete("hooks", "sop:workers")
    assert {part["name"]: part["state"] for part in body["parts"]} == dict.fromkeys(
        ("database", "migrations", "redis", "object_store"), "ready"
    )
    queues = {queue["name"]: queue for queue in body["queues"]}
    assert set(queues) == {"fleet", "hooks", "data", "learner"}
    assert queues["hooks"]["length"] == 1 and 90 <= queues["hooks"]["oldest_s"] < 100
    assert queues["hooks"]["worker_silent_s"] is None and 0 <= queues["fleet"]["worker_silent_s"] < 5
    assert [worker["name"] for worker in body["workers"]] == ["fleet@host"] and body["scheduler_silent_s"] is None
    assert body["robots"] == {"online": 0, "offline": 1} and body["learner"]["running"] == 0
    assert body["store"]["kind"] == "folder" and 0 < body["store"]["free_bytes"] <= body["store"]["size_bytes"]
    assert {each["name"] for each in body["latencies"]} >= {"captured_to_uploaded", "published_to_applied"}


def test_a_redis_that_is_away_is_said_and_what_lies_in_it_left_out(
    client: Client, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(module, "_reader", ReadinessReader({"redis": away, "database": lambda: None}))
    answer = client.get("/api/v1/status")
    body = answer.json()
    assert answer.status_code == 200 and body["is_ready"] is False
    assert {part["name"]: part["state"] for part in body["parts"]} == {"redis": "failed", "database": "ready"}
    assert body["queues"] is body["workers"] is body["robots"] is None


def test_a_part_that_hangs_is_asked_once() -> None:
    """Its thread waits on; the next questions wait for the same answer and start none."""
    begun: list[float] = []

    def hang() -> None:
        begun.append(time.monotonic())
        time.sleep(1.0)

    probe = Probe("slow", hang)
    states = [probe.wait(probe.begin(), timeout_s=0.05) for _ in range(5)]
    assert [state.code for state in states] == ["timeout"] * 5 and len(begun) == 1
    assert probe.wait(probe.begin(), timeout_s=5).is_ready and len(begun) == 1
