"""Numbers of alerts in plain words, the same in the console, in mails and in webhooks. Pure."""

from __future__ import annotations


def span_words(seconds: float) -> str:
    """Say a time as people do: "45 s", "12 min", "3.5 h", "2 days"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86_400:
        return f"{_short(seconds / 3600)} h"
    return f"{_short(seconds / 86_400)} days"


def value_words(value: float, unit: str) -> str:
    """Say a value with its unit: share, per_hour, s, steps or episodes."""
    if unit == "share":
        return f"{_short(100 * value)} %"
    if unit == "s":
        return span_words(value)
    return f"{_short(value)} {'per hour' if unit == 'per_hour' else unit}"


def interval_words(value: float, low: float | None, high: float | None, unit: str) -> str:
    """Say a value with its 95 % interval, as "40 % [30 %, 51 %]"."""
    if low is None or high is None:
        return value_words(value, unit)
    return f"{value_words(value, unit)} [{value_words(low, unit)}, {value_words(high, unit)}]"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0") if abs(number) < 1000 else f"{number:,.0f}"
