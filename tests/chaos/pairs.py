"""Two faults at once, of those that meet in a lab: one strikes while the other lasts. See also disks.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.chaos.breaking import cut, during, frozen_service, kill, lost_redis, restart, restart_service
from tests.chaos.catalogue import BUCKET, fault
from tests.chaos.faults import in_a_round
from tests.chaos.site import ROBOTS, Site

_ROBOT_LINKS = tuple(f"{name}-web" for name in ROBOTS)


@contextlib.contextmanager
def _killed_learner(site: Site) -> Iterator[None]:
    """In the middle of a round; its supervisor starts it a second later, when PostgreSQL may be away."""
    in_a_round(site)
    site.kill(site.holder())
    yield


fault("redis-lost+robot-kill", "Redis: kill -9, all state lost; one robot meanwhile: kill -9")(
    during(lost_redis, kill(ROBOTS[0]))
)
fault("learner-kill+postgres-restart", "learner: kill -9 in a round; PostgreSQL at once: restart")(
    during(_killed_learner, restart_service("postgres"))
)
fault("bucket-freeze+web-kill", "S3 server: SIGSTOP, SIGCONT; web process meanwhile: kill -9", layout=BUCKET)(
    during(frozen_service("store"), kill("web"))
)
fault("cut-robots-web+web-restart", "network all robots - web: nothing passes; web process meanwhile: restart")(
    during(cut(*_ROBOT_LINKS), restart("web"))
)
