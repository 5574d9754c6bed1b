"""Media of a robot that films nothing, so that the daemon need not ask everywhere whether there is any."""

from __future__ import annotations

import asyncio

from fleet.daemon.media.base import MediaDown, OnClosed, OnText
from fleet.protocol.messages import PeerOffer


class AbsentMedia:
    """Refuses every offer with MediaDown and `reason`."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def start(self, on_text: OnText, on_closed: OnClosed) -> None:
        """Nobody will ever be heard."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def answer(self, offer: PeerOffer) -> str:
        raise MediaDown(self._reason)

    async def close_peer(self, peer_id: str, reason: str) -> None:
        """There is none."""

    def send(self, peer_id: str, text: str) -> None:
        """There is none."""

    def filmed_s(self, view: str) -> float | None:
        return None
