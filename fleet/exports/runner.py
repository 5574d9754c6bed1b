"""Run an export: survey, refuse or go on, write file by file, show the whole. Called by a task, a command or a test.

    sink.work/index.jsonl    the dataset's entries, frozen
    sink.work/journal.jsonl  what is finished
    sink.work/scratch/       the file under way, and objects too large to be held in memory

A crash leaves the work folder, and the next run goes on after the last finished file. Cancelling, a full disk and a
dataset that cannot be exported leave nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from fleet.exports.base import (
    Control,
    DatasetInfo,
    Entry,
    Episodes,
    ExportFormat,
    MadeFile,
    OutputFile,
    Progress,
    Row,
    Summary,
)
from fleet.exports.errors import ExportCancelled, ExportError, ExportRefused, TargetTaken
from fleet.exports.journal import Done, Journal
from fleet.exports.objects import read_object, read_steps
from fleet.exports.sink import FULL, Sink, full_disk_as_error
from fleet.exports.survey import read_spool, survey
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, ObjectMismatch, SopError
from fleet.protocol.recording import EpisodeManifest, ObjectRecord, StepArrays, sha256_of_file

STAMP = "export.json"  # what this export is of; equal for equal exports
SUMS = "SHA256SUMS"  # every file before it, as `sha256sum -c` reads it
_LIBRARIES = ("pyarrow", "av", "numpy", "h5py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A finished export. `sha256`: of SHA256SUMS, hence of all bytes. `resumed_files`: kept from an earlier run."""

    files: int
    size: int
    sha256: str
    resumed_files: int
    identity: str


def run_export(
    fmt: ExportFormat, dataset: DatasetInfo, episodes: Episodes, sink: Sink, control: Control | None = None
) -> Exported | None:
    """Write the dataset in a format; None if the very same export stands finished at the target already.

    Raises: ExportError and its kinds; ObjectMismatch, InvalidEpisode and InvalidManifest with `data["episode_id"]`;
    whatever `episodes` raises. What is none of these (a store that does not answer, a bug) leaves the work folder.
    """
    with full_disk_as_error(), sink.begin():
        try:
            return _Run(fmt, dataset, sink, control or Control()).run(episodes)
        except (SopError, OSError) as error:
            if _is_final(error):
                sink.discard()
            raise


def _is_final(error: Exception) -> bool:
    """Whether another try would end the same, or is not wanted, so that what was written is of no use."""
    is_full = isinstance(error, OSError) and error.errno in FULL
    return is_full or isinstance(error, ExportError | InvalidEpisode | InvalidManifest | ObjectMismatch)


