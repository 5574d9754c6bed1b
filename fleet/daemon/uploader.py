"""Delivers closed episodes: ask where to, PUT every object, say ready, wait for "registered". Idempotent throughout.

Every step may be repeated after any crash or loss of connection: the server answers `is_stored` for what it holds,
grants the parts that it lacks of a large object, and answers EpisodeRegistered for what it knows. An episode waits its
turn with back-off after a failure and is never dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

import httpx
import msgspec

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import UploadConfig
from fleet.daemon.enrolment import problem_of
from fleet.daemon.parts import cut, pieces
from fleet.daemon.spool import Spool
from fleet.protocol import tracing
from fleet.protocol.errors import RecordingError, SopError
from fleet.protocol.messages import (
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    ObjectParts,
    PartTarget,
    RobotMessage,
    UploadGrant,
    UploadRequest,
    UploadTarget,
)
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, ObjectRecord, sha256_of_file

logger = logging.getLogger(__name__)

MAX_ROUNDS = 100  # of asking for parts of one episode; 2 GiB in parts of 5 MiB take 9
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
        self._announced: set[str] = set()  # of these EpisodeReady is on its way or being looked at
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
        if isinstance(message, UploadGrant) and message.episode_id in self._announced:
            return  # of an earlier request, which a slow server answered when it was no longer waited for
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
        began_ns, failed, traceparent = time.time_ns(), "", ""
        try:
            manifest = self._spool.manifest(episode_id)
            traceparent = manifest.traceparent or ""
            answer = await self._attempt(manifest)
            failed = answer.code if isinstance(answer, EpisodeRefused) else ""
            self._conclude(answer)
        except (UploadFailed, RecordingError) as error:
            failed = error.code
            self._postpone(episode_id, error.message)
        except OSError as error:
            failed = type(error).__name__
            self._postpone(episode_id, f"{type(error).__name__}: {error}")
        if traceparent:
            about = {"sop.episode": episode_id}
            end_ns = time.time_ns()
            tracing.record(
                "robot.upload", start_ns=began_ns, end_ns=end_ns, parent=traceparent, attributes=about, failed=failed
            )

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

    async def _attempt(self, manifest: EpisodeManifest) -> EpisodeRegistered | EpisodeRefused:
        size, sha256 = sha256_of_file(self._spool.path(manifest.episode_id, MANIFEST_OBJECT))
        objects = (*manifest.objects, ObjectRecord(name=MANIFEST_OBJECT, size=size, sha256=sha256))
        answer = await self._store(manifest, objects)
        if answer is None:
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
        self._announced.add(manifest.episode_id)
        try:
            return await self._ask(ready)
        finally:
            self._announced.discard(manifest.episode_id)

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

    async def _store(self, manifest: EpisodeManifest, objects: tuple[ObjectRecord, ...]) -> Answer | None:
        """PUT what is not stored yet, the manifest last; None when everything is. Else what the server says instead."""
        cuts: dict[str, ObjectParts] = {}
        for _ in range(MAX_ROUNDS):
            request = UploadRequest(episode_id=manifest.episode_id, objects=objects, parts=tuple(cuts.values()))
            grant = await self._ask(request)
            if not isinstance(grant, UploadGrant):
                return grant
            targets = {target.name: target for target in grant.targets if not target.is_stored}
            parted = [target for target in targets.values() if target.part_bytes]
            for record in objects:
                if record.name not in {target.name for target in grant.targets}:
                    raise UploadFailed(f"the grant lacks '{record.name}'")
                is_due = record.name in targets and not targets[record.name].part_bytes
                if is_due and not (parted and record.name == MANIFEST_OBJECT):
                    await self._put(manifest, record.name, targets[record.name], start=0, size=record.size)
            if not parted:
                return None
            for target in parted:
                await self._put_parts(manifest, target, cuts)
        raise UploadFailed(f"parts are missing after {MAX_ROUNDS} rounds")

    async def _put_parts(self, manifest: EpisodeManifest, target: UploadTarget, cuts: dict[str, ObjectParts]) -> None:
        """PUT the parts that were granted, of which the server must have been told; if it was not, get ready to."""
        known, path = cuts.get(target.name), self._spool.path(manifest.episode_id, target.name)
        if known is None or known.part_bytes != target.part_bytes:
            cuts[target.name] = await asyncio.to_thread(cut, path, name=target.name, part_bytes=target.part_bytes)
            return
        whole = path.stat().st_size
        for part in target.parts:
            start = (part.number - 1) * target.part_bytes
            size = min(target.part_bytes, whole - start)
            await self._put(manifest, target.name, part, start=start, size=size)

    async def _put(
        self, manifest: EpisodeManifest, name: str, target: UploadTarget | PartTarget, *, start: int, size: int
    ) -> None:
        """PUT an object, or a part of one, again after a lost connection or a busy server. Raises: UploadFailed."""
        path, traced = self._spool.path(manifest.episode_id, name), tracing.headers(manifest.traceparent or "")
        headers = {**traced, **target.headers, "Content-Length": str(size)}
        bounds = {"min_s": self._config.backoff_min_s, "max_s": self._config.backoff_max_s}
        backoff = Backoff(**bounds, rng=self._rng)
        problem = ""
        for attempt in range(self._config.put_attempts):
            if attempt:
                await asyncio.sleep(backoff.next_s())
            try:
                body = pieces(path, start=start, size=size)
                response = await self._client.put(
                    target.url, content=body, headers=headers, timeout=self._config.put_timeout_s
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.is_success:
                return
            problem = problem_of(response)
            if response.status_code < 500 and response.status_code != 429:
                break  # an expired grant or other content under this name: a new grant tells more
        raise UploadFailed(f"PUT {name}: {problem}")
