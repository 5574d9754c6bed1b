"""The client and the command `sop` against a real server: what a script does, from signing in to unpacked data."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.client import Changed, Client, ClientError, Conflict, Forbidden, NotFound, Unauthorised
from fleet.client.cli import main
from fleet.client.transfers import unpack, verify
from fleet.models import Episode, Export
from fleet.scopes import Scope
from fleet.services.api_token import api_token_create
from tests.fleet import builders
from tests.fleet.client.scripting import dataset_frozen
from tests.fleet.services.export_rows import user

pytestmark = pytest.mark.django_db(transaction=True)


def test_episodes_are_found_page_by_page(sop: Client, episodes: list[Episode]) -> None:
    ids = [str(row.id) for row in reversed(episodes)]
    assert [row.id for row in sop.episodes.iterate()] == ids
    assert [row.id for row in sop.episodes.iterate(limit=2)] == ids[:2]
    first = sop.episodes.page(page_size=1)
    assert [row.id for row in first.results] == ids[:1] and first.next is not None
    found = list(sop.episodes.iterate(task=["push"], outcome="success"))
    assert [row.id for row in found] == [str(row.id) for row in reversed(episodes) if row.outcome == "success"]
    detail = sop.episodes.get(ids[0])
    assert detail.recording is not None and detail.steps == 8 and detail.segments[0]["start"] == 0
    assert sop.episodes.steps(ids[0], max_points=4)["steps"] == 8


def test_labels_are_changed_over_what_was_read(sop: Client, episodes: list[Episode]) -> None:
    one = str(episodes[0].id)
    before = sop.episodes.label(one)
    after = sop.episodes.label_set(one, over=before.revision, outcome="failure", add_tags=["slow"])
    assert (after.revision, after.outcome, after.outcome_source, after.tags) == (1, "failure", "person", ["slow"])
    with pytest.raises(Changed) as caught:
        sop.episodes.label_set(one, over=before.revision, comment="late")
    assert (caught.value.code, caught.value.status) == ("precondition_failed", 412)
    done = sop.episodes.label_many({"add_tags": ["night"]}, ids=[str(row.id) for row in episodes])
    assert (done["changed"], done["unchanged"]) == (3, 0)


def test_everything_else_that_is_listed(sop: Client, episodes: list[Episode]) -> None:
    run = builders.running_run()
    assert [row.slug for row in sop.tasks.iterate()] == ["push"]
    assert [row.name for row in sop.robots.iterate()] == ["arm-1"]
    assert [row.id for row in sop.training_runs.iterate()] == [str(run.id)]
    assert sop.training_runs.get(str(run.id)).config == {}
    assert sop.training_runs.metric_names(str(run.id)) == []
    assert sop.training_runs.metrics(str(run.id), ["loss"]).step == []
    assert list(sop.policy_versions.iterate()) == []
    assert sop.metrics.success(window_s=600, task="push").confidence == 0.95
    assert next(each["name"] for each in sop.exports.formats()["formats"]) == "lerobot-v3.0"
    with pytest.raises(NotFound):
        sop.tasks.get("00000000-0000-0000-0000-000000000000")


def test_refusals_are_typed(server: str, sop: Client) -> None:
    narrow = api_token_create(user=user(), name="narrow", scopes=[Scope.FLEET_READ], valid_s=600).secret
    with Client(f"http://{server}", token=narrow) as limited, pytest.raises(Forbidden) as caught:
        limited.episodes.page()
    assert caught.value.code == "scope_missing"
    with Client(f"http://{server}", token="sop_guess") as stranger, pytest.raises(Unauthorised):
        stranger.robots.page()
    sop.datasets.create("one")
    with pytest.raises(Conflict) as taken:
        sop.datasets.create("one")
    assert taken.value.code == "name_taken"


def test_an_episode_comes_as_it_was_recorded(sop: Client, episodes: list[Episode], tmp_path: Path) -> None:
    one = str(episodes[0].id)
    paths = sop.episodes.download(one, tmp_path)
    detail = sop.episodes.get(one)
    assert detail.recording is not None
    wanted = {file.name: file.sha256 for file in detail.recording.files}
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} == wanted


# --- The command ------------------------------------------------------------------------------------------------------


def test_signing_in_keeps_the_token_for_its_owner_alone(
    command: None, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config" / "sop" / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["url"] == f"http://{server}"
    path.chmod(0o644)
    assert main(["tasks"]) == 1
    assert "others may read" in capsys.readouterr().err
    path.chmod(0o600)
    assert main(["login", f"http://{server}", "--token", "sop_wrong"]) == 1
    assert main(["tasks"]) == 0, "a token that does not work replaces none"
    assert main(["logout"]) == 0
    assert main(["tasks"]) == 1
    assert "sop login" in capsys.readouterr().err


def test_lists_are_tables_or_json_lines(
    command: None, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["episodes", "list", "--task", "push", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == [str(row.id) for row in reversed(episodes)]
    assert main(["episodes", "list", "--task", "other"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1, "the heads alone"
    assert main(["episodes", "label", str(episodes[0].id), "--outcome", "failure", "--add-tag", "x"]) == 0
    assert "failure" in capsys.readouterr().out
    for words in (["runs"], ["versions"], ["robots"], ["tasks"], ["exports"], ["datasets", "list"]):
        assert main(words) == 0
    assert "arm-1" in capsys.readouterr().out
    assert main(["episodes", "label", str(episodes[0].id)]) == 1
    with pytest.raises(SystemExit) as wrong:
        main(["episodes", "list", "--limit", "-1"])
    assert wrong.value.code == 2


def test_what_was_written_elsewhere_does_not_steer_the_terminal(
    command: None, episodes: list[Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    from fleet.models import Robot

    Robot.objects.update(name="arm\x1b[2J")
    assert main(["robots"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_an_export_is_asked_for_fetched_checked_and_unpacked(
    command: None,
    sop: Client,
    worker: None,
    episodes: list[Episode],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset_frozen(sop)
    out = tmp_path / "out"
    assert main(["export", "demo", "--format", "raw", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    folder = Path(printed.out.strip().splitlines()[-1])
    assert folder.parent == out and {path.name for path in out.iterdir()} == {folder.name}
    assert len(list(folder.rglob("steps.parquet"))) == 3
    assert "download: " in printed.err
    verify(folder, sums_sha256=None)
    assert main(["export", "demo@1", "--format", "raw", "--out", str(out)]) == 1, "nothing is written over"
    assert main(["export", "demo", "--format", "raw", "--out", str(tmp_path / "again")]) == 0
    assert Export.objects.count() == 1, "the same question is the same export"


def test_a_killed_export_goes_on(
    command: None, sop: Client, worker: None, episodes: list[Episode], tmp_path: Path
) -> None:
    """The process is killed amid the download, as often as it takes; the last one finds everything right."""
    dataset_frozen(sop)
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "fleet.client", "export", "demo", "--format", "raw", "--out", str(out)]
    slow = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nfrom fleet.client import download\ndownload.PIECE_BYTES = 4096\n"
        "download.silent = None\nreal = download._fetch\n"
        "def fetch(transport, url, part, mark, progress):\n"
        "    def slow(done, total):\n        progress(done, total)\n        part.stat(); time.sleep(0.2)\n"
        "    real(transport, url, part, mark, slow)\ndownload._fetch = fetch\n"
    )
    killed = subprocess.Popen(arguments, env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (parts := list(out.glob("*.tar.part"))) or parts[0].stat().st_size == 0:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.communicate(timeout=20)
    have = parts[0].stat().st_size
    whole = Export.objects.get().tar_bytes or 0
    assert 0 < have < whole
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    verify(Path(done.stdout.strip()), sums_sha256=Export.objects.get().sha256)


# --- What an export may not do ----------------------------------------------------------------------------------------


def _tar(path: Path, *members: tuple[str, bytes | None]) -> Path:
    import io
    import tarfile

    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("member", [("../out", b"x"), ("/abs", b"x"), ("link", None)])
def test_an_archive_cannot_leave_its_folder(member: tuple[str, bytes | None], tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        unpack(_tar(tmp_path / "a.tar", member), tmp_path / "in" / "side")
    assert not (tmp_path / "in" / "out").exists()


def test_every_byte_is_accounted_for(tmp_path: Path) -> None:
    sums = f"{hashlib.sha256(b'x').hexdigest()}  a\n".encode()
    folder = tmp_path / "f"
    unpack(_tar(tmp_path / "a.tar", ("a", b"x"), ("SHA256SUMS", sums)), folder)
    verify(folder, sums_sha256=hashlib.sha256(sums).hexdigest())
    for breaking in (lambda: (folder / "a").write_bytes(b"y"), lambda: (folder / "more").write_bytes(b"")):
        breaking()
        with pytest.raises(ClientError):
            verify(folder, sums_sha256=None)
        (folder / "a").write_bytes(b"x")
    with pytest.raises(ClientError):
        verify(folder, sums_sha256="0" * 64)
