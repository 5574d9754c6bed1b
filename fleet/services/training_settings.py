"""The check of a run's settings before it starts, by what the learner says of them."""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet.errors import SettingsInvalid, UnknownAlgorithm
from fleet.selectors.training_settings import flat, settings_effective, settings_of, training_settings

MAX_PROBLEMS = 50
MAX_TEXT = 200
_KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "choice": (str,),
    "text": (str,),
}
_LIMITS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("low", "at least", operator.ge),
    ("high", "at most", operator.le),
    ("above", "above", operator.gt),
    ("below", "below", operator.lt),
)
_WORDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "text": "text"}


def settings_check(*, algorithm: str, config: Mapping[str, Any]) -> None:
    """Check a run's settings; what is left out has the learner's default.

    Raises: UnknownAlgorithm; SettingsInvalid with data["problems"]: [{"field", "detail"}], all that is wrong.
    """
    fields = settings_of(algorithm)
    if fields is None:
        known = ", ".join(each["name"] for each in training_settings()["algorithms"])
        raise UnknownAlgorithm(f"the learner has no algorithm '{algorithm[:100]}'; it has {known}", field="algorithm")
    problems = [*_shape(config), *_values(fields, config)]
    if not problems:
        problems = list(_order(algorithm, config))
    if problems:
        shown = [{"field": path[:MAX_TEXT], "detail": detail} for path, detail in problems[:MAX_PROBLEMS]]
        text = "; ".join(f"{each['field']}: {each['detail']}" for each in shown[:3])
        raise SettingsInvalid(text, field=shown[0]["field"], problems=shown)


def _shape(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A key with a point would be taken for a path; a group is no list."""
    for key, value in config.items():
        if "." in key:
            yield key, "there is no such setting"
        elif isinstance(value, Mapping):
            if not value:
                yield key, "must not be an empty group"
            yield from ((f"{key}.{path}", detail) for path, detail in _shape(value))


def _values(fields: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, value in flat(config):
        field = fields.get(path)
        detail = "there is no such setting" if field is None else _problem(field, value)
        if detail:
            yield path, detail


def _problem(field: Mapping[str, Any], value: Any) -> str:
    """Say what is wrong with a value; empty if nothing is."""
    kind = field["kind"]
    if value is None:
        return "" if field["is_optional"] else "must not be empty"
    is_kind = isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if kind == "choice":
        return "" if is_kind and value in field["choices"] else f"must be one of {', '.join(field['choices'])}"
    if not is_kind:
        return f"must be {_WORDS[kind]}"
    if kind == "text":
        fits = len(value) <= MAX_TEXT and (field["pattern"] is None or re.fullmatch(field["pattern"], value))
        return "" if fits else f"must be like {field['pattern']}"
    return _range_problem(field, value) if kind != "boolean" else ""


def _range_problem(field: Mapping[str, Any], value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    unit = f" {field['unit']}" if field["unit"] else ""
    for name, words, fits in _LIMITS:
        if field[name] is not None and not fits(value, field[name]):
            return f"must be {words} {field[name]:,}{unit}"
    return ""


def _order(algorithm: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    values = settings_effective(algorithm=algorithm, config=config)
    for paths in training_settings()["ascending"]:
        for lower, upper in itertools.pairwise(paths):
            if values[lower] > values[upper]:
                yield upper, f"must be at least {lower}, which is {values[lower]:g}"
