"""`manage.py store_gc [--delete] [--older-than 24h] [--json]`: objects that no row names; by default they stay."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.protocol.errors import SopError
from fleet.services.storage_gc import DEFAULT_AGE, GcReport, storage_collect

_AGE = re.compile(r"([1-9][0-9]{0,5})(h|d)")


class Command(BaseCommand):
    help = "Find objects that no row names, and with --delete remove them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--delete", action="store_true", help="remove them; without this nothing changes")
        parser.add_argument("--older-than", type=_age, default=DEFAULT_AGE, metavar="24h", help="h or d, at least 1h")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = storage_collect(is_dry=not options["delete"], older_than=options["older_than"])
        except SopError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["json"] else _text(report))


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        raise CommandError(f"--older-than is a number with h or d, as 24h or 7d, not '{text}'")
    return timedelta(hours=int(match[1])) if match[2] == "h" else timedelta(days=int(match[1]))


def _text(report: GcReport) -> str:
    lines = [f"{'kind':<26}{'objects':>9}{'MB':>10}{'orphans':>9}{'MB':>10}{'young':>7}{'removed':>9}"]
    lines += [
        f"{kind.kind:<26}{kind.objects:>9,}{kind.bytes / 1e6:>10,.1f}{kind.orphans:>9,}"
        f"{kind.orphan_bytes / 1e6:>10,.1f}{kind.young:>7,}{kind.removed:>9,}"
        for kind in report.kinds
    ]
    lines.append(f"Pieces of unfinished uploads: {report.incoming:,}, {report.incoming_bytes / 1e6:,.1f} MB.")
    if report.is_dry:
        lines.append("Nothing was removed. `--delete` removes the orphans and the pieces.")
    return "\n".join(lines)
