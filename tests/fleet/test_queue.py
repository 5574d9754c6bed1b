"""Enqueueing reaches the real broker from every kind of process."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from base64 import b64decode
from pathlib import Path

import pytest

from fleet import live
from fleet.queue import enqueue_train_round, enqueue_webhook_drain

ROOT = Path(__file__).resolve().parents[2]


def _take(run_id: str) -> list[object] | None:
    """Remove the message about this run from the learner's queue; return its arguments."""
    broker = live.connection()
    for data in broker.lrange("learner", 0, -1):  # type: ignore[union-attr]
        body = json.loads(b64decode(json.loads(data)["body"]))
        if body[0][0] == run_id:
            broker.lrem("learner", 1, data)
            return list(body[0])
    return None


@pytest.mark.django_db(transaction=True)
def test_message_lies_in_the_learners_queue_after_commit() -> None:
    run_id = str(uuid.uuid4())
    enqueue_train_round(run_id=run_id, epoch=3)
    assert _take(run_id) == [run_id, 3]


@pytest.mark.django_db(transaction=True)
def test_message_is_sent_from_a_management_command_too() -> None:
    """manage.py loads settings but neither asgi.py nor a worker, and must not fall back to Celery's amqp default."""
    run_id = str(uuid.uuid4())
    code = f"from fleet.queue import enqueue_train_round; enqueue_train_round(run_id='{run_id}', epoch=1)"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert _take(run_id) == [run_id, 1], done.stderr


@pytest.mark.django_db
def test_nothing_is_sent_when_the_transaction_rolls_back() -> None:
    run_id = str(uuid.uuid4())
    enqueue_train_round(run_id=run_id, epoch=1)  # inside the test's own transaction, which never commits
    assert _take(run_id) is None


@pytest.mark.django_db(transaction=True)
def test_webhooks_have_a_queue_of_their_own() -> None:
    """What beat and the services ask for lands where the worker `hooks` listens, under a name that it knows."""
    from celery import current_app

    webhook_id = str(uuid.uuid4())
    enqueue_webhook_drain(webhook_id=webhook_id)
    current_app.loader.import_default_modules()
    assert {"fleet.webhook_drain", "fleet.webhooks_sweep"} <= set(current_app.tasks)
    broker = live.connection()
    bodies = [json.loads(b64decode(json.loads(data)["body"])) for data in broker.lrange("hooks", 0, -1)]  # type: ignore[union-attr]
    broker.delete("hooks")
    assert [body[0] for body in bodies if body[0] == [webhook_id]] == [[webhook_id]]
    route = current_app.amqp.router.route({}, "fleet.webhooks_sweep")
    assert route["queue"].name == "hooks"
