"""Wall clocks that jump: libfaketime before a process's own libc, steered by a file; monotonic clocks stay true.

One file is one machine's clock: all processes started with its environment jump together, within a second.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path


def library() -> Path | None:
    """Return the shared object of pip's `libfaketime`, None where the package or a build for this system is missing."""
    spec = importlib.util.find_spec("libfaketime")  # not imported: its __init__ wants the process started anew
    places = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(places[0]) / "vendor" / "libfaketime" / "src" / "libfaketime.so.1" if places else None
    return path if path is not None and path.exists() else None


class MachineClock:
    """The wall clock of one machine, `file` its offset in seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Jump, so that the machine's wall clock is `offset_s` from the true one."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(f"{offset_s:+d}\n")
        partial.replace(self._file)

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
