"""Commands that move bytes: episodes and exports to here, archives to there."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from fleet.client import types
from fleet.client.cli.account import client
from fleet.client.cli.output import Bar, printable
from fleet.client.client import Client
from fleet.client.errors import ClientError
from fleet.client.resources import plain_name
from fleet.client.transfers import POLL_S


def episode_download(given: argparse.Namespace) -> None:
    with client() as sop:
        for episode_id in given.id:
            bar = Bar(f"episode {episode_id[:8]}")
            folder = given.out / plain_name(episode_id)
            sop.episodes.download(episode_id, folder, progress=bar.bytes)
            bar.end()
            print(folder)


def export(given: argparse.Namespace) -> None:
    """The key is of what is asked, so that the same command goes on with an export that it asked for before."""
    with client() as sop:
        version = _described(sop, _version(sop, given.dataset), given.timeout)
        key = f"sop-export-{version.id}-{given.format}"
        found = sop.exports.get(sop.exports.request(given.format, dataset_version=version.id, idempotency_key=key).id)
        if found.state in ("failed", "cancelled", "expired"):
            found = sop.exports.retry(found.id)
        bar = Bar("export")
        found = sop.exports.wait(found.id, timeout_s=given.timeout, watch=lambda row: _draw(bar, row))
        bar.end()
        bar = Bar("download")
        folder = sop.exports.download(found, given.out, progress=bar.bytes)
        bar.end()
        print(folder)


def _draw(bar: Bar, row: types.Export) -> None:
    bar.count(row.frames, row.frames_total, "frames")


def _described(sop: Client, version: types.DatasetVersion, timeout_s: float) -> types.DatasetVersion:
    """Wait for a version that was frozen just now: the server still reads it."""
    deadline = time.monotonic() + timeout_s
    while version.state == "describing":
        if time.monotonic() > deadline:
            raise ClientError(f"version {version.number} is still being described")
        time.sleep(POLL_S)
        version = sop.datasets.version(version.dataset, version.number)
    return version


def _version(sop: Client, text: str) -> types.DatasetVersion:
    name, _, number = text.rpartition("@")
    if name and number.isdigit():
        return sop.datasets.version(sop.datasets.find(name).id, int(number))
    dataset = sop.datasets.find(text)
    if dataset.newest_version is None:
        raise ClientError(f"the dataset {dataset.name} has no version: freeze one first")
    return sop.datasets.version(dataset.id, dataset.newest_version)


def import_dataset(given: argparse.Namespace) -> None:
    """The same command goes on with an import that it began before, wherever that stands."""
    if given.archive.is_dir():
        raise ClientError(f"{given.archive} is a folder; pack it first: tar czf set.tar.gz {given.archive}")
    with client() as sop:
        bar = Bar("upload")
        name = given.name or given.archive.name.partition(".")[0]
        row = sop.imports.hand_in(given.archive, name=name, progress=bar.bytes)
        bar.end()
        row = _followed(sop, row.id, given.timeout)
        if row.state == "checked":
            _report(row)
            if given.check_only:
                _propose(sop, row, given.mapping)
                return
            if given.mapping is not None:
                sop.imports.mapping_set(row.id, _mapping(given.mapping), over=row.mapping_revision)
                row = sop.imports.get(row.id)
            sop.imports.run(row.id, revision=row.mapping_revision)
            row = _followed(sop, row.id, given.timeout)
        if row.state != "done":
            raise ClientError(f"the import is {row.state}: {row.error_message} ({row.error_code})")
        print(f"{row.registered} new episodes, {row.known} known; tag {row.tag}", file=sys.stderr)
        print(row.id)


def _report(row: types.Import) -> None:
    """Name every problem with its places."""
    report = row.report
    if report is None:
        return
    tasks = f"{len(report.tasks)} instructions"
    print(f"LeRobot {report.version}: {report.episodes} episodes, {report.frames} frames, {tasks}", file=sys.stderr)
    for problem in report.problems:
        what = f"{printable(problem.feature)}: " if problem.feature else ""
        print(f"{problem.code} ({problem.count}): {what}{problem.message}", file=sys.stderr)
        for example in problem.examples:
            places = (("episode", example.episode), ("frame", example.frame))
            where = " ".join(f"{name} {value}" for name, value in places if value is not None)
            print(f"    {where or 'dataset'}  {printable(example.detail)}".rstrip(), file=sys.stderr)


def _propose(sop: Client, row: types.Import, path: Path | None) -> None:
    """Write the mapping, for a person to change and `--mapping` to send."""
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(sop.imports.mapping(row.id).mapping)))
        print(f"the proposed mapping is in {path}", file=sys.stderr)
    print(f"{row.id} is checked; nothing was imported", file=sys.stderr)


def _mapping(path: Path) -> dict[str, Any]:
    """Raises: ClientError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ClientError(f"{path} is no mapping: {error}") from None


def _followed(sop: Client, import_id: str, timeout_s: float) -> types.Import:
    bar = Bar("import")
    row = sop.imports.wait(
        import_id,
        timeout_s=timeout_s,
        watch=lambda each: bar.count(each.progress, each.progress_total, each.phase or each.state),
    )
    bar.end()
    return row
