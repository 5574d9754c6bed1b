"""Prints the demo's set-up as numbered steps with their times, which also go into the report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Steps:
    """`with steps.step("Starting PostgreSQL"):` prints a line before and the time after."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._count = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._count += 1
        print(f"[{self._count}] {title} ...", flush=True)
        began = time.monotonic()
        yield
        self.seconds[title] = round(time.monotonic() - began, 2)
        print(f"      done in {self.seconds[title]:.1f} s", flush=True)


def say(text: str) -> None:
    print(text, flush=True)
