"""`manage.py training_file_import FILE`: store a file and print the SHA-256 by which a run's configuration names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.protocol.errors import SopError
from fleet.services.training_file import training_file_store


class Command(BaseCommand):
    help = "Store a file that training runs use, such as one of `python -m learner value`, and print its SHA-256."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            self.stdout.write(training_file_store(data=file.read_bytes()))
        except (SopError, OSError) as error:
            raise CommandError(str(error)) from error
