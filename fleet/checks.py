"""What Django looks at before `migrate`, of the database that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections


@register(Tags.database)
def database_is_utf8(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """In another encoding texts are lost or refused late; in SQL_ASCII psycopg gives bytes for names of tables."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW server_encoding")
            row = cursor.fetchone()
        if row is not None and row[0] not in ("UTF8", b"UTF8"):
            name = row[0].decode() if isinstance(row[0], bytes) else row[0]
            hint = "CREATE DATABASE sop ENCODING 'UTF8' TEMPLATE template0"
            found.append(Error(f"the database's encoding is {name}, and must be UTF8", hint=hint, id="fleet.E001"))
    return found
