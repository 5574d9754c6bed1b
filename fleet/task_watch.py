"""What Celery's signals tell: counts and times of tasks, the request that asked for one, and which workers live.

Connected in `apps.py`. A message carries when it was due and the id of the request that caused it, so that a task's
log lines name that request, and the queue's age can be read off its oldest message (selectors/system.py).
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import Any

from celery import signals

from fleet import live, telemetry
from fleet.acting import request_id_or_empty, request_named
from fleet.log_context import bound
from fleet.protocol import tracing
from fleet.queue import SUBJECTS

logger = logging.getLogger(__name__)

DUE_HEADER = "sop_due_s"  # Unix seconds
REQUEST_HEADER = "sop_request_id"
PARENT_HEADER, LINK_HEADER = "sop_traceparent", "sop_tracelink"
BEAT_S = 5.0
SCHEDULER = "beat"
_running = threading.local()


def connect() -> None:
    """Listen to this process's Celery; in web processes only publishing happens."""
    for signal, receiver in (
        (signals.before_task_publish, _publish),
        (signals.task_prerun, _begin),
        (signals.task_postrun, _end),
        (signals.worker_ready, _worker_ready),
        (signals.beat_init, _scheduler_ready),
        (signals.worker_init, _trace),
        (signals.worker_process_shutdown, _untrace),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"fleet.task_watch.{receiver.__name__}")


def _publish(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        headers.setdefault(DUE_HEADER, _due_s(headers))
        headers.setdefault(REQUEST_HEADER, request_id_or_empty())
        # A task is a part of the request that asked for it. One that a task asks for is linked: a training run would be
        # one trace for as long as it runs.
        headers.setdefault(LINK_HEADER if _is_in_task() else PARENT_HEADER, tracing.current())


def _due_s(headers: dict[str, Any]) -> float:
    """With a countdown a task is due later than it is sent."""
    from datetime import datetime

    eta = headers.get("eta")
    return datetime.fromisoformat(eta).timestamp() if isinstance(eta, str) else time.time()


def _begin(task_id: str = "", task: Any = None, args: tuple[Any, ...] = (), **_: Any) -> None:
    context = ExitStack()
    request = task.request
    asked_by = str(getattr(request, REQUEST_HEADER, None) or "")[:64]
    if asked_by:
        context.enter_context(request_named(asked_by))
    subject = SUBJECTS.get(task.name)
    about = {subject: str(args[0])[:64]} if subject and args else {}
    context.enter_context(bound(task=task.name, task_id=task_id, **about))
    parent, link = (str(getattr(request, name, None) or "") for name in (PARENT_HEADER, LINK_HEADER))
    links = (link,) if link else ()
    traced = tracing.span(f"task {task.name}", parent=parent, links=links, kind="CONSUMER", attributes=about)
    _running.work = context.enter_context(traced)
    _running.began, _running.context = time.monotonic(), context
    due_s = getattr(request, DUE_HEADER, None)
    if isinstance(due_s, int | float):
        telemetry.TASK_WAIT_SECONDS.labels(task.name).observe(max(0.0, time.time() - due_s))


def _end(task: Any = None, state: str | None = None, **_: Any) -> None:
    began = getattr(_running, "began", None)
    if began is None:
        return
    took_s = time.monotonic() - began
    telemetry.TASKS.labels(task.name, (state or "unknown").lower()).inc()
    telemetry.TASK_SECONDS.labels(task.name).observe(took_s)
    if state not in (None, "SUCCESS"):
        _running.work.fail(str(state))
    _running.began = None
    _running.context.close()


def _is_in_task() -> bool:
    return getattr(_running, "began", None) is not None


def _trace(**_: Any) -> None:
    """Before a pool forks: the exporter's queue and thread are made anew in each child."""
    tracing.start("sop-worker")


def _untrace(**_: Any) -> None:
    tracing.finish()


def _worker_ready(sender: Any = None, **_: Any) -> None:
    queues = [queue.name for queue in sender.task_consumer.queues]
    _beat(str(sender.hostname), queues)


def _scheduler_ready(sender: Any = None, **_: Any) -> None:
    _beat(f"{SCHEDULER}@{live.hostname()}", [SCHEDULER])


def _beat(name: str, queues: list[str]) -> None:
    """Say every BEAT_S that this worker lives, from a thread: a solo worker is busy for the whole of a task."""

    def run() -> None:
        while True:
            try:
                live.worker_seen(name, queues)
            except Exception:  # Redis is away: the next beat comes
                logger.warning("worker not noted", extra={"event": {"worker": name}})
            time.sleep(BEAT_S)

    threading.Thread(target=run, name="worker-beat", daemon=True).start()
