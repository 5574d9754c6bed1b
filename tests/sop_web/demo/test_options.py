"""The demo's options, its account, clearing."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from sop_web.demo.config import BasePolicyConfig, parse_arguments
from sop_web.demo.credentials import kept_credentials
from sop_web.demo.reset import reset
from sop_web.embedded import system
from sop_web.embedded.errors import DataFolderLocked


def test_the_options_of_the_issue_parse() -> None:
    """The command of issue 2 gives what it says."""
    action, config = parse_arguments(["--robots", "4", "--minutes", "15", "--headless", "--report", "demo.json"])
    assert action == "run"
    assert (config.robots, config.minutes, config.is_headless, config.report) == (4, 15.0, True, Path("demo.json"))
    assert len(config.eval_seeds()) * len(config.base.tasks) >= 100


@pytest.mark.parametrize(
    "options", ["--robots 0", "--minutes -1", "--report x.json", "--port 99999", "--speed 0", "no"]
)
def test_impossible_options_are_refused(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ends with argparse's status 2 and a message."""
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(options.split())
    assert "error:" in capsys.readouterr().err


def test_the_cache_follows_the_settings() -> None:
    """Equal settings share a cache, any changed one has its own."""
    base = BasePolicyConfig()
    assert base.digest() == BasePolicyConfig().digest()
    changed = {
        "tasks": ("bin-picking",), "demonstrations": 1, "scenes": 1, "encoder_steps": 1, "pretrain_steps": 1,
        "seed": 1, "recipe": 0,
    }  # fmt: skip
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    digests = {dataclasses.replace(base, **{name: value}).digest() for name, value in changed.items()}
    assert len(digests | {base.digest()}) == len(changed) + 1


def test_accounts_are_made_once_and_are_private(tmp_path: Path) -> None:
    """Passwords stay the same over starts, in a file of mode 0600, each its own."""
    first = kept_credentials(tmp_path)
    assert kept_credentials(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "demo" / "credentials.json").stat().st_mode) == 0o600
    assert len({*vars(first).values(), *vars(kept_credentials(tmp_path / "other")).values()}) == 6


@pytest.fixture
def used(tmp_path: Path) -> Path:
    for name in ("postgres", "robots", "cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "foreign.txt").touch()
    return tmp_path


def test_reset_removes_the_demo_and_nothing_else(used: Path) -> None:
    """The cache and files of others stay."""
    assert reset(used, is_confirmed=True)
    assert sorted(path.name for path in used.iterdir()) == ["cache", "foreign.txt", "lock"]


def test_reset_without_a_yes_removes_nothing(used: Path) -> None:
    """With nobody to ask, nothing happens."""
    assert not reset(used, is_confirmed=False)
    assert (used / "postgres" / "file").exists()


def test_reset_while_a_demo_runs_is_refused(used: Path) -> None:
    """The lock of the running demo protects its data."""
    with system.folder_lock(used), pytest.raises(DataFolderLocked):
        reset(used, is_confirmed=True)
    assert (used / "postgres" / "file").exists()
