"""Exports over HTTP: asked for, followed, ended; downloaded in pieces with curl from a real server."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from fleet.models import Episode, Export, ExportFile
from fleet.permissions import Role
from fleet.services.export import export_request
from fleet.services.person import person_roles_set
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet.services.export_rows import asked, recorded, user, work

JSON = "application/json"
URL = "/api/v1/exports"


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed to the broker."""
    sent: list[tuple[Any, ...]] = []

    class Signature:
        def __init__(self, name: str, args: tuple[Any, ...]) -> None:
            self._call = (name, args)

        def apply_async(self, **options: Any) -> None:
            sent.append((*self._call, options))

    monkeypatch.setattr("fleet.queue.current_app.signature", Signature, raising=False)
    return sent


def sign_in(role: Role, name: str = "eve") -> Client:
    person_roles_set(user=user(name), roles=[role])
    browser = Client()
    browser.force_login(user(name))
    return browser


class TestAsking:
    pytestmark = pytest.mark.django_db

    @pytest.fixture
    def exporter(self, db: None) -> Client:
        return sign_in(Role.EXPORTER)

    @pytest.fixture
    def episodes(self, objects: LocalStore) -> list[Episode]:
        return recorded(2)

    def body(self, episodes: list[Episode], **changes: Any) -> dict[str, Any]:
        return {"ids": [str(episode.id) for episode in episodes], "format": "raw", **changes}

    def test_formats_name_their_options(self, exporter: Client) -> None:
        found = exporter.get(f"{URL}/formats").json()
        assert [each["name"] for each in found["formats"]] == ["lerobot-v3.0", "lerobot-v2.1", "robomimic-hdf5", "raw"]
        assert found["formats"][0]["options"][1] == {
            "name": "video_mb", "title": "Size of a video file", "unit": "MB", "default": 200, "least": 1, "most": 2048,
        }  # fmt: skip
        assert (found["destinations"], found["keep_days"]) == ([], 14)

    def test_an_export_is_queued_and_followed(
        self, exporter: Client, episodes: list[Episode], django_capture_on_commit_callbacks: Any, enqueued: list[Any]
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            answer = exporter.post(URL, self.body(episodes, name="two", options={}), JSON)
        assert answer.status_code == 202, answer.content
        made = answer.json()
        assert (made["state"], made["episodes"], made["frames_total"], made["eta_s"]) == ("queued", 2, 16, None)
        assert (made["source"]["name"], made["source"]["version"], made["error"]) == ("two", None, None)
        assert enqueued[-1][:2] == ("fleet.export_run", (made["id"], 1))
        Export.objects.update(state="running", frames=8, bytes_read=made["bytes_total"] // 2, bytes_per_s=100.0)
        seen = exporter.get(f"{URL}/{made['id']}").json()
        assert (seen["state"], seen["eta_s"]) == ("running", (seen["bytes_total"] - seen["bytes_read"]) / 100)
        assert exporter.post(f"{URL}/{made['id']}/cancel").json()["is_cancelling"]
        assert [row["id"] for row in exporter.get(f"{URL}?state=running").json()["results"]] == [made["id"]]
        assert exporter.get(f"{URL}?state=done").json()["results"] == []

    def test_a_check_names_every_problem_and_queues_nothing(self, exporter: Client, episodes: list[Episode]) -> None:
        mixed = [*episodes, *recorded(1, first=5, cameras=("wrist",))]
        answer = exporter.post(f"{URL}/check", self.body(mixed, format="lerobot-v3.0"), JSON)
        assert answer.status_code == 200
        found = answer.json()
        assert (found["episodes"], found["checked"], len(found["problems"])) == (3, 3, 1)
        refused = exporter.post(URL, self.body(mixed, format="lerobot-v3.0"), JSON)
        assert (refused.status_code, refused.json()["code"]) == (422, "export_refused")
        assert refused.json()["problems"] == found["problems"]
        assert not Export.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"format": "zip"}, 422, "unknown_format"),
            ({"options": {"episodes": 3}}, 422, "option_invalid"),
            ({"format": "lerobot-v3.0", "options": {"episodes": 10**6}}, 422, "option_invalid"),
            ({"format": "lerobot-v3.0", "options": {"episodes": "many"}}, 400, "invalid"),
            ({"destination": "s3://bucket/evil?endpoint=http://169.254.169.254"}, 422, "invalid_request"),
            ({"ids": []}, 400, "invalid"),
            ({"ids": [str(uuid.uuid4())]}, 422, "invalid_request"),
            ({"filter": {}}, 422, "invalid_request"),
            ({"filters": {}}, 400, "invalid"),
            ({"dataset_version": str(uuid.uuid4())}, 422, "invalid_request"),
            ({"ids": None, "filter": {"tag": ["none"]}}, 422, "export_empty"),
            ({"ids": None, "dataset_version": str(uuid.uuid4())}, 404, "not_found"),
            ({"ids": None}, 422, "invalid_request"),
        ],
    )
    def test_bad_questions_change_nothing(
        self, exporter: Client, episodes: list[Episode], changes: Any, status: int, code: str
    ) -> None:
        body = {name: value for name, value in self.body(episodes, **changes).items() if value is not None}
        answer = exporter.post(URL, body, JSON)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert not Export.objects.exists()

    def test_who_only_watches_may_neither_ask_nor_download(self, exporter: Client, episodes: list[Episode]) -> None:
        made = exporter.post(URL, self.body(episodes), JSON).json()
        viewer = sign_in(Role.VIEWER, "vic")
        assert viewer.get(f"{URL}/{made['id']}").status_code == 200
        calls = [viewer.post(URL, self.body(episodes), JSON), viewer.post(f"{URL}/{made['id']}/cancel")]
        calls += [viewer.delete(f"{URL}/{made['id']}"), viewer.get(f"{URL}/{made['id']}/download")]
        assert [answer.status_code for answer in calls] == [403] * 4
        assert Client().get(f"{URL}/{made['id']}").status_code == 401

    def test_states_are_kept(self, exporter: Client, episodes: list[Episode]) -> None:
        """Cancelled twice is cancelled; what waits cannot be deleted, retried or downloaded."""
        made = f"{URL}/{exporter.post(URL, self.body(episodes), JSON).json()['id']}"
        for answer in (exporter.delete(made), exporter.post(f"{made}/retry"), exporter.get(f"{made}/download")):
            assert (answer.status_code, answer.json()["code"]) == (409, "export_not_now")
        assert [exporter.post(f"{made}/cancel").json()["state"] for _ in range(2)] == ["cancelled"] * 2
        assert exporter.post(f"{made}/retry").json()["state"] == "queued"
        exporter.post(f"{made}/cancel")
        assert exporter.delete(made).status_code == 204
        assert exporter.get(made).status_code == exporter.delete(made).status_code == 404


