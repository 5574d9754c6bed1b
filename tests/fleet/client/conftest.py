"""A real server with recorded episodes, a token that may do everything, a client, the command, and a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet.client import Client

if TYPE_CHECKING:
    from fleet.models import Episode
    from fleet.storage.local import LocalStore


@pytest.fixture
def episodes(server: str, objects: LocalStore) -> list[Episode]:
    from tests.fleet.services.export_rows import recorded

    return recorded(3)


@pytest.fixture
def token(server: str) -> str:
    from fleet.permissions import Role
    from fleet.scopes import Scope
    from fleet.services.api_token import api_token_create
    from fleet.services.person import person_roles_set
    from tests.fleet.services.export_rows import user

    person_roles_set(user=user(), roles=list(Role))
    return api_token_create(user=user(), name="script", scopes=list(Scope), valid_s=600).secret


@pytest.fixture
def sop(server: str, token: str) -> Iterator[Client]:
    with Client(f"http://{server}", token=token, timeout_s=20) as found:
        yield found


@pytest.fixture
def command(server: str, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Signed in, in a home of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SOP_URL", raising=False)
    monkeypatch.delenv("SOP_TOKEN", raising=False)
    from fleet.client.cli import main

    assert main(["login", f"http://{server}/", "--token", token]) == 0


@pytest.fixture
def worker() -> Iterator[None]:
    """A worker of exports and imports, in a thread."""
    from django.db import connection

    from fleet.models import DatasetImport, Export
    from fleet.services.dataset_import_work import dataset_import_work
    from fleet.services.export_run import export_run

    is_over = threading.Event()

    def run() -> None:
        try:
            while not is_over.wait(0.05):
                for row in Export.objects.filter(state="queued"):
                    export_run(export_id=str(row.id), epoch=row.epoch)
                for asked in DatasetImport.objects.filter(state__in=DatasetImport.ACTIVE):
                    dataset_import_work(import_id=str(asked.id), epoch=asked.epoch)
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="worker")
    thread.start()
    yield
    is_over.set()
    thread.join(30)
