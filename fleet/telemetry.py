"""The server's and the workers' own Prometheus metrics: what processes count as they work. docs/observability.md
explains each.

Written at the edges (middleware, consumers, Celery's signals), never read by the system itself. With SOP_METRICS_DIR
every process writes files there and `python -m sop_web.exporter` adds them up; without it they stay in the process.
Labels take few values by construction (route templates, task names, codes of our errors): no id is ever one, which
tests/architecture/test_metrics.py holds. What rows and Redis know already is read at each scrape instead:
selectors/system.py. Knows no Django.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TASK_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"

REQUESTS = Counter("sop_http_requests", "HTTP requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "sop_http_request_seconds",
    "Time from a request's arrival in Django to the beginning of its answer.",
    ["method", "route"],
    buckets=REQUEST_BUCKETS_S,
)
RESPONSE_BYTES = Counter("sop_http_response_bytes", "Bytes of answers whose length was stated (egress).", ["route"])
SOCKETS = Gauge("sop_sockets", "Open websockets.", ["kind"], multiprocess_mode="livesum")
SOCKET_CLOSES = Counter("sop_socket_closes", "Websockets that ended, by close code.", ["kind", "code"])
EPISODES = Counter("sop_episodes_registered", "Episodes that robots delivered and the server registered.")
EPISODE_BYTES = Counter("sop_episode_bytes_registered", "Bytes of the objects of registered episodes (uploads).")
UPLOADS_REFUSED = Counter("sop_uploads_refused", "Uploads and episodes that were refused to a robot.", ["code"])
TASKS = Counter("sop_tasks", "Celery tasks that ended.", ["task", "state"])
TASK_SECONDS = Histogram("sop_task_seconds", "How long Celery tasks ran.", ["task"], buckets=TASK_BUCKETS_S)
TASK_WAIT_SECONDS = Histogram(
    "sop_task_wait_seconds",
    "From a task's being due to its start, by the clocks of both machines.",
    ["task"],
    buckets=TASK_BUCKETS_S,
)

# Close codes that our consumers use, and those of the websocket protocol itself; a peer may send any other.
_CLOSES = frozenset((1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 4400, 4401, 4408, 4409, 4429))


def request_answered(*, method: str, route: str, status: int, took_s: float, size: int | None) -> None:
    """Count an answer. `route`: a template or one of few words; `size`: stated bytes of the body, None if unknown."""
    known = method if method in METHODS else OTHER
    REQUESTS.labels(known, route, str(status)).inc()
    REQUEST_SECONDS.labels(known, route).observe(took_s)
    if size:
        RESPONSE_BYTES.labels(route).inc(size)


def socket_opened(kind: str) -> None:
    """`kind`: robot or console."""
    SOCKETS.labels(kind).inc()


def socket_closed(kind: str, code: int) -> None:
    SOCKETS.labels(kind).dec()
    SOCKET_CLOSES.labels(kind, str(code) if code in _CLOSES else OTHER).inc()


def episode_registered(size: int) -> None:
    """`size`: bytes of its objects."""
    EPISODES.inc()
    EPISODE_BYTES.inc(size)


def upload_refused(code: str) -> None:
    """`code`: of one of our errors."""
    UPLOADS_REFUSED.labels(code).inc()
