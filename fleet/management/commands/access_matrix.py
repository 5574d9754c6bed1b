"""`manage.py access_matrix`: print who may do what, and what every endpoint and console message needs, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand

from fleet.api.matrix import ENDPOINTS, Need
from fleet.consumers.matrix import MESSAGES
from fleet.permissions import ROLE_PERMISSIONS, Permission, Role


class Command(BaseCommand):
    help = "Print the access matrix: permissions, endpoints and console messages against roles."

    def handle(self, *args: Any, **options: Any) -> None:
        self._table("Permissions", ((str(each), each) for each in Permission))
        lines = ((f"{method} {name}", need) for name, row in ENDPOINTS.items() for method, need in row.items())
        self._table("Endpoints", lines)
        self._table("Console messages", ((kind.__name__, need or Need.SIGNED_IN) for kind, need in MESSAGES.items()))

    def _table(self, title: str, lines: Iterable[tuple[str, Permission | Need]]) -> None:
        roles = tuple(Role)
        self.stdout.write(f"## {title}\n")
        self.stdout.write(f"| | needs | {' | '.join(roles)} |")
        self.stdout.write(f"|---|---|{'---|' * len(roles)}")
        for name, need in lines:
            marks = ("yes" if isinstance(need, Need) or need in ROLE_PERMISSIONS[role] else "-" for role in roles)
            self.stdout.write(f"| {name} | {need.value} | {' | '.join(marks)} |")
        self.stdout.write("")
