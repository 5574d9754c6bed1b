"""PostgreSQL and Redis from pip's packages, for a machine where neither is set up. Used by the demo and the tests.

`DATABASE_URL` and `REDIS_URL` point the project at real servers instead; production always sets them. Nothing here
imports Django: the URLs must be in the environment before the settings are read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sop_web.embedded.postgres import PostgresPlan, run_postgres
from sop_web.embedded.redis import RedisPlan, run_redis
from sop_web.embedded.system import folder_lock, free_port, kept_secret

__all__ = ["Services", "ServicesPlan", "plan_services", "start_services"]


@dataclass(frozen=True)
class Services:
    """Where the running servers are."""

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class ServicesPlan:
    """Ports and passwords chosen before anything runs, so that tests can export the URLs and start later."""

    folder: Path
    postgres: PostgresPlan
    redis: RedisPlan

    @property
    def services(self) -> Services:
        return Services(database_url=self.postgres.url(), redis_url=self.redis.url)


def plan_services(data_dir: Path, *, is_durable: bool = True) -> ServicesPlan:
    """Choose free ports, and passwords that are kept in `data_dir` (mode 0600) for the next start."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    database_password = kept_secret(data_dir / "postgres.secret")
    redis_password = kept_secret(data_dir / "redis.secret")
    return ServicesPlan(
        folder=data_dir,
        postgres=PostgresPlan(data_dir / "postgres", free_port(), database_password, is_durable),
        redis=RedisPlan(data_dir / "redis", free_port(), redis_password, is_durable),
    )


@contextlib.contextmanager
def start_services(data_dir: Path, plan: ServicesPlan | None = None) -> Iterator[Services]:
    """Run PostgreSQL and Redis with their data under `data_dir` for the block; both have ended when it returns.

    Raises: EmbeddedError (DataFolderLocked when another demo holds the folder).
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder_lock(data_dir))
        chosen = plan or plan_services(data_dir)
        database_url = stack.enter_context(run_postgres(chosen.postgres))
        redis_url = stack.enter_context(run_redis(chosen.redis))
        yield Services(database_url=database_url, redis_url=redis_url)
