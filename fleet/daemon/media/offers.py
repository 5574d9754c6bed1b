"""What a browser's offer may hold, checked and cut to size before aiortc sees it. Pure text work.

`.local` candidates (Chromium hides its addresses behind mDNS names) are left out: resolving each holds aioice up for a
second, and the browser's own checks reach the robot's plain addresses anyway, as peer-reflexive candidates. The end of
candidates is left out with them, or aioice would give up before those checks arrive (machine.md 4).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri
from aiortc.sdp import SessionDescription

from fleet.daemon.media.base import MalformedSdp
from fleet.protocol.messages import IceServer

logger = logging.getLogger(__name__)

MAX_CANDIDATES = 32  # the robot sends checks to each of them


def usable_offer(sdp: str, *, views: int) -> str:
    """Return the offer without candidates that would only cost time, the others in every section.

    Raises: MalformedSdp if it does not parse, or does not ask for exactly `views` videos, data and nothing else.
    """
    lines = [line for line in sdp.splitlines() if line != "a=end-of-candidates"]
    candidates = [line for line in lines if line.startswith("a=candidate:") and not _is_hidden(line)][:MAX_CANDIDATES]
    kept = [line for line in lines if not line.startswith("a=candidate:")]
    text = "\r\n".join([*_in_every_section(kept, candidates), ""])
    try:
        media = SessionDescription.parse(text).media
    except Exception as error:  # aiortc's parser raises whatever its first surprise is
        raise MalformedSdp(f"the offer does not parse: {type(error).__name__}: {str(error)[:200]}") from None
    kinds = [item.kind for item in media]
    if kinds.count("video") != views or kinds.count("application") != 1 or len(kinds) != views + 1:
        raise MalformedSdp(f"the offer holds {', '.join(kinds) or 'nothing'}; wanted: {views} video and application")
    if any(item.kind == "video" and item.direction not in ("recvonly", "sendrecv") for item in media):
        raise MalformedSdp("the offer does not ask to receive its videos")
    return text


def _is_hidden(candidate: str) -> bool:
    words = candidate.split()
    return len(words) > 4 and words[4].endswith(".local")


def _in_every_section(lines: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """Browsers bundle: candidates stand in the first section alone, for all. aiortc takes those of the last section."""
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    result = list(lines[: starts[0]]) if starts else list(lines)
    for start, end in itertools.pairwise([*starts, len(lines)]):
        result += [*lines[start:end], *candidates]
    return result


def usable_servers(servers: Sequence[IceServer]) -> list[RTCIceServer]:
    """Return the servers aiortc can use (it takes the first STUN and the first TURN one), without malformed URLs."""
    usable = []
    for server in servers:
        for url in server.urls:
            try:
                parse_stun_turn_uri(url)
            except ValueError:
                logger.warning("an ICE server's URL is malformed and left out: %.100s", url)
                continue
            usable.append(RTCIceServer(urls=url, username=server.username, credential=server.credential))
    return usable
