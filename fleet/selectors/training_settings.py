"""What may be set of a training run: the learner's own words, written to a file by `python -m learner settings`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).resolve().parents[1] / "training_settings.json"


@cache
def training_settings() -> dict[str, Any]:
    """Return algorithms, fields and rules as `learner/settings.py` describes them."""
    found: dict[str, Any] = json.loads(_FILE.read_text())
    return found


def settings_of(algorithm: str) -> dict[str, dict[str, Any]] | None:
    """Return the fields of the trainer and of an algorithm by path; None for one that the learner does not have."""
    found = training_settings()
    own = next((each["fields"] for each in found["algorithms"] if each["name"] == algorithm), None)
    return None if own is None else {field["path"]: field for field in (*own, *found["fields"])}


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf."""
    for key, value in config.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from flat(value, path)
        else:
            yield path, value


def settings_effective(*, algorithm: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run trains with by path: what was set of it, and the learner's defaults."""
    fields = settings_of(algorithm) or {}
    return {path: field["default"] for path, field in fields.items()} | dict(flat(config))
