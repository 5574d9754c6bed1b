"""Gives every test run its own PostgreSQL, Redis and object folder, unless DATABASE_URL and REDIS_URL are set.

Ports and passwords are chosen when this file is imported, so the URLs stand in the environment before Django reads its
settings (that is why pyproject.toml does not name DJANGO_SETTINGS_MODULE: pytest-django would read them earlier). The
servers start only once the collected tests need them, so `pytest tests/learner` does not pay for them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import django
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # bare `pytest` does not add it; children inherit it below

from sop_web.embedded import ServicesPlan, plan_services, start_services  # noqa: E402

# Folders whose tests need no server unless they ask for the database or `services`.
_WITHOUT_SERVICES = tuple(
    ROOT / "tests" / name
    for name in (
        "architecture",
        "chaos",  # its sites have servers of their own
        "deploy",
        "learner",
        "fleet/daemon",
        "fleet/exports",
        "fleet/protocol",
        "sop_web/embedded",
    )
)
_FIXTURES_OF_SERVICES = frozenset({"db", "transactional_db", "live_server", "services", "django_db_setup"})

_folder = Path(tempfile.mkdtemp(prefix="sop-tests-"))
_folder.chmod(0o711)  # PostgreSQL's own OS user must get through to its data
_plan: ServicesPlan | None = None


def _export_environment() -> ServicesPlan | None:
    """Set what sop_web/env.py reads; return the servers to start, or None when both are configured."""
    if "-n" in sys.argv:  # pytest-xdist's controller runs no test; what it exports its workers would inherit
        return None
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.test")
    os.environ.setdefault("SOP_SECRET_KEY", "only-for-tests-" + "k" * 50)
    os.environ["SOP_DATA_DIR"] = str(_folder / "data")
    os.environ.setdefault("OBJECT_STORE_URL", f"file://{_folder / 'objects'}")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return None
    plan = plan_services(_folder / "services", is_durable=False)
    os.environ["DATABASE_URL"] = plan.services.database_url
    os.environ["REDIS_URL"] = plan.services.redis_url
    return plan


_plan = _export_environment()

# No property is about time: a busy machine must fail none of them.
hypothesis.settings.register_profile("sop", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("sop")


def pytest_configure() -> None:
    """Load the apps before test modules import models; pytest-django looked before this file named the settings."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        django.setup()


def _needs_services(item: pytest.Item) -> bool:
    fixtures = frozenset(getattr(item, "fixturenames", ()))
    if item.get_closest_marker("django_db") or fixtures & _FIXTURES_OF_SERVICES:
        return True
    return not any(item.path.is_relative_to(folder) for folder in _WITHOUT_SERVICES)


_running = contextlib.ExitStack()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers if any test that will run needs them."""
    if _plan and not session.config.option.collectonly and any(map(_needs_services, session.items)):
        _running.enter_context(start_services(_plan.folder, _plan))


def pytest_unconfigure() -> None:
    """Stop the servers and remove the run's folder."""
    _running.close()
    shutil.rmtree(_folder, ignore_errors=True)


@pytest.fixture(scope="session")
def services() -> Iterator[None]:
    """Ask for running PostgreSQL and Redis from a folder whose tests do not get them by themselves."""
    yield


@pytest.fixture(scope="session")
def make_open_folder() -> Callable[[str], Path]:
    """Make folders that other OS users may pass through, as PostgreSQL's does under root; pytest closes its own."""

    def make(name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_folder))
        folder.chmod(0o711)
        return folder

    return make
