"""The clock of background work: Celery's own scheduler, which a wall clock that is set back must not silence.

Celery keeps when each entry ran last, also over restarts, and waits until the wall clock has passed that. After a clock
that was an hour ahead is set right nothing would be asked for within the next hour: no lease would lapse, no silent
training run would be taken up. Named by CELERY_BEAT_SCHEDULER, so by `celery beat` and `celery worker -B` alike.
"""

from __future__ import annotations

import datetime
from typing import Any

from celery.beat import PersistentScheduler

SLACK = datetime.timedelta(seconds=1)


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery is untyped
    """Counts an entry that ran last in the future as one that ran just now."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ask for what is due; return the seconds until the next look."""
        self._forget_the_future()
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _forget_the_future(self) -> None:
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at > entry.default_now() + SLACK]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            self._heap = None  # made anew by super().tick: the present one is ordered by times that will not come
