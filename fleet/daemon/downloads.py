"""One object over several connections: parts by HTTP Range, resumed after any interruption, within a byte rate.

    <file>              as long as the object, with holes where nothing has arrived yet
    <file>.progress     which bytes of it have arrived (JSON); without it nothing counts

Used by policy_store for blobs and patches, from the folder's server and from a bucket's signed URLs alike. What it
returns has the right size and nothing more: whoever calls hashes it before use. The event loop also carries commands
and video, so bytes come at `policy.fetch_rate_bytes_s` at most, and slower while somebody watches or drives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import PolicyConfig
from fleet.daemon.enrolment import problem_of
from fleet.protocol.errors import UNPARSABLE, SopError

logger = logging.getLogger(__name__)

WRITE_BYTES = 256 * 1024  # gathered before they go to the disk, in a thread
BURST_S = 0.1  # of the rate, after a pause
LATER_CODES = (429, 503)


class FetchFailed(SopError):
    """The download did not come through this time; what arrived is kept."""

    code = "fetch_failed"

    @property
    def is_url_refused(self) -> bool:
        """Whether the server answered 4xx: the URL has expired or is wrong, a fresh one may help."""
        status = self.data.get("status")
        return isinstance(status, int) and 400 <= status < 500 and status not in LATER_CODES


class FetchLater(FetchFailed):
    """The server is busy and says in how many seconds to ask again (`after_s`)."""

    code = "fetch_later"

    @property
    def after_s(self) -> float:
        after_s = self.data["after_s"]
        assert isinstance(after_s, float)
        return after_s


class DiskFull(FetchFailed):
    """There is no room for it beside what the robot needs and what episodes may take."""

    code = "disk_full"


class Damaged(SopError):
    """What the server sends is another object: its size differs."""

    code = "download_damaged"


class _RangesIgnored(SopError):
    code = "ranges_ignored"


@dataclass(frozen=True)
class Wanted:
    """What to fetch. `name`: for people. `size`: in bytes, at least 1."""

    name: str
    url: str
    size: int


class Part(msgspec.Struct):
    """Bytes [start, end) of the object; those before `at` have arrived."""

    start: int
    end: int
    at: int


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    parts: list[Part]

    def is_sound(self, size: int) -> bool:
        """Whether the parts cover exactly `size` bytes."""
        ends = [0, *(part.end for part in self.parts)]
        fits = all(part.start == end <= part.at <= part.end for part, end in zip(self.parts, ends, strict=False))
        return fits and self.size == size == ends[-1]


class ByteRate:
    """Lets at most `bytes_s()` bytes a second through, of all downloads together, in the order in which they ask."""

    def __init__(
        self,
        bytes_s: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bytes_s = bytes_s
        self._clock = clock
        self._sleep = sleep
        self._paid_until_s = 0.0

    async def take(self, count: int) -> float:
        """Wait until these bytes are within the rate; return the seconds waited."""
        now_s = self._clock()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + count / self._bytes_s()
        wait_s = max(0.0, self._paid_until_s - now_s)
        if wait_s > 0:
            await self._sleep(wait_s)
        return wait_s


class Downloads:
    """The event loop's alone. `is_watched`: whether somebody watches or drives, which the bytes must not disturb."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        config: PolicyConfig,
        *,
        rng: random.Random,
        is_watched: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client = client
        self.config = config
        self._rng = rng
        self.rate = ByteRate(
            lambda: config.fetch_rate_watched_bytes_s if is_watched() else config.fetch_rate_bytes_s,
        )

    async def fetch(self, wanted: Wanted, file: Path) -> int:
        """Complete `file`, from the bytes that it has; return how many came over the wire.

        Raises: FetchFailed when a part failed `fetch_attempts` times or the URL is refused, FetchLater; what arrived
        is kept. Damaged, OSError.
        """
        progress = await asyncio.to_thread(_open, file, wanted.size, self.config.fetch_part_bytes)
        transfer = _Transfer(self, wanted, file, progress)
        try:
            await transfer.run(self.config.fetch_connections)
        except _RangesIgnored:
            logger.warning("the server of %s sends no ranges: one connection, from the beginning", wanted.name)
            progress.parts = [Part(0, wanted.size, 0)]
            transfer.is_ranged = False
            await transfer.run(1)
        return transfer.received_bytes

    def later_s(self, later: FetchLater) -> float:
        """Return how long to wait for a busy server: as it says, within bounds, and not all robots alike."""
        return min(later.after_s, self.config.fetch_later_max_s) * self._rng.uniform(1.0, 1.5)

    def backoff(self) -> Backoff:
        """Return the waits between tries of one thing that does not come: an object's part, or a whole version."""
        return Backoff(min_s=self.config.backoff_min_s, max_s=self.config.backoff_max_s, rng=self._rng)


def discard(file: Path) -> None:
    """Remove what has arrived of an object."""
    file.unlink(missing_ok=True)
    _record(file).unlink(missing_ok=True)


def finish(file: Path) -> None:
    """Forget the record of a file that is whole."""
    _record(file).unlink(missing_ok=True)


def _record(file: Path) -> Path:
    return file.with_name(f"{file.name}.progress")


def _open(file: Path, size: int, part_bytes: int) -> Progress:
    """Return what has arrived, or begin anew where the record or the file is missing or does not fit."""
    try:
        progress = msgspec.json.decode(_record(file).read_bytes(), type=Progress)
        if progress.is_sound(size) and file.stat().st_size == size:
            return progress
        logger.warning("the record of %s does not fit it: it is fetched anew", file.name)
    except FileNotFoundError:
        pass
    except UNPARSABLE:
        logger.warning("the record of %s is damaged: it is fetched anew", file.name)
    starts = range(0, size, part_bytes)
    progress = Progress(size, [Part(start, min(start + part_bytes, size), start) for start in starts])
    discard(file)
    with file.open("wb") as new:
        new.truncate(size)
    _keep(file, progress)
    return progress


