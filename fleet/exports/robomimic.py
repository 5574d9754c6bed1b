"""HDF5 in robomimic's layout. `dataset.hdf5` is what one opens; the episodes lie in shards that it links to.

    dataset.hdf5             data/demo_<k> -> link into a shard; mask/<split>, mask/success, mask/failure: names
    shards/file-000.hdf5     data/demo_<k>: actions [T, A], rewards [T], dones [T], interventions [T],
                             obs/state [T, P], obs/<camera>_image uint8 [T, H, W, 3]; attributes: our provenance

Shards bound what a resumed export writes again; HDF5 follows the links by itself as long as the folders stay together.
Left out: simulator states and next_obs (set `hdf5_load_next_obs` to false), which imitation does not read.
Source: robomimic 0.3, docs/datasets/overview.md.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import h5py
import numpy as np

from fleet.exports.base import Entry, Job, Option, OutputFile, Outputs, Row, Summary, object_of
from fleet.exports.card import write_card
from fleet.exports.lerobot_common import problems_of
from fleet.exports.provenance import provenance
from fleet.exports.video import decode_frames
from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import is_human

MASTER = "dataset.hdf5"
MIB = 1024 * 1024
_GYM = 2  # robomimic's EnvType of a plain gym environment
_HUMAN = np.array([[is_human(mode, source) for source in Source] for mode in Mode])

Add = Callable[[str, Row], None]


class Robomimic:
    """`shard_mb`: pixels of a shard before compression; `episodes`: limit of episodes in one."""

    name = "robomimic-hdf5"
    title = "HDF5 (robomimic)"
    version = 2
    choices: tuple[Option, ...] = (
        Option(name="shard_mb", title="Pixels in a shard", unit="MB", default=1024, least=64, most=8192),
        Option(name="episodes", title="Episodes in a shard", default=1000, least=1, most=1000),
    )

    def __init__(self, *, shard_mb: int = 1024, episodes: int = 1000) -> None:
        self._shard_mb = shard_mb
        self._episodes = episodes

    def options(self) -> Mapping[str, Any]:
        return {"shard_mb": self._shard_mb, "episodes": self._episodes}

    def problems(self, summary: Summary) -> list[str]:
        return problems_of(summary)

    def outputs(self, job: Job) -> Outputs:
        first = 0
        for position, group in enumerate(self._groups(job.entries())):
            name = f"shards/file-{position:03d}.hdf5"
            yield OutputFile(name, _shard_writer(job, group, first, name))
            first += len(group)
        yield OutputFile(MASTER, lambda out, _: _write_master(job, out))
        yield OutputFile("README.md", lambda out, _: write_card(job, out))

    def _groups(self, entries: Iterator[Entry]) -> Iterator[list[Entry]]:
        group: list[Entry] = []
        size = 0
        for entry in entries:
            added = sum(c.width * c.height * 3 for c in entry.manifest.cameras) * entry.manifest.steps
            if group and (size + added > self._shard_mb * MIB or len(group) == self._episodes):
                yield group
                group, size = [], 0
            group.append(entry)
            size += added
        if group:
            yield group


def _shard_writer(job: Job, group: list[Entry], first: int, name: str) -> Callable[[IO[bytes], Add], None]:
    def write(out: IO[bytes], add: Add) -> None:
        with _hdf5(out) as (file, check):
            for index, entry in enumerate(group, start=first):
                _write_demo(job, file.create_group(f"data/demo_{index}"), entry, check)
                add("demo", {"shard": name})

    return write


def _write_demo(job: Job, demo: Any, entry: Entry, check: Callable[[], None]) -> None:
    manifest = entry.manifest
    steps = job.steps(manifest)
    done = np.arange(manifest.steps) == manifest.steps - 1
    demo["actions"] = steps["action"]
    demo["rewards"] = steps["reward"]
    demo["dones"] = done.astype(np.int64)
    demo["interventions"] = _HUMAN[steps["mode"], steps["source"]].astype(np.int64)
    demo["obs/state"] = steps["observation.state"]
    for camera in manifest.cameras:
        shape = (manifest.steps, camera.height, camera.width, 3)
        pictures = demo.create_dataset(
            f"obs/{camera.name}_image", shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
        )
        with job.open(manifest, object_of(manifest, camera.object)) as source:
            for index, frame in enumerate(decode_frames(source, entry, camera)):
                pictures[index] = frame
                check()
    demo.attrs["num_samples"] = manifest.steps
    demo.attrs["task"] = manifest.instruction
    for key, value in provenance(entry).items():
        demo.attrs[key] = value


@contextlib.contextmanager
def _hdf5(out: IO[bytes]) -> Iterator[tuple[Any, Callable[[], None]]]:
    """Open a new file, with a check that raises what the disk said."""
    patient = _Patient(out)
    try:
        with h5py.File(patient, "w") as file:
            yield file, patient.check
    except (OSError, RuntimeError, KeyError):  # HDF5's own words for a file that is not what it wrote
        patient.check()
        raise
    patient.check()


class _Patient:
    """A file that keeps an error to itself until it is asked: HDF5 cannot close a file that it cannot write, and tries
    again whenever an object of it is freed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file: Any = file
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        self._try(self._file.write, data)
        return len(data)

    def truncate(self, size: int) -> int:
        self._try(self._file.truncate, size)
        return size

    def flush(self) -> None:
        self._try(self._file.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self._file.seek, offset, whence) or 0

    def tell(self) -> int:
        return self._try(self._file.tell) or 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)  # what h5py knows a file by
        return data

    def readinto(self, buffer: Any) -> int:
        return self._try(self._file.readinto, buffer) or 0

    def _try(self, method: Callable[..., Any], *values: Any) -> int | None:
        if self._error is None:
            try:
                result: int | None = method(*values)
                return result
            except OSError as error:
                self._error = error
        return None


def _write_master(job: Job, out: IO[bytes]) -> None:
    summary = job.summary
    masks: dict[str, list[str]] = {split: [] for split in summary.splits}
    masks |= {"success": [], "failure": []}
    with _hdf5(out) as (file, _):
        data = file.create_group("data")
        data.attrs["total"] = summary.frames
        data.attrs["env_args"] = _environment(summary)
        for index, (entry, row) in enumerate(zip(job.entries(), job.rows("demo"), strict=True)):
            name = f"demo_{index}"
            data[name] = h5py.ExternalLink(row["shard"], f"/data/{name}")
            masks[entry.split].append(name)
            masks["success" if entry.is_success else "failure"].append(name)
        for mask, names in masks.items():
            file[f"mask/{mask}"] = np.array(names, dtype="S")


def _environment(summary: Summary) -> str:
    values = {"env_name": "+".join(summary.drivers), "type": _GYM, "env_kwargs": {"control_rate_hz": summary.rate_hz}}
    return json.dumps(values, sort_keys=True)
