"""docs/security.md is true to the code: every test and file that it names is there, every row says what is left."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|toml|yml|txt|json))`", TEXT))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 20
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_every_threat_says_how_and_what_is_left() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| [A-Z]\d", line)]
    assert len(rows) >= 15
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4 and all(cells), row
