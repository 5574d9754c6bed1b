"""The daemon's side of live video: keeps the media process alive, films what is watched, passes messages on.

`create_media` is what the daemon calls. aiortc is imported in the media process alone; without it that process ends at
once, and offers are answered with `media_down` while the robot works on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import MediaConfig
from fleet.daemon.drivers.base import Driver
from fleet.daemon.drivers.base import Filmed as FilmedDriver
from fleet.daemon.media import wire
from fleet.daemon.media.base import (
    MalformedSdp,
    Media,
    MediaDown,
    MediaError,
    OnClosed,
    OnText,
    TooManyPeers,
    UnknownView,
)
from fleet.daemon.media.filming import Filmer
from fleet.daemon.media.frames import FrameStore
from fleet.daemon.media.process import MediaChild, can_run
from fleet.protocol.messages import CameraInfo, PeerOffer

logger = logging.getLogger(__name__)

LASTING_S = 10.0  # a media process that lived for so long had started properly
_ERRORS: dict[str, type[MediaError]] = {kind.code: kind for kind in (MalformedSdp, MediaDown)}


def create_media(driver: Driver, config: MediaConfig, *, max_peers: int = 3) -> Media:
    """Return the live video of `driver`; a driver that does not film has no views, and data channels alone."""
    return MediaHost(driver if isinstance(driver, FilmedDriver) else None, driver.info.views, config, max_peers)


class MediaHost:
    """See `base.Media`. One `run` in its life."""

    def __init__(
        self, driver: FilmedDriver | None, views: Sequence[CameraInfo], config: MediaConfig, max_peers: int
    ) -> None:
        self._config = config
        self._max_peers = max_peers
        self._views = tuple(views) if driver is not None else ()
        self._driver = driver
        self._filmer: Filmer | None = None
        self._child: MediaChild | None = None
        self._ready = asyncio.Event()
        self._requests = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[str]]] = {}  # request -> peer_id, its answer
        self._peers: dict[str, int] = {}  # peer_id -> the request it was answered to
        self._gave_up = False

    def start(self, on_text: OnText, on_closed: OnClosed) -> None:
        self._on_text = on_text
        self._on_closed = on_closed

    # --- Running -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        if not can_run():
            logger.warning("no live video: aiortc is not installed (fleet/daemon/requirements.txt)")
        else:
            try:
                await self._serve()
            except Exception:  # a robot without pictures works on; one without its daemon does not
                logger.exception("live video failed; there is none until the daemon starts again")
        self._gave_up = True

    async def _serve(self) -> None:
        config = self._config
        store = FrameStore(self._views)
        if self._driver is not None:
            loop = asyncio.get_running_loop()

            def post(slot: int, captured_s: float) -> None:
                loop.call_soon_threadsafe(self._show, slot, captured_s)

            self._filmer = Filmer(self._driver, store, config, post)
        backoff = Backoff(min_s=config.restart_min_s, max_s=config.restart_max_s, rng=random.Random())
        try:
            await self._keep_alive(store, backoff)
        finally:
            if self._filmer is None or await asyncio.to_thread(self._filmer.stop):
                store.close()

    async def _keep_alive(self, store: FrameStore, backoff: Backoff) -> None:
        failures = 0
        while failures < self._config.restart_limit:
            began_s = time.monotonic()
            try:
                async with MediaChild(self._config, store) as self._child:
                    reason = await self._child.run(self._receive)
            except OSError as error:
                reason = f"could not be started: {error}"
            finally:
                self._lose_all()
            if time.monotonic() - began_s > LASTING_S:
                failures = 0
                backoff.reset()
            failures += 1
            logger.error("the media process ended (%s); it is started again", reason)
            await asyncio.sleep(backoff.next_s())
        logger.error("no live video until the daemon starts again: %d starts failed in a row", failures)

    def _lose_all(self) -> None:
        """The media process is gone, and every peer and open question with it."""
        self._child = None
        self._ready.clear()
        if self._filmer is not None:
            self._filmer.release_all()
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(MediaDown("the media process ended"))
        self._waiting.clear()
        peers, self._peers = self._peers, {}
        for peer_id in peers:
            self._on_closed(peer_id, "media_down")

    def _receive(self, message: wire.FromMedia) -> None:
        match message:
            case wire.Ready():
                self._ready.set()
            case wire.Answered():
                self._take_answer(message)
            case wire.Heard(peer_id, request, text):
                if self._peers.get(peer_id) == request:
                    self._pass_on(peer_id, text)
            case wire.Gone(peer_id, request, reason):
                if self._peers.get(peer_id) == request:
                    del self._peers[peer_id]
                    self._on_closed(peer_id, reason)
            case wire.Watched(fps):
                if self._filmer is not None:
                    self._filmer.watch(fps)
            case wire.Taken(slot):
                if self._filmer is not None:
                    self._filmer.release(slot)
            case wire.Beat():
                pass  # MediaChild counts every message as a sign of life

    def _pass_on(self, peer_id: str, text: str) -> None:
        try:
            self._on_text(peer_id, text)
        except Exception:  # one message of one browser must not end everybody's video
            logger.exception("a message of peer %s failed", peer_id)

    def _take_answer(self, message: wire.Answered) -> None:
        peer_id, answer = self._waiting.pop(message.request, ("", None))
        if answer is None or answer.done():
            return  # nobody waits any more; `answer` has hung up
        if message.code:
            answer.set_exception(_ERRORS.get(message.code, MediaError)(message.message))
            return
        self._peers[peer_id] = message.request
        answer.set_result(message.sdp)

    def _show(self, slot: int, captured_s: float) -> None:
        if self._child is None or not self._child.write(wire.Filmed(slot, captured_s)):
            assert self._filmer is not None
            self._filmer.release(slot)

    # --- Media -------------------------------------------------------------------------------------------------------

    async def answer(self, offer: PeerOffer) -> str:
        self._admit(offer)
        if offer.views and self._filmer is not None:
            self._filmer.expect()
        self._requests += 1
        request = self._requests
        result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                await self._ready.wait()
                self._waiting[request] = (offer.peer_id, result)
                if self._child is None or not self._child.write(wire.Ask(request, offer)):
                    raise MediaDown("the media process does not listen")
                return await result
        except TimeoutError:
            if self._hang(offer.peer_id):
                self._on_closed(offer.peer_id, MediaDown.code)  # the one that was to be replaced
            raise MediaDown("the media process did not answer in time") from None
        except asyncio.CancelledError:
            self._hang(offer.peer_id)
            raise
        finally:
            self._waiting.pop(request, None)

    def _admit(self, offer: PeerOffer) -> None:
        if self._gave_up:
            raise MediaDown("this robot has no live video")
        known = {view.name for view in self._views}
        for view in offer.views:
            if view not in known:
                raise UnknownView(f"there is no view '{view}'", views=sorted(known))
        if len(offer.views) > self._config.max_views or len(set(offer.views)) != len(offer.views):
            raise UnknownView(f"at most {self._config.max_views} views, each once")
        others = ({*self._peers} | {peer_id for peer_id, _ in self._waiting.values()}) - {offer.peer_id}
        if len(others) >= self._max_peers:
            raise TooManyPeers(f"{self._max_peers} people watch already", limit=self._max_peers)

    def _hang(self, peer_id: str) -> bool:
        """Let go of a peer; return whether there was one."""
        if self._child is not None:
            self._child.write(wire.Hang(peer_id))
        return self._peers.pop(peer_id, None) is not None

    async def close_peer(self, peer_id: str, reason: str) -> None:
        if self._hang(peer_id):
            logger.info("peer %s is hung up on: %s", peer_id, reason)

    def send(self, peer_id: str, text: str) -> None:
        if self._child is not None and peer_id in self._peers:
            self._child.write(wire.Say(peer_id, text))

    def filmed_s(self, view: str) -> float | None:
        return self._filmer.filmed_s.get(view) if self._filmer is not None else None
