"""Destroy and restore: the database dropped, objects and data folder removed, everything back to the byte.

The commands run as an administrator types them, in processes of their own, on a database that is theirs alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from fleet.protocol.recording import sha256_of_file
from fleet.services.backup import MARK, backups
from fleet.services.restore import backup_check

ROOT = Path(__file__).resolve().parents[2]
POPULATE = """
from tests.fleet import builders
from fleet.models import Task
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
task = Task.objects.filter(slug="box-close").first() or builders.task()
for _ in range({episodes}):
    manifest, files = builders.episode(task, None)
    builders.store(manifest, files)
    episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
run = builders.running_run(name="run-{name}")
manifest, blobs = builders.policy(run.id, value={value})
policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
"""


@dataclass(frozen=True)
class Site:
    """A server's database, data folder and folder of backups."""

    url: str
    folder: Path

    @property
    def objects(self) -> Path:
        return self.folder / "data" / "objects"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        data = self.folder / "data"
        given = {
            "DATABASE_URL": self.url,
            "SOP_DATA_DIR": str(data),
            "OBJECT_STORE_URL": f"file://{self.objects}",
            "SOP_STORE_REQUIRE_MARKER": "1",  # as in production; restore must bring it
            **environment,
        }
        command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
        return subprocess.run(
            command, env={**os.environ, **given}, cwd=ROOT, capture_output=True, text=True, timeout=240
        )

    def manage(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def backup(self, *arguments: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.manage("backup", str(self.backups), "--json", *arguments))
        return found

    def refusal(self, *arguments: str, **environment: str) -> str:
        done = self.run(*arguments, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def rows(self) -> dict[str, str]:
        """Return a hash of every table's rows, read past the application."""
        found = {}
        with psycopg.connect(self.url, autocommit=True) as own:
            tables = own.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                text = "coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
                query = f"SELECT count(*) || ' ' || {text} FROM {table} t"
                found[table] = own.execute(query.encode()).fetchone()[0]  # type: ignore[index]
        return found

    def digests(self) -> dict[str, tuple[int, str]]:
        return {
            str(path.relative_to(self.objects)): sha256_of_file(path)
            for path in self.objects.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }

    def drop(self) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
            own.execute(f'DROP DATABASE IF EXISTS "{self.name}"'.encode())

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.lstrip("/")


@pytest.fixture(scope="module")
def filled(make_open_folder: Callable[[str], Path], services: None) -> Iterator[Site]:
    """A site with two backups: of 3 episodes and a version, and of 2 episodes and a version more."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = f"backup_{uuid.uuid4().hex[:12]}"
    site = Site(urlunsplit(parts._replace(path=f"/{name}")), make_open_folder("backup"))
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as own:
        own.execute(f'CREATE DATABASE "{name}"'.encode())
    site.manage("migrate", "-v", "0")
    site.manage("store_init")
    site.manage("signing_key")
    site.manage("shell", "-v", "0", "-c", POPULATE.format(episodes=3, name="one", value=0.5))
    site.backup()
    yield site
    site.drop()


@pytest.fixture
def site(filled: Site, tmp_path: Path) -> Iterator[Site]:
    """The same database, with a copy of its folders that a test may damage."""
    shutil.copytree(filled.folder, tmp_path / "site", copy_function=shutil.copy2)
    yield Site(filled.url, tmp_path / "site")


def _names(site: Site) -> list[str]:
    return [backup.name for backup in backups(site.backups)]


def test_destroy_and_restore(filled: Site) -> None:
    """Every row, every object and the signing keys are as they were; what came after the last backup is not there."""
    filled.manage("shell", "-v", "0", "-c", POPULATE.format(episodes=2, name="two", value=0.25))
    second = filled.backup()
    # Incremental: two episodes of three objects, a version's manifest and blob; front.mp4 is the same bytes in all.
    assert (second["copied"], second["vanished"]) == (2 * 3 + 2, 0)
    assert second["objects"] == len(filled.digests()) == 5 * 3 + 2 * 2
    rows, digests = filled.rows(), filled.digests()
    keys = (filled.folder / "data" / "signing_keys").read_bytes()
    filled.manage("shell", "-v", "0", "-c", POPULATE.format(episodes=1, name="three", value=0.75))

    filled.drop()
    shutil.rmtree(filled.folder / "data")

    assert f"{second['objects']} of which {second['objects']} were not there" in filled.manage(
        "restore", str(filled.backups)
    ).replace(" objects of which", " of which")
    assert filled.rows() == rows
    assert filled.digests() == digests
    assert (filled.folder / "data" / "signing_keys").read_bytes() == keys
    assert (filled.folder / "data" / "signing_keys").stat().st_mode & 0o777 == 0o600
    verified = json.loads(filled.manage("store_verify", "--all", "--json"))
    assert (verified["episodes"], verified["policies"], verified["damaged"]) == (5, 2, 0)
    filled.manage("migrate", "--check")
    # It is a working database: sequences too, so the next episode gets a number of its own.
    filled.manage("shell", "-v", "0", "-c", POPULATE.format(episodes=1, name="four", value=0.125))
    assert json.loads(filled.manage("store_verify", "--all", "--json"))["episodes"] == 6


def test_nothing_is_mixed_with_what_is_there(site: Site) -> None:
    """A database with tables is refused, and one that others use; `--replace` takes the first."""
    before = site.rows()
    assert "has tables already" in site.refusal("restore", str(site.backups))
    with psycopg.connect(site.url) as other:
        other.execute("SELECT 1")
        assert "1 other connections use the database" in site.refusal("restore", str(site.backups), "--replace")
    assert site.rows() == before
    site.manage("restore", str(site.backups), "--replace")
    site.manage("migrate", "--check")


def test_a_damaged_backup_changes_nothing(site: Site) -> None:
    """A byte, a file, a dump: each is named before a row or an object is touched."""
    before, digests = site.rows(), site.digests()
    restore = ("restore", str(site.backups), "--replace")
    bytes_of = max((site.backups / "objects").glob("??/*"), key=lambda path: path.stat().st_size)
    kept = bytes_of.read_bytes()
    assert backup_check(backup=backups(site.backups)[0], is_deep=True) > 0
    bytes_of.write_bytes(b"x" + kept[1:])
    assert "objects lost their bytes" in site.refusal("restore", str(site.backups), "--check")
    bytes_of.unlink()
    assert "objects lost their bytes" in site.refusal(*restore)
    bytes_of.write_bytes(kept)
    newest = max((site.backups / "backups").iterdir())
    with (newest / "database.dump").open("r+b") as dump:
        dump.seek(100)
        dump.write(b"xxxx")
    assert "database.dump is missing or differs" in site.refusal(*restore)
    (newest / "backup.json").write_text("{}")
    assert "backup.json" in site.refusal(*restore)
    (newest / "backup.json").unlink()
    shutil.rmtree(newest)
    for other in (site.backups / "backups").iterdir():
        shutil.rmtree(other)
    assert "holds no backup" in site.refusal(*restore)
    assert (site.rows(), site.digests()) == (before, digests)


def test_an_unfinished_backup_is_none_and_goes(site: Site) -> None:
    """What a killed one left is not offered, and the next removes it; two at once are refused."""
    left = site.backups / "backups" / ".20200101T000000.000000Z"
    left.mkdir()
    (site.backups / "backups" / "of-somebody-else").mkdir()
    (left / "database.dump").write_bytes(b"half")
    assert _names(site) and left.name[1:] not in _names(site)
    with (site.backups / MARK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another backup" in site.refusal("backup", str(site.backups))
    made = site.backup("--keep", "1")
    assert not left.exists()
    assert _names(site) == [made["name"]]
    assert {path.name for path in (site.backups / "backups").iterdir()} == {made["name"], "of-somebody-else"}
    kept = {path.name for path in (site.backups / "objects").glob("??/*")}
    assert kept == {sha256 for _, sha256 in site.digests().values()}
    (site.backups / "backups" / "of-somebody-else").rmdir()
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.backups.rglob("*"))
    assert "at least 1" in site.refusal("backup", str(site.backups), "--keep", "0")


def test_what_cannot_be_reached_makes_no_backup(site: Site) -> None:
    """Neither without PostgreSQL's programs nor without the database; earlier backups stay."""
    before = _names(site)
    programs = site.refusal("backup", str(site.backups), SOP_POSTGRES_PROGRAMS="/nowhere")
    assert "no backup was made" in programs and "SOP_POSTGRES_PROGRAMS" in programs
    newer = site.folder / "newer"
    newer.mkdir()
    (newer / "pg_restore").write_text("#!/bin/sh\necho 'pg_restore (PostgreSQL) 99.1'\n")
    (newer / "pg_restore").chmod(0o755)
    other = site.refusal("backup", str(site.backups), SOP_POSTGRES_PROGRAMS=str(newer))
    assert "the programs are 'pg_restore (PostgreSQL) 99.1'" in other and "no backup was made" in other
    assert "holds other files" in site.refusal("backup", str(site.folder / "data"))
    nobody = site.url.replace(site.name, "no_such_database")
    assert "no backup was made" in site.refusal("backup", str(site.backups), DATABASE_URL=nobody)
    assert before and _names(site) == before
    assert f"{before[0]}  " in site.manage("restore", str(site.backups), "--list")


def test_a_database_of_another_encoding_is_not_migrated(site: Site) -> None:
    name = f"{site.name}_ascii"
    with psycopg.connect(site.url, autocommit=True) as own:
        own.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0".encode())
        try:
            refused = site.refusal("migrate", DATABASE_URL=site.url.replace(site.name, name))
        finally:
            own.execute(f"DROP DATABASE {name}".encode())
    assert "the database's encoding is SQL_ASCII, and must be UTF8" in refused
