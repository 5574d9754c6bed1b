"""Background work: what breaks one part of it does not stop the others."""

from __future__ import annotations

import pytest

from fleet import tasks


def test_a_sweep_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def broken() -> None:
        raise RuntimeError("one bad row")

    monkeypatch.setattr(tasks, "_SWEEPS", (lambda: done.append("before"), broken, lambda: done.append("after")))
    tasks.reap()
    assert done == ["before", "after"]
    assert "one bad row" in caplog.text
