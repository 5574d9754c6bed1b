"""The media process: every peer connection of one robot, apart from the process that drives it (limits.md 5).

    python -m fleet.daemon.media.child SOCKET_FD FRAMES_FD

Started by `host.py` alone. It ends when the socket ends, so it cannot outlive its daemon, whatever that one dies of.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aioice.ice

from fleet.daemon.media import wire
from fleet.daemon.media.base import MalformedSdp, MediaDown, MediaError
from fleet.daemon.media.feed import Feed
from fleet.daemon.media.frames import FrameStore
from fleet.daemon.media.peer import Peer

logger = logging.getLogger("fleet.daemon.media.child")

CHECK_EVERY = 4  # beats between two looks at every peer
GOODBYE_S = 1.0
MAX_ANSWER_BYTES = 48 * 1024  # PeerAnswer.sdp


class MediaProcess:
    """Serves one host until its socket ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames_fd: int) -> None:
        self._reader = reader
        self._writer = writer
        self._frames_fd = frames_fd
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
        self._peers: dict[str, tuple[int, Peer]] = {}  # peer_id -> its offer's request, and the peer
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest: dict[str, int] = {}  # peer_id -> the newest offer's request

    async def run(self) -> None:
        first = wire.to_media_decoder.decode(await wire.read(self._reader))
        assert isinstance(first, wire.Configure)
        self._config = first.config
        self._store = FrameStore(first.views, self._frames_fd)
        for view in first.views:
            feed = Feed(view.name, first.config, executor=self._executor, on_change=self._tell_watched)
            self._feeds[view.name] = feed
        self._say(wire.Ready())
        self._spawn(self._beat())
        while True:
            self._receive(wire.to_media_decoder.decode(await wire.read(self._reader)))

    def _receive(self, message: wire.ToMedia) -> None:
        match message:
            case wire.Filmed(slot, captured_s):
                self._spawn(self._show(slot, captured_s))
            case wire.Say(peer_id, text):
                if (held := self._peers.get(peer_id)) is not None:
                    held[1].say(text)
            case wire.Ask():
                self._newest[message.offer.peer_id] = message.request
                self._spawn(self._answer(message))
            case wire.Hang(peer_id):
                self._newest.pop(peer_id, None)
                if (held := self._peers.pop(peer_id, None)) is not None:
                    self._spawn(held[1].close())
            case wire.Configure():
                raise AssertionError("configured twice")

    def _say(self, message: wire.FromMedia) -> None:
        wire.write(self._writer, message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self) -> None:
        for count in range(sys.maxsize):
            self._say(wire.Beat())
            if count % CHECK_EVERY == 0:
                for _, peer in tuple(self._peers.values()):
                    peer.check(time.monotonic())
            await asyncio.sleep(wire.BEAT_S)

    async def _show(self, slot: int, captured_s: float) -> None:
        try:
            await self._feeds[self._store.view(slot)].show(self._store.pixels(slot), captured_s)
        except Exception:  # whatever a codec raises about a picture, the next one may do
            logger.exception("a picture could not be encoded")
        finally:
            self._say(wire.Taken(slot))

    async def _answer(self, ask: wire.Ask) -> None:
        """Open a peer and only then let go of an older one of the same id: a malformed offer replaces nothing."""
        peer_id, request = ask.offer.peer_id, ask.request
        peer = Peer(
            ask.offer,
            self._config,
            self._feeds,
            on_text=lambda text: self._say(wire.Heard(peer_id, request, text)),
            on_gone=lambda reason: self._lose(peer_id, request, reason),
        )
        try:
            sdp = await peer.open()
            if len(sdp) > MAX_ANSWER_BYTES:
                raise MalformedSdp("the answer to this offer is too long")
            if self._newest.get(peer_id) != request or peer.is_gone:
                raise MediaDown("hung up before the answer")
        except (MediaError, TimeoutError) as error:
            code = error.code if isinstance(error, MediaError) else MediaDown.code
            self._say(wire.Answered(request, code=code, message=str(error) or "the answer took too long"))
            if self._newest.get(peer_id) == request and peer_id not in self._peers:
                del self._newest[peer_id]
            await peer.close()
            return
        older = self._peers.get(peer_id)
        self._peers[peer_id] = (request, peer)
        self._say(wire.Answered(request, sdp=sdp))
        if older is not None:
            await older[1].close()

    def _lose(self, peer_id: str, request: int, reason: str) -> None:
        held = self._peers.get(peer_id)
        if held is None or held[0] != request:
            return
        del self._peers[peer_id]
        if self._newest.get(peer_id) == request:
            del self._newest[peer_id]
        self._say(wire.Gone(peer_id, request, reason))
        self._spawn(held[1].close())

    def _tell_watched(self) -> None:
        self._say(wire.Watched({name: feed.fps for name, feed in self._feeds.items() if feed.fps > 0}))

    async def close(self) -> None:
        """Tell the browsers that it is over, so that they need not find out by silence."""
        await asyncio.wait([asyncio.ensure_future(peer.close()) for _, peer in self._peers.values()], timeout=GOODBYE_S)


def offer_loopback() -> None:
    """Let ICE offer 127.0.0.1 where there is no other address: a robot without network, driven from its own screen."""
    stock = aioice.ice.get_host_addresses

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return stock(use_ipv4=use_ipv4, use_ipv6=use_ipv6) or ["127.0.0.1"]

    aioice.ice.get_host_addresses = addresses


async def serve(socket_fd: int, frames_fd: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=socket_fd))
    process = MediaProcess(reader, writer, frames_fd)
    try:
        await process.run()
    except EOFError:
        if process._peers:
            await process.close()


def main(arguments: list[str]) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    for name in ("aioice", "aiortc"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle; its end is this one's
    offer_loopback()
    status = 1
    try:
        asyncio.run(serve(*(int(argument) for argument in arguments)))
        status = 0
    except Exception:
        logger.exception("the media process fails")
    logging.shutdown()
    os._exit(status)  # neither codecs nor encoding threads are waited for: they were seen to crash while torn down


if __name__ == "__main__":
    main(sys.argv[1:])
