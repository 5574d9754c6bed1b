"""What the driver's host asks of draccus, for tests without lerobot: a dataclass from a dict, by its type."""

from __future__ import annotations

from typing import Any


class ChoiceRegistry:
    @classmethod
    def register_subclass(cls, name: str) -> Any:
        def register(subclass: type) -> type:
            cls._choices[name] = subclass  # type: ignore[attr-defined]
            return subclass

        return register

    @classmethod
    def get_known_choices(cls) -> dict[str, type]:
        return cls._choices  # type: ignore[attr-defined, no-any-return]


def decode(kind: type[ChoiceRegistry], raw: dict[str, Any]) -> Any:
    fields = dict(raw)
    return kind.get_known_choices()[fields.pop("type")](**fields)
