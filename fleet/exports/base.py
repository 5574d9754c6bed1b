"""What goes into an export, and the contract of a format.

A format is a generator of output files in a fixed order: `runner.py` asks for the next file only when the one before
is on disk and in the journal, and skips what an interrupted run finished. So a format must be a pure function of the
dataset: the same episodes give the same files with the same bytes, in the same order. What one file learns of an
episode (statistics, where its video begins) it leaves as rows in the journal; later files read them from there, so
memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, Protocol

import msgspec

from fleet.protocol.recording import CameraRecord, EpisodeManifest, ObjectRecord, Outcome, StepArrays

Row = dict[str, Any]  # JSON-able


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One episode of a dataset. `outcome`: a person's label where there is one, else the manifest's counts."""

    manifest: EpisodeManifest
    split: str = "train"
    outcome: Outcome | None = None
    tags: tuple[str, ...] = ()

    @property
    def final_outcome(self) -> Outcome:
        return self.outcome or self.manifest.outcome

    @property
    def is_success(self) -> bool:
        return self.final_outcome is Outcome.SUCCESS


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the dataset itself. `digest`: of its frozen query result; `card`: Markdown."""

    name: str
    version: str = "1"
    digest: str = ""
    licence: str = ""
    card: str = ""


class Episodes(Protocol):
    """The episodes of a dataset and their objects.

    Iterating yields the entries in the order of the export, splits one after the other, the same each time.
    """

    def __iter__(self) -> Iterator[Entry]: ...

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        """Open an object for reading from its first byte on. Raises: OSError or SopError if it is not to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`frames`: control steps written; `bytes_read`: of the episodes' objects; totals are known from the start."""

    frames: int
    frames_total: int
    bytes_read: int
    bytes_total: int
    file: str


class MadeFile(NamedTuple):
    """A file of an export."""

    name: str
    size: int
    sha256: str


def _ignore(_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How the caller follows and stops an export; the first two are asked after each episode and each few megabytes.

    `on_files` gets every file in order, once all are made and before the whole is shown. After a crash between the two
    it is called again; once an export stands at its target it is not.
    """

    on_progress: Callable[[Progress], None] = _ignore
    is_cancelled: Callable[[], bool] = bool
    on_files: Callable[[Iterator[MadeFile]], None] = _ignore


class OutFile(Protocol):
    """The file under way: seekable, because MP4 and HDF5 go back to their beginning."""

    def write(self, data: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file of the export. `write(out, add)` makes it; `add(kind, row)` leaves a row in the journal."""

    name: str
    write: Callable[[Any, Callable[[str, Row], None]], None]


Outputs = Generator[OutputFile, int, None]  # sent: how many rows the file left


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A dataset at a glance, from its manifests alone. Counts are of episodes unless they say otherwise."""

    episodes: int
    frames: int
    human_frames: int
    object_bytes: int
    successes: int
    tasks: tuple[str, ...]  # instructions in order of first use
    splits: Mapping[str, int]
    drivers: tuple[str, ...]
    action_names: tuple[str, ...]  # of the first episode, as the rest
    proprio_names: tuple[str, ...]
    rate_hz: float
    cameras: tuple[CameraRecord, ...]
    differences: tuple[str, ...]  # what formats with one set of features cannot hold


class Job(Protocol):
    """What a format works with while it writes. Every method that reads raises ExportCancelled when it is time."""

    @property
    def dataset(self) -> DatasetInfo: ...

    @property
    def summary(self) -> Summary: ...

    def entries(self) -> Iterator[Entry]:
        """Yield the episodes in order, from the spool on disk."""

    def rows(self, kind: str) -> Iterator[Row]:
        """Yield the rows of this kind that finished files left, in order."""

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        """Read and check an episode's steps; counts them as written."""

    def open(self, manifest: EpisodeManifest, record: ObjectRecord) -> IO[bytes]:
        """Return an object's bytes, seekable, once their size and SHA-256 have been checked."""

    def put_back(self, record: ObjectRecord) -> None:
        """Say that an object was opened in vain: the next file opens it again."""

    def note_frames(self, frames: int) -> None:
        """Count frames as written, for formats that copy steps without reading them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A whole number that a person may choose for a format, by the name of its constructor's argument."""

    name: str
    title: str
    default: int
    least: int
    most: int
    unit: str = ""


class ExportFormat(Protocol):
    """A format. `version` rises whenever its bytes change, so that no export is resumed across the change."""

    name: str
    title: str
    version: int
    choices: tuple[Option, ...]

    def options(self) -> Mapping[str, Any]:
        """Return what its bytes depend on besides the dataset."""

    def problems(self, summary: Summary) -> list[str]:
        """Name everything about the dataset that the format cannot hold."""

    def outputs(self, job: Job) -> Outputs:
        """Yield the files in order. A file's `write` runs before the next one is asked for."""


def object_of(manifest: EpisodeManifest, name: str) -> ObjectRecord:
    """Return the record of an object that a checked manifest has."""
    return next(record for record in manifest.objects if record.name == name)
