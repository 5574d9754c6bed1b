"""`manage.py store_verify`: hash stored objects again. Exit status 1 if anything is missing or differs."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from fleet.protocol.errors import SopError
from fleet.services.storage_verify import storage_verify


class Command(BaseCommand):
    help = "Hash the objects of episodes, policy versions and checkpoints again and compare them with their rows."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="every episode")
        which.add_argument("--resume", action="store_true", help="go on with an --all that was interrupted")
        which.add_argument("--sample", type=int, metavar="N", help="so many episodes by chance")
        which.add_argument("--since", type=_time, metavar="DATE", help="episodes registered from this day or time on")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["sample"] is not None and options["sample"] < 1:
            raise CommandError("--sample is at least 1")
        try:
            report = storage_verify(
                sample=options["sample"],
                since=options["since"],
                is_resumed=options["resume"],
                progress=_Progress(self.stderr.write),
            )
        except SopError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            for problem in report.problems:
                self.stdout.write(problem)
            self.stdout.write(
                f"{report.episodes:,} episodes, {report.policies:,} policy versions, "
                f"{report.checkpoints:,} checkpoints; "
                f"{report.objects:,} objects, {report.bytes / 1e6:,.1f} MB: {report.damaged:,} damaged."
            )
        if report.damaged:
            sys.exit(1)


class _Progress:
    """A line every five seconds."""

    def __init__(self, write: Any) -> None:
        self._write = write
        self._printed_s = time.monotonic()

    def __call__(self, done: int, total: int, damaged: int) -> None:
        if time.monotonic() - self._printed_s >= 5:
            self._printed_s = time.monotonic()
            self._write(f"{done:,} of {total:,} episodes, {damaged:,} damaged")


def _time(text: str) -> datetime:
    found = parse_datetime(f"{text}T00:00" if parse_date(text) else text)
    if found is None:
        raise CommandError(f"--since is a day or time, as 2026-11-26, not '{text}'")
    return found if timezone.is_aware(found) else timezone.make_aware(found)