class _Run:
    """One run; also the `Job` that the format works with."""

    def __init__(self, fmt: ExportFormat, dataset: DatasetInfo, sink: Sink, control: Control) -> None:
        self._format = fmt
        self._dataset = dataset
        self._sink = sink
        self._control = control
        self._spool = sink.work / "index.jsonl"
        self._scratch = sink.work / "scratch"
        self._summary: Summary
        self._episodes: Episodes
        self._journal: Journal
        self._frames = self._bytes = self._reported_bytes = 0
        self._file = ""

    def run(self, episodes: Episodes) -> Exported | None:
        self._episodes = episodes
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        self._summary, index = survey(episodes, self._spool)
        problems = self._format.problems(self._summary)
        if problems:
            raise ExportRefused(f"{self._format.title}: {problems[0]}", problems=problems)
        stamp = self._stamp(index)
        there = self._sink.finished(STAMP)
        if there is not None:
            if there != stamp:
                raise TargetTaken("another export is at the target")
            self._sink.discard()
            return None
        self._journal = Journal(self._sink.work / "journal.jsonl", hashlib.sha256(stamp).hexdigest())
        try:
            return self._write(stamp)
        finally:
            self._journal.close()

    def _write(self, stamp: bytes) -> Exported:
        if not self._journal.is_resumed:
            self._sink.clear()
        resumed = 0
        outputs = self._format.outputs(self)
        output = next(outputs, None)
        while output is not None:
            done, is_new = self._obtain(output)
            resumed += not is_new
            try:
                output = outputs.send(done.rows)
            except StopIteration:
                output = None
        self._obtain(OutputFile(STAMP, lambda out, _: out.write(stamp)))
        sums, _ = self._obtain(OutputFile(SUMS, self._write_sums))
        files = size = 0
        for done in self._journal.finished():
            files, size = files + 1, size + done.size
        made = (MadeFile(done.name, done.size, done.sha256) for done in self._journal.finished())
        self._control.on_files(made)
        self._sink.commit()
        return Exported(
            files=files,
            size=size,
            sha256=sums.sha256,
            resumed_files=resumed,
            identity=hashlib.sha256(stamp).hexdigest(),
        )

    def _obtain(self, output: OutputFile) -> tuple[Done, bool]:
        """Return the finished file, and whether it was written now."""
        self._file = output.name
        done = self._journal.replay(output.name, self._is_there)
        is_new = done is None
        if done is None:
            done = self._make(output)
        else:
            self._frames += done.frames
            self._bytes += done.bytes_read
        self._report()
        return done, is_new

    def _is_there(self, done: Done) -> bool:
        self.check()
        return self._sink.holds(done.name, size=done.size, sha256=done.sha256)

    def _make(self, output: OutputFile) -> Done:
        frames, read = self._frames, self._bytes
        path = self._scratch / "output"
        with self._sink.create(path) as file:
            output.write(file, self._journal.add)
            file.flush()
            os.fsync(file.fileno())
        size, sha256 = sha256_of_file(path)
        self._sink.keep(output.name, path)
        return self._journal.finish(
            name=output.name, size=size, sha256=sha256, frames=self._frames - frames, bytes_read=self._bytes - read
        )

    def _write_sums(self, out: IO[bytes], _: object) -> None:
        for done in self._journal.finished():
            out.write(f"{done.sha256}  {done.name}\n".encode())

    def _stamp(self, index: str) -> bytes:
        values: dict[str, Any] = {
            "format": self._format.name,
            "format_version": self._format.version,
            "options": dict(self._format.options()),
            "dataset": {"name": self._dataset.name, "version": self._dataset.version, "digest": self._dataset.digest},
            "info": hashlib.sha256(msgspec.json.encode(self._dataset)).hexdigest(),
            "episodes": self._summary.episodes,
            "frames": self._summary.frames,
            "splits": dict(self._summary.splits),
            "index": index,
            "software": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        }
        return msgspec.json.format(msgspec.json.encode(values, order="sorted"), indent=2) + b"\n"

    # What a format sees (base.Job).

    @property
    def dataset(self) -> DatasetInfo:
        return self._dataset

    @property
    def summary(self) -> Summary:
        return self._summary

    def entries(self) -> Iterator[Entry]:
        for entry in read_spool(self._spool):
            self.check()
            yield entry

    def rows(self, kind: str) -> Iterator[Row]:
        return self._journal.rows(kind)

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        steps = read_steps(manifest, self.open)
        self.note_frames(manifest.steps)
        return steps

    def open(self, manifest: EpisodeManifest, record: ObjectRecord) -> IO[bytes]:
        opened = read_object(self._episodes, manifest, record, self._scratch, self.check)
        self._bytes += record.size
        self._report()
        return opened

    def put_back(self, record: ObjectRecord) -> None:
        self._bytes -= record.size

    def note_frames(self, frames: int) -> None:
        self._frames += frames
        self._report()

    def check(self) -> None:
        if self._control.is_cancelled():
            raise ExportCancelled("the export was cancelled; nothing is left of it")

    def _report(self) -> None:
        self.check()
        self._reported_bytes = max(self._reported_bytes, self._bytes)  # an object put back is no step back
        self._control.on_progress(
            Progress(
                frames=self._frames,
                frames_total=self._summary.frames,
                bytes_read=self._reported_bytes,
                bytes_total=self._summary.object_bytes,
                file=self._file,
            )
        )
