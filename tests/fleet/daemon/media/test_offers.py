"""What becomes of a browser's offer before aiortc sees it."""

from __future__ import annotations

import re

from aiortc.sdp import SessionDescription

from fleet.daemon.media.offers import usable_offer

COMMON = (
    "c=IN IP4 0.0.0.0\r\na=ice-ufrag:ajsc\r\na=ice-pwd:6Ew6QMUHEZpMGF5h9wHMTcrq\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
)
RELAYED = "a=candidate:7 1 udp 16777215 198.51.100.7 3478 typ relay raddr 0.0.0.0 rport 0"
HIDDEN = "a=candidate:1 1 udp 2113937151 6b650c4c-fddd-48f8-a29e-c57cb1eaa830.local 56099 typ host"


def bundled(*candidates: str) -> str:
    """An offer as browsers make it: candidates in the first section, which all others share."""
    video = (
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
        + COMMON
        + "a=mid:{}\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
    )
    first = video.format(0) + "".join(f"{line}\r\n" for line in (*candidates, "a=end-of-candidates"))
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + COMMON + "a=mid:2\r\na=sctp-port:5000\r\n"
    head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
    return head + first + video.format(1) + data


def test_candidates_reach_every_section() -> None:
    """aiortc takes the candidates of the last section of a bundle: a relay named in the first alone was never tried."""
    media = SessionDescription.parse(usable_offer(bundled(HIDDEN, RELAYED), views=2)).media
    assert [[candidate.ip for candidate in item.ice_candidates] for item in media] == [["198.51.100.7"]] * 3
    assert not any(item.ice_candidates_complete for item in media)


def test_hidden_addresses_are_not_resolved_and_the_number_is_bounded() -> None:
    many = [re.sub(r"3478", str(4000 + port), RELAYED) for port in range(100)]
    media = SessionDescription.parse(usable_offer(bundled(HIDDEN, *many), views=2)).media
    assert [len(item.ice_candidates) for item in media] == [32, 32, 32]
