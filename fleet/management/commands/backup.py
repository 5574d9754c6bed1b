"""`manage.py backup FOLDER [--keep N] [--json]`: add a backup to a folder (docs/backup.md); the server goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.protocol.errors import SopError
from fleet.services.backup import backup_make
from fleet.services.backup_errors import BackupError


class Command(BaseCommand):
    help = "Back database, objects and signing keys up into a folder; the objects of earlier backups there are shared."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--keep", type=int, metavar="N", help="afterwards remove all but the newest N")
        parser.add_argument("--json", action="store_true", help="print the facts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["keep"] is not None and options["keep"] < 1:
            raise CommandError("--keep is at least 1")
        try:
            done = backup_make(
                folder=options["folder"].absolute(), keep=options["keep"], progress=Progress(self.stderr.write)
            )
        except (BackupError, SopError, OSError) as error:
            raise CommandError(f"no backup was made: {error}") from None
        facts = done.facts
        if options["json"]:
            self.stdout.write(msgspec.json.encode({"name": done.name, **msgspec.to_builtins(facts)}).decode())
            return
        self.stdout.write(
            f"{done.name}: {sum(facts.rows.values()):,} rows of {len(facts.rows)} tables; {facts.objects:,} objects, "
            f"{facts.bytes / 1e6:,.1f} MB, of them {facts.copied:,} new, {facts.copied_bytes / 1e6:,.1f} MB; "
            f"{(facts.ended_at - facts.started_at).total_seconds():.0f} s."
        )
        if facts.vanished:
            self.stdout.write(f"{facts.vanished:,} objects were removed from the store meanwhile.")


class Progress:
    """A line every five seconds."""

    def __init__(self, write: Any) -> None:
        self._write = write
        self._printed_s = time.monotonic()

    def __call__(self, objects: int, size: int) -> None:
        if time.monotonic() - self._printed_s >= 5:
            self._printed_s = time.monotonic()
            self._write(f"{objects:,} objects, {size / 1e6:,.1f} MB")
