"""Imports over HTTP: from the PUT to the tag in the library, with every refusal as problem details."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client

from fleet.models import DatasetImport, Episode
from fleet.permissions import Role
from fleet.services import dataset_import_work as work
from fleet.services.person import person_roles_set
from tests.fleet.api.etags import revision_in
from tests.fleet.imports.made import export, record

JSON = "application/json"
BASE = "/api/v1/imports"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A zip of an export of two episodes, v3.0."""
    folder = tmp_path_factory.mktemp("made")
    root = export("lerobot-v3.0", record(folder / "recorded", count=2), folder / "set")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(root.parent))
    return out.getvalue()


@pytest.fixture(autouse=True)
def scratch(settings: Any, tmp_path: Path) -> None:
    settings.SOP_IMPORT_SCRATCH_DIR = tmp_path / "scratch"


@pytest.fixture
def manager(db: None, client: Client, django_user_model: Any) -> Client:
    user = django_user_model.objects.create_user("mia", password="x")
    person_roles_set(user=user, roles=(Role.MANAGER,))
    client.force_login(user)
    return client


def put(server: str, upload: dict[str, Any], data: bytes) -> int:
    return httpx.put(f"http://{server}{upload['url']}", headers=upload["headers"], content=data, timeout=30).status_code


def wish(data: bytes) -> dict[str, Any]:
    return {"name": "squares", "archive": {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}


def go(import_id: str) -> None:
    """What the worker does."""
    row = DatasetImport.objects.get(id=import_id)
    work.dataset_import_work(import_id=import_id, epoch=row.epoch)


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_archive_becomes_tagged_episodes(server: str, manager: Client, archive: bytes) -> None:
    """Create, PUT, dry run, mapping over its ETag, run; the library finds the episodes by the import's tag."""
    made = manager.post(BASE, wish(archive), JSON)
    assert made.status_code == 201
    import_id, upload = made.json()["id"], made.json()["upload"]
    refused(manager.post(f"{BASE}/{import_id}/check"), 409, "upload_missing")
    assert put(server, upload, archive[:-1] + b"x") in (400, 422)
    assert put(server, upload, archive) == 201

    assert manager.post(f"{BASE}/{import_id}/check").json()["state"] == "checking"
    go(import_id)

    detail = manager.get(f"{BASE}/{import_id}").json()
    assert (detail["state"], detail["report"]["episodes"], detail["report"]["problems"]) == ("checked", 2, [])
    mapped = manager.get(f"{BASE}/{import_id}/mapping")
    assert (revision_in(mapped), mapped.json()["misfits"]) == ('"1"', [])
    mapping = mapped.json()["mapping"]
    renamed = {**mapping, "tasks": dict.fromkeys(mapping["tasks"], "squares")}
    refused(manager.put(f"{BASE}/{import_id}/mapping", renamed, JSON), 428, "precondition_required")
    refused(
        manager.put(f"{BASE}/{import_id}/mapping", renamed, JSON, headers={"If-Match": '"7"'}),
        412,
        "precondition_failed",
    )
    answer = manager.put(f"{BASE}/{import_id}/mapping", renamed, JSON, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')

    refused(manager.post(f"{BASE}/{import_id}/run", {"revision": 1}, JSON), 412, "precondition_failed")
    assert manager.post(f"{BASE}/{import_id}/run", {"revision": 2}, JSON).status_code == 202
    go(import_id)

    done = manager.get(f"{BASE}/{import_id}").json()
    assert (done["state"], done["registered"], done["requested_by_name"]) == ("done", 2, "mia")
    found = manager.get("/api/v1/episodes", {"tag": done["tag"]}).json()["results"]
    assert {episode["id"] for episode in found} == {str(pk) for pk in Episode.objects.values_list("id", flat=True)}
    assert manager.get(BASE).json()["results"][0]["id"] == import_id
    refused(manager.post(f"{BASE}/{import_id}/run", {}, JSON), 409, "import_not_now")
    refused(manager.post(f"{BASE}/{import_id}/cancel"), 409, "import_not_now")


def test_a_folder_below_a_root_is_checked(
    manager: Client, archive: bytes, objects: object, settings: Any, tmp_path: Path
) -> None:
    """A mapping that does not fit is told field by field, live and at the PUT, and changes nothing."""
    settings.SOP_IMPORTS = replace(settings.SOP_IMPORTS, roots=(tmp_path,))
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    assert manager.get(f"{BASE}/options").json()["roots"] == [str(tmp_path)]
    refused(manager.post(BASE, {"name": "x", "folder": "/etc"}, JSON), 422, "folder_refused")
    made = manager.post(BASE, {"name": "x", "folder": str(tmp_path / "set")}, JSON).json()
    assert made["upload"] is None
    refused(manager.get(f"{BASE}/{made['id']}/mapping"), 409, "import_not_now")
    manager.post(f"{BASE}/{made['id']}/check")
    go(made["id"])
    mapping = manager.get(f"{BASE}/{made['id']}/mapping").json()["mapping"]
    bad = {**mapping, "action": "none", "is_own": False, "reward": "action"}
    told = manager.post(f"{BASE}/{made['id']}/mapping/check", bad, JSON).json()["misfits"]
    assert [misfit["field"] for misfit in told] == ["action", "reward"]
    answer = manager.put(f"{BASE}/{made['id']}/mapping", bad, JSON, headers={"If-Match": '"1"'})
    refused(answer, 422, "mapping_invalid")
    assert answer.json()["field"] == "action"
    assert manager.get(f"{BASE}/{made['id']}/mapping").json() == {"revision": 1, "mapping": mapping, "misfits": []}
    cancelled = manager.post(f"{BASE}/{made['id']}/cancel").json()
    assert cancelled["state"] == "cancelled"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "x", "archive": {"size": 1}},
        {"name": "x", "archive": {"size": 0, "sha256": "a" * 64}},
        {"name": "x", "archive": {"size": 2**60, "sha256": "a" * 64}},
        {"name": "x", "archive": {"size": 1, "sha256": "z" * 64}},
        {"name": "x", "archive": {"size": 1, "sha256": "a" * 64}, "folder": "/data"},
        {"name": "a\x00b", "archive": {"size": 1, "sha256": "a" * 64}},
        {"name": "x", "folder": "../etc"},
    ],
)
def test_bad_wishes_are_refused_and_change_nothing(manager: Client, objects: object, body: dict[str, Any]) -> None:
    answer = manager.post(BASE, body, JSON)
    assert answer.status_code in (400, 422), answer.content
    assert DatasetImport.objects.count() == 0


