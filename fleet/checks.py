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
        connections[alias].ensure_connection()
        encoding = connections[alias].connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            hint = "CREATE DATABASE sop ENCODING 'UTF8' TEMPLATE template0"
            found.append(Error(f"the database's encoding is {encoding}, and must be UTF8", hint=hint, id="fleet.E001"))
    return found
