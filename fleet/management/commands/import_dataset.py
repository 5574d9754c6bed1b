"""`manage.py import_dataset PATH --check | --run`: a LeRobot dataset of this machine into the library, without HTTP.

PATH is a folder, a tar, a tar.gz or a zip, anywhere: who may run this may read the disk anyway. `--check` prints the
problems and, with `--mapping FILE`, writes the proposed mapping there; `--run` imports by the mapping in that file, or
by the proposal. The work is done in this process; killed, the import is taken up by a worker, or ends as failed.
Exit status 1 if there are problems that keep the dataset out.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.imports.mapping import Mapping
from fleet.imports.problems import Problem
from fleet.models import DatasetImport
from fleet.protocol.errors import SopError
from fleet.protocol.recording import sha256_of_file
from fleet.selectors.objects import object_store
from fleet.services.dataset_import import (
    Upload,
    dataset_import_cancel,
    dataset_import_check,
    dataset_import_create,
    dataset_import_map,
    dataset_import_run,
    import_mapping,
    import_report,
    require_sound,
)
from fleet.services.dataset_import_work import dataset_import_clean, dataset_import_work
from fleet.storage import keys

State = DatasetImport.State


class Command(BaseCommand):
    help = "Check a LeRobot dataset (v3.0, v2.x) or import it as demonstrations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--check", action="store_true", help="Name every problem; import nothing.")
        what.add_argument("--run", action="store_true", help="Check and import.")
        parser.add_argument("--mapping", type=Path, metavar="FILE", help="JSON: written by --check, read by --run.")
        parser.add_argument("--name", help="Of the import; the path's last part without it.")

    def handle(self, *args: Any, path: Path, check: bool, mapping: Path | None, **options: Any) -> None:
        try:
            row = _create(path.absolute(), options["name"] or path.name)
            try:
                row = self._checked(row)
                if check:
                    self._show(row, mapping)
                else:
                    self._import(row, mapping)
            finally:
                _drop_unless_done(row)
        except (SopError, OSError) as error:
            raise CommandError(f"{getattr(error, 'code', 'error')}: {error}") from error

    def _checked(self, row: DatasetImport) -> DatasetImport:
        row = dataset_import_check(import_id=row.id, is_enqueued=False)
        row = _work(row, State.CHECKED)
        report = import_report(row)
        self.stdout.write(
            f"LeRobot {report.version}: {report.episodes} episodes, {report.frames} frames at {report.fps:g} Hz, "
            f"{len(report.tasks)} instructions, cameras {', '.join(c.feature for c in report.cameras) or 'none'}"
        )
        for problem in report.problems:
            self._name(problem)
        return row

    def _name(self, problem: Problem) -> None:
        what = f"{problem.feature}: " if problem.feature else ""
        self.stdout.write(f"{problem.code} ({problem.count}): {what}{problem.message}")
        for example in problem.examples:
            places = (("episode", example.episode), ("frame", example.frame))
            where = " ".join(f"{name} {value}" for name, value in places if value is not None)
            self.stdout.write(f"    {where or 'dataset'}  {example.detail}".rstrip())

    def _show(self, row: DatasetImport, path: Path | None) -> None:
        mapping = import_mapping(row)
        if path is not None:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(mapping)))
            self.stdout.write(f"the proposed mapping is in {path}")
        require_sound(mapping, import_report(row))

    def _import(self, row: DatasetImport, path: Path | None) -> None:
        if path is not None:
            try:
                mapping = msgspec.json.decode(path.read_bytes(), type=Mapping)
            except msgspec.MsgspecError as error:
                raise CommandError(f"{path} is no mapping: {error}") from None
            row = dataset_import_map(import_id=row.id, mapping=mapping, revision=row.mapping_revision)
        row = _work(dataset_import_run(import_id=row.id, is_enqueued=False), State.DONE)
        self.stdout.write(
            f"{row.registered} new episodes with the tag {row.tag}; "
            f"{row.known} were here already, {row.left_out} left out"
        )


def _create(path: Path, name: str) -> DatasetImport:
    if path.is_dir():
        bounds = settings.SOP_IMPORTS
        settings.SOP_IMPORTS = dataclasses.replace(bounds, roots=(*bounds.roots, path))
        return dataset_import_create(user=None, name=name, folder=str(path))[0]
    size, sha256 = sha256_of_file(path)
    row, _ = dataset_import_create(user=None, name=name, upload=Upload(size=size, sha256=sha256))
    object_store().put_file(keys.import_archive(str(row.id)), path, sha256=sha256)
    return row


def _work(row: DatasetImport, wanted: DatasetImport.State) -> DatasetImport:
    """Do what the row waits for. Raises: CommandError unless it ends as wanted."""
    dataset_import_work(import_id=str(row.id), epoch=row.epoch)
    row.refresh_from_db()
    if row.state != wanted:
        raise CommandError(f"{row.error_code}: {row.error_message}")
    return row


def _drop_unless_done(row: DatasetImport) -> None:
    """Leave nothing of what was only checked, or did not succeed."""
    row.refresh_from_db()
    if row.state not in DatasetImport.ENDED:
        dataset_import_cancel(import_id=row.id)
    dataset_import_clean(import_id=str(row.id))
