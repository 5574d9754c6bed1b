"""`manage.py access_matrix`: print who may do what, and what every endpoint and console message needs, as Markdown.

`make openapi` writes the same to docs/access.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import BaseCommand

from fleet.api.matrix import ENDPOINTS, Need
from fleet.api.reach import REACH
from fleet.consumers.matrix import MESSAGES
from fleet.permissions import ROLE_PERMISSIONS, WHOLE_FLEET, Permission, Role
from fleet.protocol.messages import ConsoleStop

Row = tuple[str, Permission | Need, str]  # name, what it needs, what somebody whom groups limit reaches by it

INTRODUCTION = """# Access matrix

Written by `make openapi` from the tables that the server asks: `fleet/permissions.py`, `fleet/api/matrix.py`,
`fleet/api/reach.py` and `fleet/consumers/matrix.py`; `python manage.py access_matrix` prints it. Tests try each line
with each role. What has no line answers nobody. Who has several roles may do what any of them may.

[People](people.md) says what roles and groups are for. "Within groups" is what somebody reaches whom groups limit: what
is named there must be covered, or it does not exist for that person.
"""


class Command(BaseCommand):
    help = "Print the access matrix: permissions, endpoints and console messages against roles."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(as_markdown())


def as_markdown() -> str:
    permissions = ((str(each), each, "refused" if each in WHOLE_FLEET else "held") for each in Permission)
    endpoints = (
        (f"{method} {name}", need, "refused" if need in WHOLE_FLEET else REACH[name].value)
        for name, row in ENDPOINTS.items()
        for method, need in row.items()
    )
    messages = (
        (kind.__name__, need or Need.SIGNED_IN, "any robot" if kind is ConsoleStop else "covered")
        for kind, need in MESSAGES.items()
    )
    tables = (_table("Permissions", permissions), _table("Endpoints", endpoints), _table("Console messages", messages))
    return "\n".join((INTRODUCTION, *("\n".join(each) + "\n" for each in tables)))


def _table(title: str, rows: Iterable[Row]) -> Iterator[str]:
    roles = tuple(Role)
    yield f"## {title}\n"
    yield f"| | needs | {' | '.join(roles)} | within groups |"
    yield f"|---|---|{'---|' * len(roles)}---|"
    for name, need, reach in rows:
        marks = ("yes" if isinstance(need, Need) or need in ROLE_PERMISSIONS[role] else "-" for role in roles)
        yield f"| {name} | {need.value} | {' | '.join(marks)} | {reach} |"
