"""The row of a running export: a thread beside the work writes progress and reads whether to stop.

The work itself asks a flag in memory, so it never waits for the database, and an upload of minutes still shows life.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from fleet.errors import ExportFenced
from fleet.exports.base import Progress
from fleet.models import Export

logger = logging.getLogger(__name__)

BEAT_S = 1.0
RATE_S = 20.0  # over which rates are taken


class ExportWatch:
    """Use as a context manager around the work; `note` and `is_cancelled` are its `Control`."""

    def __init__(self, export_id: uuid.UUID, epoch: int) -> None:
        self._rows = Export.objects.filter(id=export_id, epoch=epoch, state=Export.State.RUNNING)
        self._progress: Progress | None = None
        self._seen: deque[tuple[float, int, int]] = deque()
        self._is_over = threading.Event()
        self._is_fenced = False
        self.was_cancelled = False
        self._alive_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="export-watch", daemon=True)

    def __enter__(self) -> ExportWatch:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def note(self, progress: Progress) -> None:
        self._progress = progress

    def is_cancelled(self) -> bool:
        """Raises: ExportFenced when another worker has the export, or may have it by now."""
        if self._is_fenced:
            raise ExportFenced("another worker has this export")
        return self.was_cancelled

    def _run(self) -> None:
        try:
            while not self._is_over.wait(BEAT_S):
                self._beat()
        finally:
            connection.close()

    def _beat(self) -> None:
        try:
            self._write()
            self._alive_s = time.monotonic()
        except DatabaseError:
            # Going on is right for as long as nobody else takes the export for dead.
            logger.warning("an export's progress was not written", exc_info=True)
            connection.close()
            if time.monotonic() - self._alive_s > settings.SOP_RUN_STALE_S:
                self._is_fenced = True

    def _write(self) -> None:
        values: dict[str, object] = {"heartbeat_at": timezone.now()}
        now = self._progress
        if now is not None:
            frames_per_s, bytes_per_s = self._rates(now)
            values |= {
                "frames": now.frames,
                "frames_total": now.frames_total,
                "bytes_read": now.bytes_read,
                "bytes_total": now.bytes_total,
                "file": now.file,
                "frames_per_s": frames_per_s,
                "bytes_per_s": bytes_per_s,
            }
        if not self._rows.update(**values):
            self._is_fenced = True
        elif self._rows.filter(cancel_requested_at__isnull=False).exists():
            self.was_cancelled = True

    def _rates(self, now: Progress) -> tuple[float, float]:
        """Return frames and bytes a second over the last RATE_S."""
        at = time.monotonic()
        self._seen.append((at, now.frames, now.bytes_read))
        while at - self._seen[0][0] > RATE_S:
            self._seen.popleft()
        since, frames, bytes_read = self._seen[0]
        seconds = at - since
        if seconds <= 0:
            return 0.0, 0.0
        return (now.frames - frames) / seconds, (now.bytes_read - bytes_read) / seconds
