"""`manage.py rollups_rebuild [--check]`: make the charts' sums anew from the episode rows, or prove that they agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.services.rollup import rollups_check, rollups_rebuild


class Command(BaseCommand):
    help = "Rebuild the charts' sums from the episode rows; with --check only compare, and fail if they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a sum differs")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            self.stdout.write(f"{rollups_rebuild()} sums written.")
            return
        found = rollups_check()
        if found.wrong:
            raise CommandError(f"{found.wrong} of {found.keys} sums differ from the episode rows; run without --check.")
        self.stdout.write(f"All {found.keys} sums equal the episode rows.")