@pytest.fixture
def row(objects: LocalStore, transactional_db: None) -> Export:
    """A finished export."""
    return work(export_request(user=user("eve"), asked=asked(recorded(2), name="two", format="lerobot-v2.1")))


@pytest.fixture
def http(server: str, row: Export) -> Iterator[httpx.Client]:
    """A signed-in script at a real server, at the export."""
    cookies = {name: morsel.value for name, morsel in sign_in(Role.EXPORTER).cookies.items()}
    with httpx.Client(base_url=f"http://{server}{URL}/{row.id}/", cookies=cookies, timeout=10) as opened:
        yield opened


@pytest.fixture
def expected(objects: LocalStore, row: Export) -> bytes:
    """The tar file that `tarfile` makes of the export's folder."""
    out, folder = io.BytesIO(), objects.folder(keys.export_folder(str(row.id)))
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in row.made_files.order_by("tar_offset").values_list("name", flat=True):
            info = tarfile.TarInfo(f"{row.folder}/{name}")
            info.size, info.mode, info.mtime = (folder / name).stat().st_size, 0o644, 315_532_800
            tar.addfile(info, io.BytesIO((folder / name).read_bytes()))
    return out.getvalue()


def test_the_download_is_a_tar_file_in_any_ranges(
    http: httpx.Client, row: Export, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.selectors.export_files._PAGE", 3)  # more than one page of files
    whole = http.get("download")
    assert (whole.status_code, whole.content) == (200, expected)
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{row.folder}.tar"'
    size, etag = len(expected), whole.headers["ETag"]
    head = http.head("download")
    assert (head.status_code, head.headers["Content-Length"], head.headers["ETag"]) == (200, str(size), etag)
    for start in (0, 1, 511, 512, 600, size // 2, size - 1):
        part = http.get("download", headers={"Range": f"bytes={start}-{start + 2000}", "If-Range": etag})
        assert (part.status_code, part.content) == (206, expected[start : start + 2001])
    assert http.get("download", headers={"Range": "bytes=-700"}).content == expected[-700:]
    other = http.get("download", headers={"Range": "bytes=5-9", "If-Range": '"another"'})
    assert (other.status_code, len(other.content)) == (200, size)
    beyond = http.get("download", headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_curl_goes_on_where_it_was(http: httpx.Client, row: Export, expected: bytes, tmp_path: Path) -> None:
    """A download that broke off three times, finished with `curl -C -`, unpacked by GNU tar, checked by sha256sum."""
    out, cookie = tmp_path / "x.tar", "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    command = ["curl", "-sS", "--fail", "-C", "-", "-b", cookie, "-o", str(out), f"{http.base_url}download"]
    for share in (0.2, 0.5, 0.9):
        out.write_bytes(expected[: int(len(expected) * share)])
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert out.read_bytes() == expected
    subprocess.run(["tar", "-xf", "x.tar"], cwd=tmp_path, check=True, timeout=30)
    check = ["sha256sum", "-c", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=tmp_path / row.folder, check=True, timeout=30)


def test_single_files_and_no_others(http: httpx.Client, row: Export, objects: LocalStore) -> None:
    listed = http.get("files?page_size=200").json()["results"]
    assert {each["name"]: each["sha256"] for each in listed} == dict(row.made_files.values_list("name", "sha256"))
    sums = http.get("files/SHA256SUMS")
    assert sums.headers["ETag"] == f'"{row.sha256}"'
    assert len(sums.text.splitlines()) == row.files - 1  # type: ignore[operator]
    video = next(each for each in listed if each["name"].endswith(".mp4"))
    part = http.get(f"files/{video['name']}", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content, part.headers["Content-Type"]) == (206, b"ftyp", "video/mp4")
    for name in ("none", "..%2F..%2Fepisodes", "meta/%2e%2e/SHA256SUMS", "%00"):
        assert http.get(f"files/{name}").status_code == 404


def test_what_expired_is_gone(http: httpx.Client, row: Export) -> None:
    """Also before the reaper has come by."""
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for path in ("download", "files", "files/SHA256SUMS"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (410, "export_expired")


def _connections() -> int:
    """This test's own counts as one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (count,) = cursor.fetchone()
    return int(count)


def test_a_slow_download_holds_no_database_connection(http: httpx.Client, row: Export, objects: LocalStore) -> None:
    """Given a first file too large for the buffers between, while nobody reads it nothing is kept from others."""
    size, first = 64 * 1024 * 1024, row.made_files.order_by("tar_offset")[0]
    with (objects.folder(keys.export_folder(str(row.id))) / first.name).open("r+b") as file:
        file.truncate(size)
    ExportFile.objects.filter(id=first.id).update(size=size)
    Export.objects.update(tar_bytes=2 * size)
    connection.close()
    with http.stream("GET", "download", headers={"Range": f"bytes=0-{size}"}) as slow:
        pieces = slow.iter_raw(512)
        assert next(pieces)
        deadline = time.monotonic() + 10  # the server gives its own back while we read nothing
        while _connections() > 1:
            assert time.monotonic() < deadline, "the download holds a connection"
            time.sleep(0.05)
        assert sum(map(len, pieces)) == size + 1 - 512
