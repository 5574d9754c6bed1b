"""kill -9 of an import's worker at random points of checking and running: every episode or none, and nothing left over.

SOP_KILLS sets how often (default 2, for CI), SOP_KILLS_SEED the moments. An import is killed up to four times and taken
up again each time; then it ends by itself, or is cancelled. What was imported must be what an undisturbed one imports.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from fleet import queue
from fleet.models import DatasetImport, Episode, Task
from fleet.services import dataset_import_work as work
from fleet.services.dataset_import import (
    dataset_import_cancel,
    dataset_import_check,
    dataset_import_create,
    dataset_import_run,
)
from fleet.storage.local import LocalStore
from tests.fleet.imports.made import export, record
from tests.fleet.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("SOP_KILLS", "2"))
SEED = int(os.environ.get("SOP_KILLS_SEED", "7"))
EPISODES = 6
MOST = work.MAX_ATTEMPTS - 1  # kills of one import; one more and it would be given up
START_S = 60.0
State = DatasetImport.State


class Kills:
    """Imports one dataset again and again, and kills its workers."""

    def __init__(self, root: Path, objects: LocalStore, place: Path) -> None:
        self.root, self.objects, self.place = root, objects, place
        self.rng = random.Random(SEED)
        self.seen: Counter[str] = Counter()
        self.work_s = {State.CHECKING: 0.0, State.RUNNING: 0.0}  # of a worker that nobody kills

    def begin(self) -> DatasetImport:
        created, _ = dataset_import_create(user=None, name="squares", folder=str(self.root))
        return dataset_import_check(import_id=created.id)

    def worker(self, row: DatasetImport, *, after_s: float | None) -> bool:
        """Let a worker process begin, kill it so long after; return whether it lived until then."""
        with self.process(row, "go") as process:
            began_s = time.monotonic()
            try:
                process.wait(START_S if after_s is None else after_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                return True
            self.work_s[row.state] = max(self.work_s[row.state], time.monotonic() - began_s)
            assert process.returncode == 0
            return False

    @contextlib.contextmanager
    def process(self, row: DatasetImport, manner: str) -> Iterator[subprocess.Popen[str]]:
        """A worker process that has begun; `manner`: see killed.py."""
        data = {"OBJECT_STORE_URL": f"file://{self.place}/objects", "SOP_DATA_DIR": str(self.place / "data")}
        env = {**os.environ, **data, "SOP_IMPORT_ROOTS": str(self.place / "roots")}
        database = connection.settings_dict["NAME"]
        command = [sys.executable, "-m", "tests.fleet.imports.killed", str(row.id), str(row.epoch), database, manner]
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            yield process

    def undisturbed(self) -> dict[str, tuple[int, str]]:
        """Import it once and take it away again; return what the store had of it."""
        row = self.begin()
        self.worker(row, after_s=None)
        row = dataset_import_run(import_id=row.id)
        self.worker(row, after_s=None)
        return self.take_away(row)

    def take_away(self, row: DatasetImport) -> dict[str, tuple[int, str]]:
        """Assert that the import is done and whole; forget its episodes, so that the next one is new."""
        row.refresh_from_db()
        assert (row.state, row.registered, Episode.objects.count()) == (State.DONE, EPISODES, EPISODES)
        work.dataset_import_clean(import_id=str(row.id))
        found = {key: self.objects.digest(key) for key in self.objects.list()}
        Episode.objects.all().delete()
        Task.objects.all().delete()
        for key in found:
            self.objects.delete(key)
        return found

    def disturbed(self, left: int) -> tuple[DatasetImport, int]:
        """Import it and kill its workers, `left` times at most; return the row and how often it was."""
        row, kills = self.begin(), 0
        for _ in range(self.rng.randint(1, min(left, MOST))):
            state = row.state
            was_killed = self.worker(row, after_s=self.rng.uniform(0, self.work_s[state]))
            row.refresh_from_db()
            kills += was_killed
            self.look(row, state if was_killed else None)
            if row.state == State.CHECKED:
                row = dataset_import_run(import_id=row.id)
            elif row.state == State.DONE:
                break
            elif was_killed:
                row = self.take_up(row)
        return row, kills

    def look(self, row: DatasetImport, killed_while: str | None) -> None:
        """Nothing is visible of an import that is not done."""
        wanted = EPISODES if row.state == State.DONE else 0
        assert Episode.objects.count() == wanted
        if killed_while:
            self.seen[f"killed while {killed_while}"] += 1
            staged = any(self.objects.list("episodes/"))
            self.seen["with objects staged"] += staged and row.state != State.DONE
            self.seen["just after the end"] += row.state not in DatasetImport.ACTIVE

    def take_up(self, row: DatasetImport) -> DatasetImport:
        DatasetImport.objects.filter(id=row.id).update(heartbeat_at=timezone.now() - timedelta(hours=1))
        work.dataset_imports_reap()
        row.refresh_from_db()
        return row

    def finish(self, row: DatasetImport) -> dict[str, tuple[int, str]]:
        while row.state in DatasetImport.ACTIVE:
            work.dataset_import_work(import_id=str(row.id), epoch=row.epoch)
            row.refresh_from_db()
            if row.state == State.CHECKED:
                row = dataset_import_run(import_id=row.id)
        return self.take_away(row)

    def cancel(self, row: DatasetImport) -> None:
        """Nothing at all stays of it."""
        dataset_import_cancel(import_id=row.id)
        work.dataset_import_clean(import_id=str(row.id))
        assert list(self.objects.list()) == []
        assert Episode.objects.count() == 0


@pytest.fixture
def kills(objects: LocalStore, settings: Any, tmp_path: Path) -> Kills:
    settings.SOP_IMPORT_SCRATCH_DIR = tmp_path / "scratch"
    settings.SOP_IMPORTS = replace(settings.SOP_IMPORTS, roots=(tmp_path / "roots",))
    root = export("lerobot-v2.1", record(tmp_path / "recorded", count=EPISODES), tmp_path / "roots/set")
    return Kills(root, objects, tmp_path)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(240)
def test_a_killed_import_comes_back_by_the_reaper_and_goes_on(kills: Kills, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with one episode staged: the reaper asks for another worker, which converts the others and not it."""
    whole = kills.undisturbed()
    row = kills.begin()
    kills.worker(row, after_s=None)
    row = dataset_import_run(import_id=row.id)
    with kills.process(row, "wait") as process:
        wait_for(lambda: DatasetImport.objects.get(id=row.id).converted == 1, timeout_s=START_S)
        process.kill()
    staged = {found.key: found for found in kills.objects.scan("episodes/")}
    assert len({key.split("/")[1] for key in staged}) == 1
    work.dataset_imports_reap()
    assert DatasetImport.objects.get(id=row.id).epoch == row.epoch, "its worker may only be slow"

    asked: list[tuple[str, list[object]]] = []
    monkeypatch.setattr(queue, "_enqueue", lambda name, args, **_: asked.append((name, list(args))))
    row = kills.take_up(row)
    assert [args for name, args in asked if name == queue.DATASET_IMPORT] == [[str(row.id), row.epoch]]
    convert, converted = work.convert_episode, []

    def counted(origins: Any, found: Any, folder: Path) -> Any:
        converted.append(found)
        return convert(origins, found, folder)

    monkeypatch.setattr(work, "convert_episode", counted)
    work.dataset_import_work(import_id=str(row.id), epoch=row.epoch - 1)
    assert converted == [], "the killed worker's own message comes again, and does nothing"
    work.dataset_import_work(import_id=str(row.id), epoch=row.epoch)
    assert len(converted) == EPISODES - 1
    assert {found.key: found for found in kills.objects.scan("episodes/") if found.key in staged} == staged
    assert kills.take_away(row) == whole


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120 + 60 * KILLS)
def test_killed_at_random_points_it_is_all_or_nothing(
    kills: Kills, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count, rounds = 0, Counter[str]()
    whole = kills.undisturbed()
    while count < KILLS:
        row, killed = kills.disturbed(KILLS - count)
        count += killed
        if row.state != State.DONE and kills.rng.random() < 0.25:
            kills.cancel(row)
            rounds["cancelled"] += 1
        else:
            assert kills.finish(row) == whole
            rounds["done"] += 1
        assert list((tmp_path / "scratch").iterdir()) == []
    with capsys.disabled():
        print(f"\n{count} kills (seed {SEED}) of imports, {dict(rounds)}, {dict(kills.seen)}")
