"""Delivers closed episodes: ask where to, PUT every object, say ready, wait for "registered". Idempotent throughout.

Every step may be repeated after any crash or loss of connection: the server answers `is_stored` for what it holds and
EpisodeRegistered for what it knows. An episode waits its turn with back-off after a failure and is never dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import msgspec

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import UploadConfig
from fleet.daemon.enrolment import problem_of
from fleet.daemon.spool import Spool
from fleet.protocol.errors import RecordingError, SopError
from fleet.protocol.messages import (
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    RobotMessage,
    UploadGrant,
    UploadRequest,
    UploadTarget,
)
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, ObjectRecord, sha256_of_file

logger = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
IDLE_S = 60.0  # how long to wait when nothing is due; anything new wakes at once
Answer = UploadGrant | EpisodeRegistered | EpisodeRefused


class UploadFailed(SopError):
    """This attempt failed; the episode stays and is tried again."""

    code = "upload_failed"


class Uploader:
    """`run` never returns; cancel it to end. `wake`, `link_opened`, `link_closed`, `receive` belong to its loop."""

    def __init__(
        self,
        *,
        spool: Spool,
        client: httpx.AsyncClient,
        config: UploadConfig,
        send: Callable[[RobotMessage], bool],
        rng: random.Random,
        takes_shadows: Callable[[], bool] = lambda: False,
    ) -> None:
        """`takes_shadows`: whether the server understands what a candidate proposed in an episode."""
        self._spool = spool
        self._client = client
        self._config = config
        self._send = send
        self._rng = rng
        self._takes_shadows = takes_shadows
        self._wake = asyncio.Event()
        self._is_open = False
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._due_s: dict[str, float] = {}

    def wake(self) -> None:
        """An episode was closed."""
        self._wake.set()

    def link_opened(self) -> None:
        """Everything pending is due now."""
        self._is_open = True
        self._due_s.clear()
        self._wake.set()

    def link_closed(self) -> None:
        """Answers that were awaited will not come."""
        self._is_open = False
        for future in self._answers.values():
            if not future.done():
                future.set_exception(UploadFailed("the link closed"))

    def receive(self, message: Answer) -> None:
        """Take an answer of the server, awaited or not."""
        future = self._answers.get(message.episode_id)
        if future is not None and not future.done():
            future.set_result(message)
        elif isinstance(message, EpisodeRegistered) or (isinstance(message, EpisodeRefused) and message.is_final):
            self._conclude(message)

    async def run(self) -> None:
        """Keep delivering, at most `concurrency` episodes at a time."""
        busy: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                self._wake.clear()
                for episode_id in self._due(set(busy)):
                    if len(busy) < self._config.concurrency:
                        busy[episode_id] = asyncio.create_task(self._deliver(episode_id))
                await self._pause(busy)
                for episode_id in [key for key, task in busy.items() if task.done()]:
                    busy.pop(episode_id).result()
        finally:
            for task in busy.values():
                task.cancel()
            await asyncio.gather(*busy.values(), return_exceptions=True)

    def _due(self, busy: set[str]) -> list[str]:
        if not self._is_open:
            return []
        now_s = time.monotonic()
        return [i for i in self._spool.pending() if i not in busy and self._due_s.get(i, 0.0) <= now_s]

    async def _pause(self, busy: dict[str, asyncio.Task[None]]) -> None:
        """Wait for a finished delivery, a new episode, or the next one whose back-off ends."""
        now_s = time.monotonic()
        waits = [due_s - now_s for key, due_s in self._due_s.items() if self._is_open and due_s > now_s]
        timeout_s = min(waits, default=IDLE_S)
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((*busy.values(), waking), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()

    async def _deliver(self, episode_id: str) -> None:
        try:
            self._conclude(await self._attempt(episode_id))
        except (UploadFailed, RecordingError) as error:
            self._postpone(episode_id, error.message)
        except OSError as error:
            self._postpone(episode_id, f"{type(error).__name__}: {error}")

    def _postpone(self, episode_id: str, problem: str) -> None:
        bounds = {"min_s": self._config.backoff_min_s, "max_s": self._config.backoff_max_s}
        wait_s = self._backoffs.setdefault(episode_id, Backoff(**bounds, rng=self._rng)).next_s()
        self._due_s[episode_id] = time.monotonic() + wait_s
        logger.warning("episode %s not delivered (%s), next try in %.1f s", episode_id, problem, wait_s)

    def _conclude(self, answer: EpisodeRegistered | EpisodeRefused) -> None:
        episode_id = answer.episode_id
        self._backoffs.pop(episode_id, None)
        self._due_s.pop(episode_id, None)
        if isinstance(answer, EpisodeRegistered):
            self._spool.mark_uploaded(episode_id)
            logger.info("episode %s registered", episode_id)
        else:
            self._spool.mark_refused(episode_id, code=answer.code, message=answer.message)
            logger.error("episode %s refused for good: %s: %s", episode_id, answer.code, answer.message)

    async def _attempt(self, episode_id: str) -> EpisodeRegistered | EpisodeRefused:
        manifest = self._spool.manifest(episode_id)
        size, sha256 = sha256_of_file(self._spool.path(episode_id, MANIFEST_OBJECT))
        objects = (*manifest.objects, ObjectRecord(name=MANIFEST_OBJECT, size=size, sha256=sha256))
        answer = await self._ask(UploadRequest(episode_id=episode_id, objects=objects))
        if isinstance(answer, UploadGrant):
            await self._put_all(episode_id, objects, answer)
            answer = await self._announce(manifest)
        if isinstance(answer, EpisodeRefused) and not answer.is_final:
            raise UploadFailed(f"refused for now: {answer.code}: {answer.message}")
        if isinstance(answer, UploadGrant):
            raise UploadFailed("the server granted an upload that was finished")
        return answer

    async def _announce(self, manifest: EpisodeManifest) -> Answer:
        shadow = self._spool.shadow(manifest.episode_id) if self._takes_shadows() else None
        ready = EpisodeReady(
            episode_id=manifest.episode_id,
            uploaded_ns=time.time_ns(),
            manifest=manifest,
            shadow=shadow if shadow is not None else msgspec.UNSET,
        )
        return await self._ask(ready)

    async def _ask(self, message: UploadRequest | EpisodeReady) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[message.episode_id] = future
        try:
            if not self._send(message):
                raise UploadFailed("the link is not open")
            async with asyncio.timeout(self._config.request_timeout_s):
                return await future
        except TimeoutError:
            raise UploadFailed(f"no answer to {type(message).__name__}") from None
        finally:
            del self._answers[message.episode_id]

    async def _put_all(self, episode_id: str, objects: tuple[ObjectRecord, ...], grant: UploadGrant) -> None:
        """PUT what is not stored yet, the manifest last."""
        targets = {target.name: target for target in grant.targets}
        for record in objects:
            target = targets.get(record.name)
            if target is None:
                raise UploadFailed(f"the grant lacks '{record.name}'")
            if not target.is_stored:
                await self._put(self._spool.path(episode_id, record.name), record, target)

    async def _put(self, path: Path, record: ObjectRecord, target: UploadTarget) -> None:
        """PUT one object, again after a lost connection or a busy server. Raises: UploadFailed."""
        headers = {**target.headers, "Content-Length": str(record.size)}
        bounds = {"min_s": self._config.backoff_min_s, "max_s": self._config.backoff_max_s}
        backoff = Backoff(**bounds, rng=self._rng)
        problem = ""
        for attempt in range(self._config.put_attempts):
            if attempt:
                await asyncio.sleep(backoff.next_s())
            try:
                response = await self._client.put(
                    target.url, content=_pieces(path), headers=headers, timeout=self._config.put_timeout_s
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.is_success:
                return
            problem = problem_of(response)
            if response.status_code < 500 and response.status_code != 429:
                break  # an expired grant or other content under this name: a new grant tells more
        raise UploadFailed(f"PUT {record.name}: {problem}")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
