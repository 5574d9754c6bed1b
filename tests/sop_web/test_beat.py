"""The clock of background work asks on after the wall clock was set back."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from sop_web.beat import Scheduler

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was handed to the broker."""
    asked: list[str] = []
    monkeypatch.setattr(Scheduler, "apply_entry", lambda self, entry, producer=None: asked.append(entry.name))
    monkeypatch.setattr(Scheduler, "producer", None)
    return asked


@pytest.fixture
def scheduler(tmp_path: Path, sent: list[str]) -> Any:
    app = Celery("beat-test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        "often": {"task": "often", "schedule": 0.01},
        "seldom": {"task": "seldom", "schedule": 0.02},
    }
    return Scheduler(app=app, schedule_filename=str(tmp_path / "schedule"))


def _run(scheduler: Any, sent: list[str], *, until: set[str]) -> None:
    """Tick as beat does, but for seconds at most."""
    deadline = time.monotonic() + 20
    while not until <= set(sent):
        assert time.monotonic() < deadline, f"only {set(sent)} were asked for"
        time.sleep(min(max(scheduler.tick(), 0.0), 0.01))


def test_a_clock_that_is_set_back_silences_nothing(scheduler: Any, sent: list[str]) -> None:
    """Every entry that ran by a clock an hour ahead runs again at once, not in an hour."""
    _run(scheduler, sent, until={"often", "seldom"})
    for entry in scheduler.schedule.values():
        entry.last_run_at += HOUR
    scheduler._heap = None
    sent.clear()
    _run(scheduler, sent, until={"often", "seldom"})


def test_settings_name_it() -> None:
    """Both `celery beat` and a worker with -B take it from here."""
    from sop_web.celery import app

    assert app.conf.beat_scheduler == "sop_web.beat:Scheduler"
