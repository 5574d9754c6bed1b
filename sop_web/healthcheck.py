"""`python -m sop_web.healthcheck web PATH | worker | beat | exporter`: exit status 0 if this container's process works.

For docker-compose.yml, from inside the container. The learner has none: its solo worker answers nothing while it
trains, and a round whose holder is silent is given to another by `fleet.reap`.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from sop_web.env import read_environment

TIMEOUT_S = 5.0
BEAT_STALE_S = 600.0  # beat writes its schedule every 180 s


def web(path: str, *, port: int) -> str:
    """Return what is wrong with the server on this port, "" if nothing; asks as the proxy in front does."""
    host = urlsplit(read_environment().public_url).hostname or "127.0.0.1"
    return _asked(path, port, {"Host": host, "X-Forwarded-Proto": "https"}, timeout_s=TIMEOUT_S)


def exporter() -> str:
    """Return what is wrong with the exporter; the question is a scrape, which waits for parts that do not answer."""
    environment = read_environment()
    allowed = {"Authorization": f"Bearer {environment.metrics_token}"} if environment.metrics_token else {}
    timeout_s = TIMEOUT_S + environment.ready_timeout_s
    return _asked("/metrics", environment.metrics_port, allowed, timeout_s=timeout_s)


def _asked(path: str, port: int, headers: Mapping[str, str], *, timeout_s: float) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers=dict(headers))
        status = connection.getresponse().status
    except OSError as error:
        return f"no answer on port {port}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"{path} answers {status}"


def worker() -> str:
    """Return what is wrong with this container's Celery worker."""
    from sop_web.celery import app  # here: the other two checks need no Celery

    name = f"celery@{socket.gethostname()}"
    answers = app.control.ping(destination=[name], timeout=TIMEOUT_S)
    return "" if answers else f"{name} does not answer"


def beat() -> str:
    """Return what is wrong with beat, which keeps its schedule in a file."""
    files = list(read_environment().data_dir.glob("celerybeat-schedule*"))
    age_s = min((time.time() - file.stat().st_mtime for file in files), default=float("inf"))
    return "" if age_s < BEAT_STALE_S else f"beat wrote its schedule {age_s:.0f} s ago"


def main(arguments: Sequence[str]) -> str:
    match arguments:
        case ["web", path]:
            return web(path, port=int(os.environ.get("SOP_WEB_PORT", "8000")))
        case ["worker"]:
            return worker()
        case ["beat"]:
            return beat()
        case ["exporter"]:
            return exporter()
    return __doc__ or ""


if __name__ == "__main__":
    os.environ.pop("SOP_METRICS_DIR", None)  # one process a minute, which must leave no file of metrics
    sys.exit(main(sys.argv[1:]) or 0)
