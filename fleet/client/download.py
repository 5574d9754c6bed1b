"""Downloads that go on where they broke off: into `<name>.part`, checked, then renamed.

The server's ETag stands beside in `<name>.part.etag`; If-Range makes it send everything anew if the content changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import httpx

from fleet.client.errors import ChecksumWrong, Problem, Unreachable
from fleet.client.transport import RETRIED, Transport

PIECE_BYTES = 256 * 1024
Progress = Callable[[int, int | None], None]


def silent(done: int, total: int | None) -> None:
    """Nobody watches."""


def download(
    transport: Transport, url: str, target: Path, *, sha256: str | None = None, progress: Progress | None = None
) -> Path:
    """Fetch `url` to `target`, from where an earlier try ended. Every piece that comes renews the tries.

    `progress`: called with the bytes that are here and all there will be, if known.
    Raises: Problem, Unreachable, ChecksumWrong; the part stays for the next call unless its content is wrong.
    """
    part, mark = target.with_name(target.name + ".part"), target.with_name(target.name + ".part.etag")
    target.parent.mkdir(parents=True, exist_ok=True)
    attempt = 0
    while True:
        before = _size(part)
        try:
            _fetch(transport, url, part, mark, progress or silent)
            break
        except (httpx.TransportError, Problem) as error:
            if isinstance(error, Problem) and error.status not in RETRIED:
                raise
            attempt = 0 if _size(part) > before else attempt + 1
            if attempt >= transport.tries:
                raise Unreachable(f"the download broke off: {str(error) or type(error).__name__}") from error
            transport.pause(attempt)
    if sha256 is not None and file_sha256(part) != sha256:
        part.unlink()
        mark.unlink(missing_ok=True)
        raise ChecksumWrong(f"{target.name} is not what the server promised; it was removed")
    part.replace(target)
    mark.unlink(missing_ok=True)
    return target


def _fetch(transport: Transport, url: str, part: Path, mark: Path, progress: Progress) -> None:
    have = _size(part) if mark.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": mark.read_text()} if have else {}
    try:
        with transport.stream(url, headers=headers) as response:
            is_rest = response.status_code == 206
            have = have if is_rest else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            etag = response.headers.get("ETag", "")
            if etag and not etag.startswith("W/"):
                mark.write_text(etag)
            else:
                mark.unlink(missing_ok=True)  # nothing to go on by
            with part.open("ab" if is_rest else "wb") as file:
                for piece in response.iter_raw(PIECE_BYTES):
                    file.write(piece)
                    have += len(piece)
                    progress(have, total)
                file.flush()
                os.fsync(file.fileno())
            if total is not None and have != total:
                raise httpx.RemoteProtocolError("the answer ended early")
    except Problem as error:
        if error.status != 416:
            raise
        # All bytes are here already, or the part is longer than the content: begin anew once, then it is told apart.
        _restart_or_accept(transport, url, part, mark)


def _restart_or_accept(transport: Transport, url: str, part: Path, mark: Path) -> None:
    etag = mark.read_text() if mark.exists() else ""
    with transport.stream(url, headers={"Range": "bytes=0-0"}) as response:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        is_whole = response.headers.get("ETag", "") == etag and total == str(_size(part))
    if not is_whole:
        part.unlink()
        mark.unlink(missing_ok=True)
        raise httpx.RemoteProtocolError("what was here of the download did not fit it")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
