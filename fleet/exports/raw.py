"""Episodes as they were recorded: their objects byte by byte, and an index with one JSON line an episode."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import IO, Any

import msgspec

from fleet.exports.base import Entry, Job, Option, OutputFile, Outputs, Row, Summary, object_of
from fleet.exports.card import write_card
from fleet.exports.objects import PIECE
from fleet.exports.provenance import provenance
from fleet.protocol.recording import MANIFEST_OBJECT, STEPS_OBJECT, encode_manifest

INDEX = "episodes.jsonl"


class Raw:
    """`episodes/<episode_id>/{steps.parquet,<camera>.mp4,manifest.json}`, `episodes.jsonl`, `README.md`."""

    name = "raw"
    title = "Raw episodes"
    version = 2
    choices: tuple[Option, ...] = ()

    def options(self) -> Mapping[str, Any]:
        return {}

    def problems(self, summary: Summary) -> list[str]:
        return []

    def outputs(self, job: Job) -> Outputs:
        for entry in job.entries():
            folder = f"episodes/{entry.manifest.episode_id}"
            for record in sorted(entry.manifest.objects, key=lambda record: record.name):
                yield OutputFile(f"{folder}/{record.name}", _copy(job, entry, record.name))
            yield OutputFile(f"{folder}/{MANIFEST_OBJECT}", _manifest(entry))
        yield OutputFile(INDEX, lambda out, _: _write_index(job, out))
        yield OutputFile("README.md", lambda out, _: write_card(job, out))


def _copy(job: Job, entry: Entry, name: str) -> Callable[[IO[bytes], object], None]:
    def write(out: IO[bytes], _: object) -> None:
        with job.open(entry.manifest, object_of(entry.manifest, name)) as source:
            shutil.copyfileobj(source, out, PIECE)
        if name == STEPS_OBJECT:
            job.note_frames(entry.manifest.steps)

    return write


def _manifest(entry: Entry) -> Callable[[IO[bytes], object], None]:
    return lambda out, _: _write(out, encode_manifest(entry.manifest))


def _write_index(job: Job, out: IO[bytes]) -> None:
    for entry in job.entries():
        row: Row = {"tasks": [entry.manifest.instruction], "length": entry.manifest.steps, **provenance(entry)}
        _write(out, msgspec.json.encode(row) + b"\n")


def _write(out: IO[bytes], data: bytes) -> None:
    out.write(data)
