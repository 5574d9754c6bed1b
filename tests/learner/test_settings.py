"""What may be set of a run, as the server and the console get it from the learner's dataclasses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.services.training_settings import settings_check
from learner.algorithms.base import algorithms, build_algorithm
from learner.commands.settings import as_json
from learner.config import ConfigError, RunConfig, from_mapping
from learner.settings import settings

FILE = Path(__file__).resolve().parents[2] / "fleet" / "training_settings.json"


def test_the_file_is_what_the_learner_says_now():
    """Differs? `python -m learner settings fleet/training_settings.json` writes it anew."""
    assert FILE.read_text() == as_json()


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _fields() -> list[tuple[str, dict[str, Any]]]:
    found = settings()
    own = [(each["name"], field) for each in found["algorithms"] for field in each["fields"]]
    return [*own, *(("hg_dagger", field) for field in found["fields"])]


@pytest.mark.parametrize(
    ("algorithm", "field"), _fields(), ids=lambda each: each["path"] if isinstance(each, dict) else ""
)
def test_server_and_learner_agree_on_each_setting(algorithm: str, field: dict[str, Any]):
    """Its default passes both; a value beyond each limit, of another kind or unknown fails both."""
    _both(algorithm, field, field["default"], is_fine=True)
    bad: list[Any] = [{}, [1]]
    bad += [] if field["is_optional"] else [None]
    bad += [field["low"] - 1] if field["low"] is not None else []
    bad += [field["high"] + 1] if field["high"] is not None else []
    bad += [field[name] for name in ("above", "below") if field[name] is not None]
    bad += ["surely not"] if field["choices"] or field["kind"] in ("integer", "number", "boolean") else []
    for value in bad:
        _both(algorithm, field, value, is_fine=False)


def _both(algorithm: str, field: dict[str, Any], value: Any, *, is_fine: bool) -> None:
    from fleet.errors import SettingsInvalid

    config = _nested(field["path"], value)
    if is_fine:
        settings_check(algorithm=algorithm, config=config)
        read = from_mapping(RunConfig, config)
        build_algorithm(algorithm, read.algorithm_config)
        return
    with pytest.raises(SettingsInvalid) as raised:
        settings_check(algorithm=algorithm, config=config)
    assert raised.value.data["field"] == field["path"]
    with pytest.raises(ConfigError):
        build_algorithm(algorithm, from_mapping(RunConfig, config).algorithm_config)


def test_every_algorithm_of_the_registry_is_offered():
    """The form offers what the learner can build, in words."""
    offered = json.loads(FILE.read_text())["algorithms"]
    assert tuple(each["name"] for each in offered) == algorithms()
    assert all(each["title"] and each["help"] for each in offered)


def test_ranges_hold_for_whoever_builds_a_config():
    """`setting` is the only place of a range: a dataclass made by hand obeys it too."""
    from learner.config import OptimConfig

    with pytest.raises(ConfigError, match="ema_decay must be below 1"):
        OptimConfig(ema_decay=1.0)
