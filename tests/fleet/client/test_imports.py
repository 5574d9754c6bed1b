"""Imports by script: what `sop import` and `Client.imports` do against a real server and a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fleet.client import Changed, Client, ClientError, Invalid
from fleet.client.cli import main
from fleet.client.transport import Transport
from fleet.models import DatasetImport, Episode
from tests.fleet.imports.made import data_of, export, record, set_nan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return archives of three episodes: a sound one, and one with a NaN in its second."""
    folder = tmp_path_factory.mktemp("made")
    root = export("lerobot-v2.1", record(folder / "recorded"), folder / "set")
    sound = _pack(root, folder / "squares.tar.gz")
    set_nan(data_of(root, 1))
    return sound, _pack(root, folder / "broken.tar.gz")


def _pack(root: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(root, "set")
    return path


@pytest.fixture(autouse=True)
def scratch(settings: Any, tmp_path: Path) -> None:
    settings.SOP_IMPORT_SCRATCH_DIR = tmp_path / "scratch"


def _sends_nothing(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("the archive was sent once more")


def test_an_archive_is_sent_checked_and_imported(
    command: None, worker: None, packed: tuple[Path, Path], sop: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dry run imports nothing and the run goes on from it; at the end the library has the episodes by their tag."""
    sound, _ = packed
    assert main(["import", str(sound), "--check-only"]) == 0
    printed = capsys.readouterr()
    assert "upload: " in printed.err and "3 episodes, 30 frames, 2 instructions" in printed.err
    assert (printed.out, Episode.objects.count()) == ("", 0)
    assert main(["import", str(sound)]) == 0
    printed = capsys.readouterr()
    row = DatasetImport.objects.get()
    assert (printed.out.strip(), row.state, "upload: " in printed.err) == (str(row.id), "done", False)
    assert f"3 new episodes, 0 known; tag {row.tag}" in printed.err
    assert [episode.task for episode in sop.episodes.iterate(tag=row.tag)] == ["push"] * 3
    assert main(["import", str(sound)]) == 0, "the same command again finds it done"
    assert main(["import", str(sound), "--name", "again"]) == 0, "another name is another import of the same episodes"
    assert "0 new episodes, 3 known" in capsys.readouterr().err
    assert (DatasetImport.objects.count(), Episode.objects.count()) == (2, 3)


def test_every_problem_is_named_and_a_mapping_may_leave_it_out(
    command: None, worker: None, packed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, broken = packed
    mapping = tmp_path / "mapping.json"
    assert main(["import", str(broken), "--check-only", "--mapping", str(mapping)]) == 0
    said = capsys.readouterr().err
    assert "value_not_finite (1): " in said and "episode 1" in said and str(mapping) in said
    assert main(["import", str(broken)]) == 1
    assert "problems_left" in capsys.readouterr().err
    proposed = json.loads(mapping.read_text())
    mapping.write_text(json.dumps({**proposed, "action": "no.such.column"}))
    assert main(["import", str(broken), "--mapping", str(mapping)]) == 1
    assert "mapping_invalid" in capsys.readouterr().err
    mapping.write_text("[1]")
    assert main(["import", str(broken), "--mapping", str(mapping)]) == 1
    assert "is no mapping" in capsys.readouterr().err
    assert Episode.objects.count() == 0
    mapping.write_text(json.dumps({**proposed, "leave_out_broken": True}))
    assert main(["import", str(broken), "--mapping", str(mapping)]) == 0
    assert (Episode.objects.count(), DatasetImport.objects.count()) == (2, 1)


def test_what_cannot_be_imported_is_said_in_words(
    command: None, worker: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(tmp_path)]) == 1
    assert "pack it first" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none.zip")]) == 1
    garbage = tmp_path / "garbage.zip"
    garbage.write_bytes(b"no archive at all")
    assert main(["import", str(garbage)]) == 1
    assert "the import is failed: " in capsys.readouterr().err
    assert main(["import", str(garbage)]) == 1
    assert DatasetImport.objects.count() == 2, "after a failure the same file may be tried anew"


def test_a_killed_upload_is_taken_up_by_the_same_command(
    command: None, worker: None, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    """The process is killed amid the upload; the next one sends the archive to the import that is there."""
    sound, _ = packed
    arguments = [sys.executable, "-m", "fleet.client", "import", str(sound)]
    slow = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nfrom fleet.client import transfers\ntransfers.PIECE_BYTES = 1024\n"
        "real = transfers._checked_pieces\n"
        "def pieces(*args):\n    for piece in real(*args):\n        yield piece\n        time.sleep(0.2)\n"
        "transfers._checked_pieces = pieces\n"
    )
    killed = subprocess.Popen(arguments, env=slow, stderr=subprocess.PIPE, text=True)
    assert killed.stderr is not None
    assert killed.stderr.readline().startswith("upload: 1.0 kB of "), "some of it was sent"
    killed.kill()
    killed.communicate(timeout=20)
    assert DatasetImport.objects.get().state == "created"
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "upload: " in done.stderr
    row = DatasetImport.objects.get()
    assert (row.state, done.stdout.strip(), Episode.objects.count()) == ("done", str(row.id), 3)


def test_what_arrived_is_not_sent_again(
    sop: Client, packed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also when the script broke off between the upload and the question for a dry run. No worker runs here."""
    sound, _ = packed
    sent: list[tuple[int, int | None]] = []
    with monkeypatch.context() as broken_off:
        broken_off.setattr(sop.imports.__class__, "check", _breaks_after_upload(sop))
        with pytest.raises(KeyboardInterrupt):
            sop.imports.hand_in(sound, name="squares", progress=lambda done, total: sent.append((done, total)))
    size = sound.stat().st_size
    assert sent[-1] == (size, size)
    monkeypatch.setattr(Transport, "upload", _sends_nothing)
    row = sop.imports.hand_in(sound, name="squares")
    assert row.state == "checking"
    assert sop.imports.hand_in(sound, name="squares").id == row.id
    with pytest.raises(ClientError, match="still checking"):
        sop.imports.wait(row.id, timeout_s=0, sleep=lambda seconds: None)


def _breaks_after_upload(sop: Client) -> Any:
    real, calls = sop.imports.__class__.check, []

    def check(self: Any, import_id: str) -> Any:
        calls.append(import_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, import_id)

    return check


def test_a_mapping_is_changed_over_what_was_read(sop: Client, worker: None, packed: tuple[Path, Path]) -> None:
    sound, _ = packed
    row = sop.imports.wait(sop.imports.hand_in(sound, name="squares").id, timeout_s=60)
    read = sop.imports.mapping(row.id)
    assert (row.state, read.revision, read.misfits) == ("checked", row.mapping_revision, [])
    tasks = dict.fromkeys(read.mapping["tasks"], "other-task")
    changed = sop.imports.mapping_set(row.id, {**read.mapping, "tasks": tasks}, over=read.revision)
    assert changed.revision == read.revision + 1
    with pytest.raises(Changed):
        sop.imports.mapping_set(row.id, read.mapping, over=read.revision)
    with pytest.raises(Invalid):
        sop.imports.mapping_set(row.id, {"nonsense": 1}, over=changed.revision)
    sop.imports.run(row.id, revision=changed.revision)
    assert sop.imports.wait(row.id, timeout_s=60).state == "done"
    assert set(Episode.objects.values_list("task__slug", flat=True)) == {"other-task"}
