"""Commands that move bytes: episodes and exports to here, archives to there."""

from __future__ import annotations

import argparse
import sys
import time

from fleet.client import types
from fleet.client.cli.account import client
from fleet.client.cli.output import Bar
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
    with client() as sop:
        made = sop.imports.create(given.archive, name=given.name or given.archive.name.partition(".")[0])
        sop.imports.check(made.id)
        row = _followed(sop, made.id, given.timeout)
        if row.state != "checked":
            raise ClientError(f"the check ended {row.state}: {row.error_message} ({row.error_code})")
        if given.check_only:
            print(f"{row.id} is checked; nothing was imported", file=sys.stderr)
            return
        sop.imports.run(row.id, revision=row.mapping_revision)
        row = _followed(sop, row.id, given.timeout)
        if row.state != "done":
            raise ClientError(f"the import is {row.state}: {row.error_message} ({row.error_code})")
        print(f"{row.registered} new episodes, {row.known} known; tag {row.tag}", file=sys.stderr)
        print(row.id)


def _followed(sop: Client, import_id: str, timeout_s: float) -> types.Import:
    bar = Bar("import")
    row = sop.imports.wait(
        import_id,
        busy=frozenset({"created", "checking", "running"}),
        timeout_s=timeout_s,
        watch=lambda each: bar.count(each.progress, each.progress_total, each.phase or "done"),
    )
    bar.end()
    return row
