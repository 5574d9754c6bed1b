"""PostgreSQL whose tables are emptied by DELETE instead of TRUNCATE, for tests that commit (sop_web/settings/test.py).

TRUNCATE makes new files of all tables and indexes, 230 ms of a processor a test whatever is in them; this takes 40 ms.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base, operations


class DatabaseOperations(operations.DatabaseOperations):
    def sql_flush(
        self, style: Any, tables: list[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """Return what empties all of `tables` in one transaction; sequences go on, unless it is said otherwise."""
        if reset_sequences or not tables or not self._may_hush_triggers():
            return super().sql_flush(style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
        names = [self.quote_name(table) for table in tables]
        statements = (
            # Neither foreign keys, whatever the order, nor the triggers that keep the audit log and frozen datasets.
            "SET LOCAL session_replication_role = replica",
            # As TRUNCATE: what another thread has not committed yet is waited for, and goes as well.
            f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE",
            *(f"DELETE FROM {name}" for name in names),
        )
        return ["; ".join(statements)]

    def _may_hush_triggers(self) -> bool:
        """Say whether this user may; the embedded server's may, that of a DATABASE_URL need not."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            return bool(cursor.fetchone()[0])


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
