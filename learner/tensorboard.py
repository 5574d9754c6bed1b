"""A run's numbers as a standard event file: `tensorboard --logdir FOLDER` shows them.

Written by `python -m learner train` to OUT/tensorboard and by Celery's rounds to SOP_DATA_DIR/tensorboard/<run>. Rows
in the database are the truth; a disk that cannot be written costs the picture, not the run.
Left out: images and histograms.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

logger = logging.getLogger(__name__)

_numbers = itertools.count()  # tells the files of one process apart, which may begin in the same second


def run_folder(base: Path, run_name: str) -> Path:
    """A folder of each run's own, whatever its name is made of."""
    return base / quote(run_name, safe=" ").replace(".", "%2E")


class Board:
    """One event file more in a folder. Every opening begins a file, so a run that resumes never rewrites its past.

    `first_step`: the first step that this process will write. TensorBoard forgets what an earlier file says of it and
    of later ones: a killed process may have been further than its last checkpoint.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._writer: EventsWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{next(_numbers)}")
            weakref.finalize(self, writer.close)
            self._writer = writer
        except OSError as error:
            self._give_up(error)
        self._put(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of a step."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._put(Event(step=step, summary=Summary(value=scalars)))

    def _put(self, event: Event) -> None:
        if self._writer is None:
            return
        event.wall_time = time.time()
        try:
            self._writer.write_event(event)
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        logger.warning("TensorBoard's file is not written any more", extra={"event": {"error": str(error)}})
        self._writer = None
