"""`python -m sop_web.healthcheck web PATH | worker | beat`: exit status 0 if this container's process does its work.

For docker-compose.yml, from inside the container. The learner has none: its solo worker answers nothing while it
trains, and a round whose holder is silent is given to another by `fleet.reap`.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from sop_web.env import read_environment

TIMEOUT_S = 5.0
BEAT_STALE_S = 600.0  # beat writes its schedule every 180 s


def web(path: str, *, port: int) -> str:
    """Return what is wrong with the server on this port, "" if nothing; asks as the proxy in front does."""
    host = urlsplit(read_environment().public_url).hostname or "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": "https"})
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
    return __doc__ or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
