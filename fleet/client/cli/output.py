"""Tables, JSON lines and a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec

_BAR = 30


def show(rows: Iterable[Any], columns: Sequence[str], *, is_json: bool) -> None:
    """Print structs: whole as JSON lines as they come, or the columns as a table."""
    if is_json:
        for row in rows:
            print(msgspec.json.encode(row).decode(), flush=True)
        return
    cells = [[_text(getattr(row, name)) for name in columns] for row in rows]
    titles = [name.replace("_", " ") for name in columns]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for line in (titles, *cells):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    """As one printable word or phrase."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(map(_text, value)) or "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(timespec="seconds"))
    return printable(str(value)) or "-"


def printable(text: str) -> str:
    """Return what a robot, a person or a file wrote so that it does not steer the terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def size_words(count: float) -> str:
    """ "12.3 MB", by thousands."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


class Bar:
    """A line on stderr that is drawn over; into a file or pipe a line a tenth of the way."""

    def __init__(self, title: str, *, stream: TextIO | None = None) -> None:
        self._title, self._stream = title, stream or sys.stderr
        self._begun_s = self._drawn_s = time.monotonic()
        self._first: int | None = None
        self._tenth = -1

    def bytes(self, done: int, total: int | None) -> None:
        self._first = done if self._first is None else self._first
        seconds = max(time.monotonic() - self._begun_s, 0.001)
        words = f"{size_words(done)}" + (f" of {size_words(total)}" if total else "")
        self._draw(done, total, f"{words}, {size_words((done - self._first) / seconds)}/s")

    def count(self, done: int, total: int, unit: str) -> None:
        self._draw(done, total, f"{done:,} of {total:,} {unit}")

    def end(self) -> None:
        if self._stream.isatty():
            print(file=self._stream)

    def _draw(self, done: int, total: int | None, words: str) -> None:
        share = min(done / total, 1.0) if total else 0.0
        if not self._stream.isatty():
            tenth = int(share * 10)
            if tenth > self._tenth:
                self._tenth = tenth
                print(f"{self._title}: {words}", file=self._stream, flush=True)
            return
        now = time.monotonic()
        if now - self._drawn_s < 0.1 and done != total:
            return
        self._drawn_s = now
        filled = round(share * _BAR)
        bar = "█" * filled + "░" * (_BAR - filled)
        print(f"\r\033[K{self._title} {bar} {share:4.0%}  {words}", end="", file=self._stream, flush=True)
