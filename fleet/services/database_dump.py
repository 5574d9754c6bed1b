"""PostgreSQL's own pg_dump and pg_restore over the configured database. Called by `backup.py` and `restore.py`.

The programs of SOP_POSTGRES_PROGRAMS must be of the server's major version: older ones refuse to dump, and what newer
ones write an older server may not take back (18's begins with a setting that 16 does not know). The password goes to
them by the environment, never on a command line.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fleet.services.backup_errors import DatabaseFailed, DatabaseInUse, DatabaseNotEmpty

PROGRAM_TIMEOUT_S = 12 * 3600.0
_LIBPQ_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "passfile")
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


@contextmanager
def frozen_database() -> Iterator[tuple[str, dict[str, int]]]:
    """Yield (snapshot, rows by table): while the block runs, `database_dump` with it sees exactly these rows.

    Raises: DatabaseFailed.
    """
    try:
        with psycopg.connect(_conninfo(), password=_password(), connect_timeout=10) as own:
            _require_same_release(own)
            own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            own.read_only = True
            row = own.execute("SELECT pg_export_snapshot()").fetchone()
            yield str(row[0]) if row else "", _counts(own)
    except psycopg.Error as error:
        raise DatabaseFailed(f"the database: {str(error).strip()}") from None


def database_dump(target: Path, *, snapshot: str) -> None:
    """Write the database as of the snapshot in pg_dump's custom format. Raises: DatabaseFailed."""
    options = [
        "--no-password",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
        f"--file={target}",
    ]
    _run("pg_dump", [*options, f"--dbname={_conninfo()}"])


def database_load(source: Path, *, is_replacing: bool) -> dict[str, int]:
    """Fill the configured database from a dump in one transaction, and create it if it is missing; return its rows.

    `is_replacing`: what is there goes first. Raises: DatabaseNotEmpty, DatabaseInUse, DatabaseFailed.
    """
    connection.close()
    try:
        _create_if_missing()
        with psycopg.connect(_conninfo(), password=_password(), connect_timeout=10) as own:
            _require_same_release(own)
            _require_alone(own)
            if own.execute(_TABLES).fetchone() is not None:
                if not is_replacing:
                    raise DatabaseNotEmpty("the database has tables already; --replace removes them first")
                own.execute("DROP SCHEMA public CASCADE")
                own.execute("CREATE SCHEMA public")
        options = ["--no-password", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
        _run("pg_restore", [*options, f"--dbname={_conninfo()}", str(source)])
        with psycopg.connect(_conninfo(), password=_password(), connect_timeout=10) as own:
            return _counts(own)
    except psycopg.Error as error:
        raise DatabaseFailed(f"the database: {str(error).strip()}") from None


def _require_same_release(own: psycopg.Connection[Any]) -> None:
    served = own.info.server_version // 10_000
    said = _run("pg_restore", ["--version"])
    found = re.search(r" (\d+)", said)
    if found is None or int(found[1]) != served:
        raise DatabaseFailed(
            f"the database is served by PostgreSQL {served}, and the programs are '{said.strip()}': "
            f"SOP_POSTGRES_PROGRAMS names the folder of PostgreSQL {served}'s"
        )


def _counts(own: psycopg.Connection[Any]) -> dict[str, int]:
    found = {}
    for (table,) in own.execute(_TABLES).fetchall():
        row = own.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        found[str(table)] = int(row[0]) if row else 0
    return found


def _require_alone(own: psycopg.Connection[Any]) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    row = own.execute(query).fetchone()
    if row and row[0]:
        raise DatabaseInUse(f"{row[0]} other connections use the database: stop server, workers and learner first")


def _create_if_missing() -> None:
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(_conninfo("postgres"), password=_password(), connect_timeout=10, autocommit=True) as own:
        if own.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            statement = "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0"  # whatever the cluster was made with
            own.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _conninfo(database: str | None = None) -> str:
    """Return where the database is, without its password."""
    found = connection.settings_dict
    place = {"host": found["HOST"], "port": found["PORT"], "user": found["USER"]}
    options = {name: found["OPTIONS"][name] for name in _LIBPQ_OPTIONS if name in found["OPTIONS"]}
    given = {name: value for name, value in {**place, **options}.items() if value}
    return make_conninfo(dbname=database or str(found["NAME"]), **given)


def _password() -> str | None:
    return str(connection.settings_dict["PASSWORD"]) or None


def _run(name: str, options: Sequence[str]) -> str:
    program = Path(settings.SOP_POSTGRES_PROGRAMS) / name
    environment = {**os.environ, **({"PGPASSWORD": password} if (password := _password()) else {})}
    try:
        done = subprocess.run(
            [str(program), *options], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseFailed(f"{program}: {error}; SOP_POSTGRES_PROGRAMS names the folder of PostgreSQL's") from None
    if done.returncode != 0:
        raise DatabaseFailed(f"{name}: {done.stderr.strip()[-2000:]}")
    return done.stdout
