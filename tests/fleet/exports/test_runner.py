"""Crashes, cancelling, a full disk: an export goes on to the same bytes, or leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from fleet.exports.base import Control, DatasetInfo, Progress
from fleet.exports.errors import DiskFull, ExportBusy, ExportCancelled, TargetTaken
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.registry import FORMATS, export_format
from fleet.exports.runner import Exported, run_export
from fleet.exports.sink import FolderSink
from fleet.protocol.errors import SopError
from tests.fleet.exports.made import DATASET, Made, contents

EVERY = pytest.mark.parametrize("name", [*FORMATS])
ROOT = Path(__file__).resolve().parents[3]
# Small files, so that there is something to resume.
SMALL = {"lerobot-v3.0": LeRobotV3(episodes=2)}


class Away(SopError):
    code = "store_unavailable"


class Flaky(Made):
    """A store that stops answering after some reads."""

    answers = 0

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        self.answers -= 1
        if self.answers < 0:
            raise Away("the store does not answer")
        return super().open(episode_id, name)


def run(name: str, episodes: Any, target: Path, **values: Any) -> Exported | None:
    return run_export(SMALL.get(name) or export_format(name), DATASET, episodes, FolderSink(target), Control(**values))


@EVERY
def test_what_is_finished_is_not_read_again(name: str, recorded: Path, episodes: Made, tmp_path: Path) -> None:
    """given a store that fails in the middle, when the export runs again, then it goes on to the same bytes."""
    run(name, episodes, tmp_path / "whole")
    flaky = Flaky(recorded, list(episodes))
    resumed = []
    for answers in range(3, 60, 4):
        flaky.answers = answers
        with contextlib.suppress(Away):
            done = run(name, flaky, tmp_path / "parts")
            assert done is not None
            resumed.append(done.resumed_files)
            break
        assert not (tmp_path / "parts").exists()
        assert (tmp_path / ".parts.export").is_dir()
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "whole"]
    assert resumed and (resumed[0] > 0 or name == "robomimic-hdf5")  # whose one shard is all there is


def test_a_resumed_export_reports_the_same_progress(recorded: Path, episodes: Made, tmp_path: Path) -> None:
    flaky = Flaky(recorded, list(episodes))
    flaky.answers = 12
    with pytest.raises(Away):
        run("lerobot-v3.0", flaky, tmp_path / "a")
    flaky.answers = 1000
    seen: list[Progress] = []
    run("lerobot-v3.0", flaky, tmp_path / "a", on_progress=seen.append)
    size = sum(record.size for entry in episodes for record in entry.manifest.objects)
    assert (seen[-1].frames, seen[-1].frames_total) == (84, 84)
    assert (seen[-1].bytes_read, seen[-1].bytes_total) == (size, size)
    assert [p.bytes_read for p in seen] == sorted(p.bytes_read for p in seen)


@EVERY
@pytest.mark.parametrize("times", [20])
def test_killed_at_random_points_it_goes_on_to_the_same_bytes(
    name: str, times: int, recorded: Path, episodes: Made, tmp_path: Path
) -> None:
    """SIGKILL to a real process, twenty times; see killed.py. No half export is ever visible."""
    command = [sys.executable, "-m", "tests.fleet.exports.killed", name, str(recorded), str(tmp_path), str(times)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    kills, exports, partial = map(int, done.stdout.split())
    assert kills == times
    assert partial > 0  # some of the kills left work to go on with
    whole = contents(tmp_path / "whole")
    finished = sorted(tmp_path.glob("out-*"))
    assert len(finished) == exports > 0
    for folder in finished:
        assert contents(folder) == whole
    assert sorted(tmp_path.iterdir()) == [*finished, tmp_path / "whole"]


@EVERY
@pytest.mark.parametrize("after", [0, 1, 7, 16])
def test_cancelling_leaves_nothing(name: str, after: int, episodes: Made, tmp_path: Path) -> None:
    asked = iter(range(10_000))
    with pytest.raises(ExportCancelled):
        run(name, episodes, tmp_path / "a", is_cancelled=lambda: next(asked) >= after)
    assert list(tmp_path.iterdir()) == []


class _Scarce(io.FileIO):
    """A file on a disk with so many bytes left."""

    left: list[int]

    def write(self, data: Any) -> int:
        self.left[0] -= len(data)
        if self.left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


class FullSink(FolderSink):
    def __init__(self, target: Path, left: int) -> None:
        super().__init__(target)
        self._left = [left]

    def create(self, path: Path) -> IO[bytes]:
        raw = _Scarce(path, "w+b")
        raw.left = self._left
        return io.BufferedRandom(raw)


@EVERY
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_full_disk_is_an_error_and_leaves_nothing(name: str, share: float, episodes: Made, tmp_path: Path) -> None:
    whole = run(name, episodes, tmp_path / "whole")
    assert whole is not None
    with pytest.raises(DiskFull) as error:
        fmt = SMALL.get(name) or export_format(name)
        run_export(fmt, DATASET, episodes, FullSink(tmp_path / "a", int(whole.size * share)))
    assert error.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_the_same_export_again_changes_nothing(episodes: Made, tmp_path: Path) -> None:
    assert run("raw", episodes, tmp_path / "a") is not None
    before = contents(tmp_path)
    assert run("raw", episodes, tmp_path / "a") is None
    assert contents(tmp_path) == before


def test_another_export_does_not_take_its_place(episodes: Made, tmp_path: Path) -> None:
    run("raw", episodes, tmp_path / "a")
    before = contents(tmp_path)
    with pytest.raises(TargetTaken):
        run("lerobot-v3.0", episodes, tmp_path / "a")
    with pytest.raises(TargetTaken):
        run_export(export_format("raw"), DatasetInfo(name="other"), episodes, FolderSink(tmp_path / "a"))
    assert contents(tmp_path) == before


def test_a_strangers_folder_is_left_alone(episodes: Made, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(TargetTaken):
        run("raw", episodes, tmp_path / "a")
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_two_processes_do_not_write_one_export(episodes: Made, tmp_path: Path) -> None:
    with FolderSink(tmp_path / "a").begin(), pytest.raises(ExportBusy):
        run("raw", episodes, tmp_path / "a")
    assert run("raw", episodes, tmp_path / "a") is not None


def _interrupted(name: str, recorded: Path, episodes: Made, target: Path) -> Path:
    """Leave the work folder of an export whose store went away late; return it."""
    flaky = Flaky(recorded, list(episodes))
    flaky.answers = 16
    with pytest.raises(Away):
        run(name, flaky, target)
    return target.parent / f".{target.name}.export"


@EVERY
@pytest.mark.parametrize("harm", ["torn", "file", "missing", "other", "rows"])
def test_a_damaged_work_folder_costs_time_alone(
    name: str, harm: str, recorded: Path, episodes: Made, tmp_path: Path
) -> None:
    run(name, episodes, tmp_path / "whole")
    work = _interrupted(name, recorded, episodes, tmp_path / "a")
    files = sorted(path for path in (work / "files").rglob("*") if path.is_file())
    journal = work / "journal.jsonl"
    if harm == "torn":
        journal.write_bytes(journal.read_bytes()[:-7])
    elif harm == "rows":
        journal.write_bytes(journal.read_bytes() + b'{"k":"data","stats":{}}\n{"k":"da')
    elif harm == "other":
        journal.write_bytes(b'{"k":"export","identity":"another"}\n')
    elif files:
        files[0].write_bytes(b"x" * files[0].stat().st_size) if harm == "file" else files[0].unlink()
    run(name, episodes, tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_an_interrupted_export_of_another_dataset_is_not_continued(
    recorded: Path, episodes: Made, tmp_path: Path
) -> None:
    _interrupted("raw", recorded, episodes, tmp_path / "a")
    fewer = Made(recorded, list(episodes)[1:])
    done = run("raw", fewer, tmp_path / "a")
    run("raw", fewer, tmp_path / "b")
    assert done is not None and done.resumed_files == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.fixture
def command(recorded: Path, tmp_path: Path) -> Iterator[list[str]]:
    yield [sys.executable, "-m", "fleet.exports", "--episodes", str(recorded), "--format", "raw", "--quiet"]


def test_the_command_exports_and_names_errors(command: list[str], tmp_path: Path) -> None:
    run_ = lambda *args: subprocess.run([*command, *args], cwd=ROOT, capture_output=True, text=True, timeout=60)  # noqa: E731
    first = run_("--out", str(tmp_path / "a"))
    assert (first.returncode, first.stderr) == (0, "")
    assert (tmp_path / "a" / "README.md").is_file()
    (tmp_path / "b").mkdir()
    second = run_("--out", str(tmp_path / "b"))
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "target_taken: there is something else at b\n"
