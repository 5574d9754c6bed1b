"""`manage.py enrol_token --note N`: print a one-time enrolment token."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleet.services.enrolment import enrolment_token_create


class Command(BaseCommand):
    help = "Print a token that lets one robot enrol, once. It is not stored in the clear and cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", "--note", dest="note", default="", help="what the token is for")
        parser.add_argument("--valid-s", type=float, default=3600.0, help="seconds until it expires (3600)")

    def handle(self, *args: Any, **options: Any) -> None:
        _, secret = enrolment_token_create(note=options["note"][:200], valid_s=options["valid_s"])
        self.stdout.write(secret)
