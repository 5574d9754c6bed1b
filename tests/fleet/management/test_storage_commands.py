"""`store_gc` and `store_verify` as an administrator types them."""

from __future__ import annotations

import json
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fleet.services.episode import episode_register
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _call(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def orphan(objects: LocalStore) -> str:
    key = keys.episode_object(str(uuid.uuid4()), "front.mp4")
    objects.put(key, b"x" * 1000)
    return key


def _age(objects: LocalStore, key: str, hours: float) -> None:
    import os
    import time

    path = objects.path_or_none(key)
    assert path is not None
    os.utime(path, (time.time() - hours * 3600,) * 2)


def test_store_gc_tells_and_with_delete_removes(objects: LocalStore, orphan: str) -> None:
    assert json.loads(_call("store_gc", "--json"))["kinds"][0]["young"] == 1
    _age(objects, orphan, 3)
    assert "Nothing was removed" in _call("store_gc", "--older-than", "2h")
    report: dict[str, Any] = json.loads(_call("store_gc", "--older-than", "2h", "--delete", "--json"))
    assert (report["is_dry"], report["kinds"][0]["removed"], report["kinds"][0]["removed_bytes"]) == (False, 1, 1000)
    assert list(objects.list()) == []


@pytest.mark.parametrize("age", ["", "soon", "0h", "24", "-1d"])
def test_store_gc_refuses_ages_that_are_none(objects: LocalStore, age: str) -> None:
    with pytest.raises(CommandError):
        _call("store_gc", f"--older-than={age}")


def test_store_verify_exits_with_1_if_something_is_damaged(objects: LocalStore) -> None:
    manifest, files = builders.episode(builders.task(), None)
    builders.store(manifest, files)
    episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
    assert "1 episodes" in _call("store_verify", "--all") and "0 damaged" in _call("store_verify", "--sample", "5")
    assert json.loads(_call("store_verify", "--since", "2020-01-01", "--json"))["episodes"] == 1
    objects.delete(keys.episode_object(manifest.episode_id, "front.mp4"))
    with pytest.raises(SystemExit, match="1"):
        _call("store_verify", "--all")
    for wrong in (["--sample", "0"], ["--since", "soon"], []):
        with pytest.raises(CommandError):
            _call("store_verify", *wrong)


def test_store_init_marks_a_folder_but_no_empty_one_that_rows_miss(objects: LocalStore) -> None:
    """Rows that name objects, and none there: a volume that is not mounted looks so."""
    manifest, files = builders.episode(builders.task(), None)
    builders.store(manifest, files)
    episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
    for key in list(objects.list()):
        objects.delete(key)
    with pytest.raises(CommandError, match="mount its volume"):
        _call("store_init")
    assert not objects.marker.exists()
    builders.store(manifest, files)
    assert _call("store_init") == "marked\n"
    for key in list(objects.list()):
        objects.delete(key)
    assert _call("store_init") == "nothing to do\n"
