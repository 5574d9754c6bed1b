"""A migration runs while the release before it still serves: it may add, and takes nothing away that is in use.

docs/upgrade.md has the steps for what must go: stop using it in one release, remove it in the next, and name it below.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

FOLDER = Path(__file__).resolve().parents[2] / "fleet" / "migrations"
FIRST_JUDGED = 30  # nothing is removed from here on
# Release 0.1.0 replaces none, so columns without a default of the database's own are fine in what leads to it. From the
# first migration after it on, they are not: the number is of the next release's first.
FIRST_ROLLING = 40
# (migration, model, field or ""): the release that stopped using it. What is renamed counts as gone.
GONE: dict[tuple[str, str, str], str] = {}
REVIEWED: dict[str, str] = {}  # RunSQL or RunPython: migration -> why the release before keeps working


def _problems(name: str, operations: list[Operation]) -> Iterator[str]:
    for operation in _flat(operations):
        kind = type(operation).__name__
        found: Any = operation
        if isinstance(operation, migrations.RemoveField | migrations.RenameField):
            field = found.old_name if isinstance(operation, migrations.RenameField) else found.name
            if (name, found.model_name, field) not in GONE:
                yield f"{kind} of {found.model_name}.{field}: the release before still reads it"
        elif isinstance(operation, migrations.DeleteModel | migrations.RenameModel | migrations.AlterModelTable):
            model = found.old_name if isinstance(operation, migrations.RenameModel) else found.name
            if (name, model.lower(), "") not in GONE:
                yield f"{kind} of {model}: the release before still reads it"
        elif int(name[:4]) < FIRST_ROLLING:
            continue
        elif isinstance(operation, migrations.AddField) and _needs_value(found.field):
            yield f"{found.model_name}.{found.name}: the release before inserts without it; add a db_default or null"
        elif isinstance(operation, migrations.RunSQL | migrations.RunPython) and name not in REVIEWED:
            yield f"{kind} is not looked into here: say in REVIEWED why the release before keeps working"


def _flat(operations: list[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from operation.database_operations
        else:
            yield operation


def _needs_value(field: models.Field[Any, Any]) -> bool:
    """Whether an INSERT that does not name the column fails: Django drops a plain `default` after the migration."""
    return not (field.null or field.has_db_default() or field.many_to_many)


def _judged() -> list[str]:
    names = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
    return [name for name in names if int(name[:4]) >= FIRST_JUDGED]


def test_names_say_what_they_do() -> None:
    for path in FOLDER.glob("[0-9]*.py"):
        assert re.fullmatch(r"\d{4}_[a-z][a-z_]+", path.stem) and "auto" not in path.stem.split("_"), path.stem


def test_no_migration_takes_away_what_the_release_before_uses() -> None:
    problems = {
        name: list(_problems(name, importlib.import_module(f"fleet.migrations.{name}").Migration.operations))
        for name in _judged()
    }
    assert {name: found for name, found in problems.items() if found} == {}


def test_exceptions_are_of_migrations_that_are_there() -> None:
    assert {name for name, _, _ in GONE} | set(REVIEWED) <= set(_judged())


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (migrations.RemoveField("robot", "name"), "RemoveField of robot.name"),
        (migrations.RenameField("robot", "name", "title"), "RenameField of robot.name"),
        (migrations.DeleteModel("Robot"), "DeleteModel of Robot"),
        (migrations.RenameModel("Robot", "Machine"), "RenameModel of Robot"),
        (migrations.AlterModelTable("robot", "machines"), "AlterModelTable of robot"),
        (migrations.AddField("robot", "size", models.IntegerField(default=0)), "robot.size"),
        (migrations.RunSQL("DROP TABLE fleet_robot"), "RunSQL is not looked into"),
        (migrations.SeparateDatabaseAndState([migrations.DeleteModel("Robot")], []), "DeleteModel of Robot"),
    ],
)
def test_what_would_break_the_release_before_is_noticed(operation: Operation, said: str) -> None:
    (problem,) = _problems("0099_example", [operation])
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("robot", "size", models.IntegerField(null=True)),
        migrations.AddField("robot", "size", models.IntegerField(db_default=0)),
        migrations.CreateModel("Thing", [("id", models.AutoField(primary_key=True))]),
        migrations.AddIndex("robot", models.Index(fields=["name"], name="robot_by_name")),
    ],
)
def test_what_only_adds_is_fine(operation: Operation) -> None:
    assert list(_problems("0099_example", [operation])) == []
