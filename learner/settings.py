"""What may be set of a run, as data: the form of the console and the check of the server are made of it.

`python -m learner settings` writes it to fleet/training_settings.json, since the server does not import the learner;
tests/learner/test_settings.py fails when the two differ. The dataclasses of `config.py` and of each algorithm are the
only source: their fields, defaults, and what `setting` says of each.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import types
import typing
from collections.abc import Iterator
from typing import Any

from learner import algorithms as package
from learner.algorithms.base import algorithms
from learner.config import RunConfig, setting_of

_GROUPS = {
    "": "Machine",
    "optim": "Optimiser",
    "sampler": "Sampler",
    "data": "Data",
    "round": "Rounds and versions",
    "algorithm_config": "Algorithm",
    "algorithm_config.value": "Value function",
}
_OWN = frozenset({"algorithm", "algorithm_config", "seed"})  # a run's row has them itself
_ASCENDING = (("sampler.floor", "sampler.cap_start", "sampler.cap_end"),)


def settings() -> dict[str, Any]:
    """Return {"algorithms": [{name, title, help, fields}], "fields": [...], "ascending": [[path, ...]]}.

    A field: path, group, label, kind (integer, number, boolean, choice or text), default, is_optional, unit, low, high,
    above, below, choices, pattern, help; null where there is no such thing.
    """
    return {
        "algorithms": [_algorithm(name) for name in algorithms()],
        "fields": [each for each in _fields(RunConfig) if each["path"] not in _OWN],
        "ascending": [list(paths) for paths in _ASCENDING],
    }


def _algorithm(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"{package.__name__}.{name}.config")
    fields = list(_fields(module.CONFIG, "algorithm_config"))
    return {"name": name, "title": module.TITLE, "help": module.HELP, "fields": fields}


def _fields(kind: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    defaults = kind()
    for each in dataclasses.fields(kind):
        path = f"{prefix}.{each.name}" if prefix else each.name
        hint, default = hints[each.name], getattr(defaults, each.name)
        if dataclasses.is_dataclass(hint):
            yield from _fields(hint, path)
            continue
        found = setting_of(hint)
        if found is None:
            if path in _OWN:
                continue
            raise TypeError(f"{kind.__name__}.{each.name} needs a `setting`")
        inner, said = found
        extra = said.extra or {}
        if extra["is_local"]:
            continue
        yield {
            "path": path,
            "group": _GROUPS.get(prefix, prefix),
            "label": each.name.removesuffix("_s").replace("_", " ").capitalize(),
            **_kind(inner),
            "is_optional": types.NoneType in typing.get_args(hint),
            "default": default.value if isinstance(default, enum.Enum) else default,
            "unit": extra["unit"],
            "low": said.ge,
            "high": said.le,
            "above": said.gt,
            "below": said.lt,
            "pattern": "^[0-9a-f]{64}$" if extra["is_sha256"] else said.pattern,
            "help": said.description,
        }


def _kind(hint: Any) -> dict[str, Any]:
    choices: list[str] | None = None
    if typing.get_origin(hint) is typing.Literal:
        choices = list(typing.get_args(hint))
    elif issubclass(hint, enum.Enum):
        choices = [each.value for each in hint]
    name = "choice" if choices else {bool: "boolean", int: "integer", float: "number", str: "text"}[hint]
    return {"kind": name, "choices": choices}