def _keep(file: Path, progress: Progress) -> None:
    """Write the record in one step. Unsynced: after a power cut the hash of the whole shows what is missing."""
    record = _record(file)
    new = record.with_name(f"{record.name}.new")
    new.write_bytes(msgspec.json.encode(progress))
    new.replace(record)


class _Transfer:
    """One object's parts on their way."""

    def __init__(self, downloads: Downloads, wanted: Wanted, file: Path, progress: Progress) -> None:
        self._downloads = downloads
        self._config = downloads.config
        self._wanted = wanted
        self._file = file
        self._progress = progress
        self.received_bytes = 0
        self.is_ranged = True  # else every attempt begins at the beginning

    async def run(self, connections: int) -> None:
        """Fetch what is missing. The first part that fails ends the others; what they have is recorded."""
        missing = iter([part for part in self._progress.parts if part.at < part.end])
        handle = os.open(self._file, os.O_WRONLY)
        try:
            tasks = [asyncio.create_task(self._work(missing, handle)) for _ in range(connections)]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                    raise error
        finally:
            os.close(handle)
            _keep(self._file, self._progress)

    async def _work(self, missing: Iterator[Part], handle: int) -> None:
        """One connection: a part at a time, until none is left."""
        for part in missing:
            await self._fetch(part, handle)
            _keep(self._file, self._progress)

    async def _fetch(self, part: Part, handle: int) -> None:
        backoff, problem = self._downloads.backoff(), ""
        for attempt in range(self._config.fetch_attempts):
            if attempt:
                await asyncio.sleep(backoff.next_s())
            try:
                async with asyncio.timeout(self._config.fetch_part_timeout_s) as bound:
                    await self._read(part, handle, bound)
                return
            except TimeoutError:
                problem = f"a part took longer than {self._config.fetch_part_timeout_s:g} s"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
        raise FetchFailed(f"'{self._wanted.name}': {problem}")

    async def _read(self, part: Part, handle: int, bound: asyncio.Timeout) -> None:
        """Fetch the rest of a part. Raises: httpx.HTTPError if it broke off or the server failed; as `fetch`."""
        if not self.is_ranged:
            part.at = part.start
        is_whole = (part.at, part.end) == (0, self._wanted.size)
        headers = {"Accept-Encoding": "identity"}
        if not is_whole:
            headers["Range"] = f"bytes={part.at}-{part.end - 1}"
        stream = self._downloads.client.stream(
            "GET", self._wanted.url, headers=headers, timeout=self._config.fetch_timeout_s
        )
        async with stream as response:
            await refuse_error(response)
            self._check(response, part, is_whole=is_whole)
            await self._write(response, part, handle, bound)
        if part.at < part.end:
            raise httpx.ReadError(f"the transfer ended at {part.at} of {part.end} bytes")

    def _check(self, response: httpx.Response, part: Part, *, is_whole: bool) -> None:
        size = self._wanted.size
        if is_whole:
            if response.headers.get("Content-Length", str(size)) != str(size):
                raise Damaged("the object has another size")
            return
        if response.status_code != 206:
            raise _RangesIgnored("the server sends the whole object")
        sent = response.headers.get("Content-Range", "")
        if sent != f"bytes {part.at}-{part.end - 1}/{size}":
            raise Damaged(f"the server sends '{sent[:100]}'")

    async def _write(self, response: httpx.Response, part: Part, handle: int, bound: asyncio.Timeout) -> None:
        gathered = bytearray()

        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                written = os.pwrite(handle, view, part.at)
                part.at, view = part.at + written, view[written:]

        try:
            async for piece in response.aiter_raw():
                self.received_bytes += len(piece)
                if part.at + len(gathered) + len(piece) > part.end:
                    raise Damaged("the server sends more than the object's bytes")
                gathered += piece
                waited_s = await self._downloads.rate.take(len(piece))
                if waited_s and (when := bound.when()) is not None:
                    bound.reschedule(when + waited_s)  # the robot's own limit is no fault of the server's
                if len(gathered) >= WRITE_BYTES:
                    data = bytes(gathered)
                    gathered.clear()
                    await _in_thread(write, data)
        finally:
            if gathered:  # little, and into the kernel's cache: an interruption loses nothing that arrived
                write(bytes(gathered))


async def _in_thread(write: Callable[[bytes], None], data: bytes) -> None:
    """Write in a thread, and wait for its end even when cancelled: the file is closed after that."""
    task = asyncio.create_task(asyncio.to_thread(write, data))
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait((task,))


async def refuse_error(response: httpx.Response) -> None:
    """Raises: FetchLater, FetchFailed (4xx); Damaged for a range beyond the object; httpx.HTTPError for the rest."""
    if response.is_success:
        return
    await response.aread()
    problem, status = problem_of(response), response.status_code
    after = response.headers.get("Retry-After", "")
    if status in LATER_CODES and after.isascii() and after.isdigit():
        raise FetchLater(problem, status=status, after_s=float(after))
    if status == 416:
        raise Damaged("the object is shorter than announced")
    if status >= 500 or status == 429:
        raise httpx.HTTPStatusError(problem, request=response.request, response=response)
    raise FetchFailed(problem, status=status)
