"""`manage.py alert_defaults`: make the default alert rules whose names are free."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from fleet.services.alert_rule import alert_rules_default


class Command(BaseCommand):
    help = "Make the default alert rules that are missing (docs/alerts.md). Changed ones stay as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        for rule in alert_rules_default():
            self.stdout.write(rule.name)
