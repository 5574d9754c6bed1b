"""An export straight to a bucket: whole once SHA256SUMS is there, resumed by what the store holds, else no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from fleet.exports.base import Control, DatasetInfo, Entry
from fleet.exports.errors import ExportBusy, ExportCancelled, TargetTaken
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import export_format
from fleet.exports.runner import Exported, run_export
from fleet.exports.sink import FolderSink
from fleet.services.export_sinks import StoreSink
from fleet.storage import ObjectStore, StoreUnavailable, open_store
from tests.fleet.exports.made import DATASET, Made, contents, write_episode

PREFIX = "squares-v3-raw"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    for seed in range(1, 5):
        write_episode(root, seed, steps=8)
    return root


@pytest.fixture
def episodes(recorded: Path) -> Made:
    return Made(recorded, [Entry(manifest=entry.manifest) for entry in FolderEpisodes(recorded)])


@pytest.fixture
def bucket(s3_url: str) -> ObjectStore:
    return open_store(s3_url)


def sink(bucket: ObjectStore, tmp_path: Path) -> StoreSink:
    return StoreSink(bucket, PREFIX, tmp_path / "work")


def run(episodes: Any, to: Any, **values: Any) -> Exported | None:
    return run_export(export_format("raw"), DATASET, episodes, to, Control(**values))


def stored(bucket: ObjectStore) -> dict[str, str]:
    return {key.removeprefix(f"{PREFIX}/"): bucket.digest(key)[1] for key in bucket.list(f"{PREFIX}/")}


class Flaky(Made):
    answers = 0

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        self.answers -= 1
        if self.answers < 0:
            raise StoreUnavailable("the store does not answer")
        return super().open(episode_id, name)


def test_a_broken_export_is_not_whole_and_goes_on(
    recorded: Path, episodes: Made, bucket: ObjectStore, tmp_path: Path
) -> None:
    """What it sent is asked for again: an object that somebody changed meanwhile is made anew."""
    run(episodes, FolderSink(tmp_path / "folder"))
    flaky = Flaky(recorded, list(episodes))
    flaky.answers = 5
    with pytest.raises(StoreUnavailable):
        run(flaky, sink(bucket, tmp_path))
    sent = stored(bucket)
    assert sent and "SHA256SUMS" not in sent
    spoilt = sorted(sent)[-1]
    bucket.put(f"{PREFIX}/{spoilt}", b"x")
    done = run(episodes, sink(bucket, tmp_path))
    assert done is not None and 0 < done.resumed_files < len(sent)
    assert stored(bucket) == contents(tmp_path / "folder")
    assert not (tmp_path / "work").exists()
    assert run(episodes, sink(bucket, tmp_path)) is None  # the very same again
    assert stored(bucket) == contents(tmp_path / "folder")


def test_killed_before_it_is_shown_it_is_made_whole_without_sending_again(
    episodes: Made, bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: StoreSink) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(StoreSink, "commit", die)
        run(episodes, sink(bucket, tmp_path))
    before = stored(bucket)
    assert "SHA256SUMS" not in before
    monkeypatch.setattr(type(bucket), "put_file", lambda *_, **__: pytest.fail("sent again"))
    done = run(episodes, sink(bucket, tmp_path))
    assert done is not None and done.resumed_files == done.files - 2  # besides export.json and SHA256SUMS
    assert set(stored(bucket)) == {*before, "SHA256SUMS"}


def test_cancelling_leaves_nothing_in_the_bucket(episodes: Made, bucket: ObjectStore, tmp_path: Path) -> None:
    asked = iter(range(10_000))
    with pytest.raises(ExportCancelled):
        run(episodes, sink(bucket, tmp_path), is_cancelled=lambda: next(asked) > 40)
    assert (stored(bucket), (tmp_path / "work").exists()) == ({}, False)


def test_one_writer_and_no_stranger(episodes: Made, bucket: ObjectStore, tmp_path: Path) -> None:
    with sink(bucket, tmp_path).begin(), pytest.raises(ExportBusy):
        run(episodes, sink(bucket, tmp_path))
    bucket.put(f"{PREFIX}/SHA256SUMS", b"of something else")
    with pytest.raises(TargetTaken):
        run(episodes, sink(bucket, tmp_path))
    assert list(stored(bucket)) == ["SHA256SUMS"]


def test_another_export_does_not_take_its_place(episodes: Made, bucket: ObjectStore, tmp_path: Path) -> None:
    run(episodes, sink(bucket, tmp_path))
    before = stored(bucket)
    with pytest.raises(TargetTaken):
        run_export(export_format("raw"), DatasetInfo(name="other"), episodes, sink(bucket, tmp_path))
    assert stored(bucket) == before
    sink(bucket, tmp_path).remove()
    assert stored(bucket) == {}


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "big"
    path.write_bytes(b"v" * (16 * 1024 * 1024 + 5))
    yield path


def test_a_large_file_goes_in_parts(bucket: ObjectStore, tmp_path: Path, big: Path) -> None:
    to = sink(bucket, tmp_path)
    with to.begin():
        to.keep("videos/front.mp4", big)
        assert not big.exists()
        size, sha256 = bucket.digest(f"{PREFIX}/videos/front.mp4")
        assert size == 16 * 1024 * 1024 + 5
        assert to.holds("videos/front.mp4", size=size, sha256=sha256)
        assert not to.holds("videos/front.mp4", size=size, sha256="0" * 64)
