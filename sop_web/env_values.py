"""Read numbers and words from environment variables; what does not fit is said by the variable's name."""

from __future__ import annotations

from collections.abc import Mapping


class EnvironmentInvalid(ValueError):
    """A variable holds something unusable; the message names it."""


def seconds(values: Mapping[str, str], name: str, default: float, *, most: float = 86400.0) -> float:
    text = values.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        raise EnvironmentInvalid(f"{name} must be a number of seconds, not '{text}'") from None
    if not 0 < number <= most:
        raise EnvironmentInvalid(f"{name} must lie between 0 and {most:g} seconds")
    return number


def count(values: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = values.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise EnvironmentInvalid(f"{name} must be a whole number of at least {least}, not '{text}'")
    return int(text)


def one_of(values: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """Return the chosen word; the first is the default."""
    text = values.get(name, "") or known[0]
    if text not in known:
        raise EnvironmentInvalid(f"{name} must be one of {', '.join(known)}, not '{text}'")
    return text


def some_of(values: Mapping[str, str], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chosen words of a comma-separated list; the default is none."""
    chosen = tuple(word for part in values.get(name, "").split(",") if (word := part.strip()))
    if not set(chosen) <= set(known):
        raise EnvironmentInvalid(f"{name} must name some of {', '.join(known)}, not '{', '.join(chosen)}'")
    return chosen


def share(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        raise EnvironmentInvalid(f"{name} must be a number, not '{text}'") from None
    if not 0 <= number <= 1:
        raise EnvironmentInvalid(f"{name} must lie between 0 and 1")
    return number
