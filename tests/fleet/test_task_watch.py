"""Celery's signals: a real worker counts its tasks, says that it lives, and logs under the request that asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from django.db import connection

from fleet import live
from fleet.acting import request_named
from fleet.queue import enqueue_webhook_drain
from sop_web.exporter import Files

ROOT = Path(__file__).resolve().parents[2]


def _values(folder: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the sorted values of the labels, whose order is the exporter's matter."""
    return {(s.name, tuple(sorted(s.labels.values()))): s.value for m in Files(folder).collect() for s in m.samples}


@pytest.mark.django_db(transaction=True)
def test_a_forked_worker_counts_its_tasks_and_logs_the_request(tmp_path: Path) -> None:
    webhook_id = str(uuid.uuid4())
    live.connection().delete("hooks", "sop:workers")
    with request_named("asked-by-this-request"):
        enqueue_webhook_drain(webhook_id=webhook_id)
    command = [sys.executable, "-m", "celery", "-A", "sop_web.celery", "worker", "-Q", "hooks", "-c", "1",
               "--hostname", "watched@%h", "--loglevel", "INFO"]  # fmt: skip
    environment = {
        **os.environ,
        "DATABASE_URL": f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{connection.settings_dict['NAME']}",
        "SOP_METRICS_DIR": str(tmp_path / "metrics"),
        "SOP_LOG_FORMAT": "json",
        "PYTHONWARNINGS": "ignore",
    }
    key = ("sop_tasks_total", ("fleet.webhook_drain", "success"))
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while key not in _values(tmp_path / "metrics"):
            assert worker.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        seen = live.workers_get()
    finally:
        worker.terminate()
        worker.wait(30)
    values = _values(tmp_path / "metrics")
    assert values[key] == 1
    assert values["sop_task_seconds_count", ("fleet.webhook_drain",)] == 1
    assert values["sop_task_wait_seconds_count", ("fleet.webhook_drain",)] == 1
    assert [queues for name, (queues, _) in seen.items() if name.startswith("watched@")] == [["hooks"]]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    ours = [line for line in lines if line.get("request") == "asked-by-this-request"]
    assert ours and {line["task"] for line in ours} == {"fleet.webhook_drain"}
    assert {line["webhook"] for line in ours} == {webhook_id} and all(line["task_id"] for line in ours)
