"""Exports where the object store is a bucket: episodes read from it, files put into it, downloads out of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fleet.models import Export
from fleet.selectors.export_files import export_tar_bytes
from fleet.selectors.objects import object_store
from fleet.services.export import export_delete, export_request
from fleet.services.export_reap import export_clean
from fleet.storage import open_store
from tests.fleet.services.export_rows import asked, recorded, user, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def bucket(s3_url: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SOP_OBJECT_STORE_URL = s3_url
    settings.SOP_EXPORT_WORK_DIR = tmp_path / "exports"
    monkeypatch.setattr("fleet.queue._enqueue", lambda *_, **__: None)


def unpacked(stream: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_made_in_the_bucket_and_streamed_out_of_it(tmp_path: Path) -> None:
    row = work(export_request(user=user(), asked=asked(recorded(2), format="lerobot-v3.0")))
    assert row.state == "done", row.error_message
    stream = b"".join(export_tar_bytes(export=row, start=0, end=row.tar_bytes or 0))
    assert len(stream) == row.tar_bytes
    store = object_store()
    stored = {key.removeprefix(f"exports/{row.id}/"): store.get(key) for key in store.list(f"exports/{row.id}/")}
    assert unpacked(stream) == {f"{row.folder}/{name}": data for name, data in stored.items()}
    assert b"".join(export_tar_bytes(export=row, start=700, end=30_000)) == stream[700:30_000]
    assert not (tmp_path / "exports" / str(row.id)).exists()
    export_delete(export_id=row.id)
    export_clean(export_id=str(row.id))
    assert (list(store.list("exports/")), Export.objects.count()) == ([], 0)


def test_a_destination_gets_it_and_keeps_it(s3_url: str, settings: Any) -> None:
    """In a bucket of the people's own it is under its folder's name, does not expire, and outlives its row."""
    url = s3_url.replace("/deep", "/theirs")
    settings.SOP_EXPORT_DESTINATIONS = {"lab": url}
    row = work(export_request(user=user(), asked=asked(recorded(1), destination="lab")))
    assert (row.state, row.expires_at) == ("done", None)
    theirs = open_store(url)
    assert list(theirs.list()) == sorted(
        f"{row.folder}/{name}" for name in row.made_files.values_list("name", flat=True)
    )
    export_delete(export_id=row.id)
    export_clean(export_id=str(row.id))
    assert Export.objects.count() == 0
    assert theirs.digest(f"{row.folder}/SHA256SUMS")[1] == row.sha256


def test_a_destination_that_is_not_configured_any_more_fails_it(settings: Any) -> None:
    settings.SOP_EXPORT_DESTINATIONS = {"lab": "s3://lab-bucket/x"}
    row = export_request(user=user(), asked=asked(recorded(1), destination="lab"))
    settings.SOP_EXPORT_DESTINATIONS = {}
    row = work(row)
    assert (row.state, row.error_code) == ("failed", "configuration_invalid")
