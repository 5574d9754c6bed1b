"""What an export has finished, one JSON line each, so that a killed export goes on where it was.

The first line says what is exported; a journal of something else is worthless. After it come, for each output file,
the rows that the file left and then one `done` line with its size and SHA-256, synced before the next file begins.
What follows the last `done` line belongs to a file that was under way, and is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from fleet.exports.base import Row

_encode = msgspec.json.Encoder().encode


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="k", tag="done"):
    """A finished file. `frames` and `bytes_read`: what making it consumed."""

    name: str
    size: int
    sha256: str
    rows: int
    frames: int = 0
    bytes_read: int = 0


_DONE = b'{"k":"done",'
_decode_done = msgspec.json.Decoder(Done).decode
_decode_row = msgspec.json.Decoder(Row).decode


class Journal:
    """Replays what it holds in order, then takes what is new. Close it when done."""

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        header = _encode({"k": "export", "identity": identity}) + b"\n"
        self._file = path.open("r+b" if path.exists() else "w+b")
        self.is_resumed = self._file.readline() == header
        if not self.is_resumed:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(header)
            self._sync()
        self._end = self._file.tell()  # after the last `done` line that counts
        self._is_replaying = self.is_resumed
        self._rows = 0

    def replay(self, name: str, is_there: Callable[[Done], bool]) -> Done | None:
        """Return the next finished file if it is this one and `is_there`, else drop what follows and return None."""
        if not self._is_replaying:
            return None
        for line in iter(self._file.readline, b""):
            if line.startswith(_DONE) and line.endswith(b"\n"):
                done = _decode_done(line)
                if done.name != name or not is_there(done):
                    break
                self._end = self._file.tell()
                return done
        self._is_replaying = False
        self._file.seek(self._end)
        self._file.truncate()
        return None

    def add(self, kind: str, row: Row) -> None:
        """Note a row of the file under way."""
        self._file.write(_encode({"k": kind, **row}) + b"\n")
        self._rows += 1

    def finish(self, *, name: str, size: int, sha256: str, frames: int, bytes_read: int) -> Done:
        """Note the file under way as finished, durably."""
        done = Done(name=name, size=size, sha256=sha256, rows=self._rows, frames=frames, bytes_read=bytes_read)
        self._rows = 0
        self._file.write(_encode(done) + b"\n")
        self._sync()
        self._end = self._file.tell()
        return done

    def rows(self, kind: str) -> Iterator[Row]:
        """Yield the rows of this kind of all finished files, in order."""
        prefix = b'{"k":' + _encode(kind) + b","
        yield from (_decode_row(line) for line in self._lines() if line.startswith(prefix))

    def finished(self) -> Iterator[Done]:
        yield from (_decode_done(line) for line in self._lines() if line.startswith(_DONE))

    def close(self) -> None:
        self._file.close()

    def _lines(self) -> Iterator[bytes]:
        left = self._end
        with self._path.open("rb") as file:
            for line in file:
                left -= len(line)
                if left < 0:
                    return
                yield line

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
