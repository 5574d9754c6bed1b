"""The robot's end of peer connections with the test at the other: no process, no network, no pictures."""

from __future__ import annotations

import asyncio

import msgspec

from fleet.daemon.media.base import MalformedSdp, OnClosed, OnText
from fleet.protocol.messages import PeerOffer
from fleet.protocol.teleop import PeerRobotMessage


class HandMedia:
    """Media whose browsers are the test: what is sent to them is kept, what they say is passed to `on_text`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, PeerRobotMessage]] = []
        self.closed: list[tuple[str, str]] = []
        self.filmed: float | None = None
        self.gate = asyncio.Event()  # answers wait for it
        self.gate.set()

    def start(self, on_text: OnText, on_closed: OnClosed) -> None:
        self.on_text, self.on_closed = on_text, on_closed

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def answer(self, offer: PeerOffer) -> str:
        await self.gate.wait()
        if offer.sdp == "nonsense":
            raise MalformedSdp("that is no offer")
        return "answer"

    async def close_peer(self, peer_id: str, reason: str) -> None:
        self.closed.append((peer_id, reason))

    def send(self, peer_id: str, text: str) -> None:
        self.sent.append((peer_id, msgspec.json.decode(text, type=PeerRobotMessage)))

    def filmed_s(self, view: str) -> float | None:
        assert view == "overview"
        return self.filmed
