"""`manage.py signing_key [--rotate]`: make the key that signs versions for robots, or put a newer one before it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from fleet.events import hint_all_robots
from fleet.models import Robot
from fleet.services.robot import robots_bump
from fleet.signing import signing_key_make


class Command(BaseCommand):
    help = "Make the signing key if there is none; with --rotate a newer one, which the one before endorses."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rotate", action="store_true")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        public = signing_key_make(is_rotated=options["rotate"])
        robots = Robot.objects.select_for_update().order_by("id").values_list("id", flat=True)
        robots_bump(robot_ids=list(robots), is_hinted=False)
        hint_all_robots()
        self.stdout.write(f"{settings.SOP_SIGNING_KEYS_FILE}: versions are signed by {public}")
