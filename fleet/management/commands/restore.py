"""`manage.py restore FOLDER [--backup NAME] [--replace]`: bring a backup back; the server is stopped (docs/backup.md).

`--list` names the backups and `--check` reads one whole; neither changes anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands.backup import Progress
from fleet.protocol.errors import SopError
from fleet.services.backup import backup_find, backups
from fleet.services.backup_errors import BackupError
from fleet.services.restore import backup_check, backup_restore


class Command(BaseCommand):
    help = "Restore database, objects and signing keys from a folder of backups."
    requires_system_checks = ()  # they may ask a database that is not there yet

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--backup", metavar="NAME", help="which one; the newest by default")
        parser.add_argument("--replace", action="store_true", help="remove the tables that are there first")
        parser.add_argument("--check", action="store_true", help="hash all of the backup and change nothing")
        parser.add_argument("--list", action="store_true", help="name the backups and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"].absolute()
        try:
            if options["list"]:
                for each in backups(folder):
                    rows = sum(each.facts.rows.values())
                    self.stdout.write(f"{each.name}  {rows:,} rows, {each.facts.objects:,} objects")
                return
            backup = backup_find(folder=folder, name=options["backup"])
            if options["check"]:
                size = backup_check(backup=backup, is_deep=True)
                self.stdout.write(
                    f"{backup.name} is whole: {backup.facts.objects:,} objects, {size / 1e6:,.1f} MB read."
                )
                return
            report = backup_restore(
                backup=backup, is_replacing=options["replace"], progress=Progress(self.stderr.write)
            )
        except (BackupError, SopError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{backup.name} is back: {report.rows:,} rows, {report.objects:,} objects of which {report.written:,} were "
            "not there. Now: manage.py migrate, then manage.py store_verify --all."
        )
        if report.is_key_kept:
            self.stdout.write("This server has other signing keys than the backup; they were kept.")