def test_bad_mappings_are_refused(manager: Client, objects: object) -> None:
    row = DatasetImport.objects.create(name="x", archive_bytes=1, archive_sha256="a" * 64)
    for body in ([], "x", {"state": "a"}, {"state": ["a"], "action": "b", "cameras": {}, "tasks": {}, "more": 1}):
        answer = manager.put(f"{BASE}/{row.id}/mapping", json.dumps(body), JSON, headers={"If-Match": '"0"'})
        refused(answer, 422, "invalid_request")
    answer = manager.put(f"{BASE}/{row.id}/mapping", "{}", JSON, headers={"If-Match": "W/x"})
    refused(answer, 422, "invalid_request")


@pytest.mark.django_db
def test_who_may_not_import_only_sees(client: Client, django_user_model: Any, objects: object) -> None:
    user = django_user_model.objects.create_user("vic", password="x")
    person_roles_set(user=user, roles=(Role.VIEWER,))
    client.force_login(user)
    row = DatasetImport.objects.create(name="x", archive_bytes=1, archive_sha256="a" * 64)
    assert client.get(f"{BASE}/{row.id}").status_code == 200
    refused(client.post(BASE, {"name": "x"}, JSON), 403, "permission_denied")
    refused(client.post(f"{BASE}/{row.id}/cancel"), 403, "permission_denied")
    refused(client.get(f"{BASE}/{uuid.uuid4()}"), 404, "not_found")
