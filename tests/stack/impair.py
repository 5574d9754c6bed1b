"""A UDP relay that loses, delays, reorders and limits datagrams: a bad network on a machine without netem.

The kernel here has no `sch_netem`, so the path between browser and robot leads through this relay instead: the ICE
candidates in offer and answer are replaced by the relay's two addresses, so that neither end knows another way. Each
direction has its own queue, bounded in packets as a router's is.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

QUEUE_PACKETS = 2000
TICK_S = 0.001
_CANDIDATE = re.compile(r"^(a=candidate:\S+ 1 udp \d+ )\S+ \d+ typ host.*$", re.IGNORECASE)


@dataclass(frozen=True)
class Profile:
    """One way of a path: delay and its spread in ms, share of packets lost, rate in kbit/s (0: unlimited)."""

    name: str
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    rate_kbps: float = 0.0


PRISTINE = Profile("pristine")
PROFILES = (
    PRISTINE,
    Profile("4G", delay_ms=25, jitter_ms=10, loss=0.005, rate_kbps=8000),
    Profile("Starlink", delay_ms=20, jitter_ms=15, loss=0.01, rate_kbps=10000),
    Profile("concrete wall", delay_ms=10, jitter_ms=30, loss=0.05, rate_kbps=3000),
    Profile("severe", delay_ms=60, jitter_ms=40, loss=0.10, rate_kbps=1500),
)


class _Way:
    """One direction: what is to be sent, and when."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._queue: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._free_s = 0.0  # when the link has sent what was given to it

    def put(self, data: bytes, profile: Profile, *, now_s: float, not_before_s: float) -> None:
        if self._rng.random() < profile.loss or len(self._queue) >= QUEUE_PACKETS:
            return
        sent_s = now_s
        if profile.rate_kbps > 0:
            self._free_s = max(self._free_s, now_s) + len(data) * 8 / (profile.rate_kbps * 1000)
            sent_s = self._free_s
        due_s = sent_s + (profile.delay_ms + self._rng.uniform(0, profile.jitter_ms)) / 1000
        heapq.heappush(self._queue, (max(due_s, not_before_s), next(self._order), data))

    def take(self, now_s: float) -> list[bytes]:
        found = []
        while self._queue and self._queue[0][0] <= now_s:
            found.append(heapq.heappop(self._queue)[2])
        return found


class Impairment:
    """Relays between whoever sends to `browser_side` and whoever sends to `robot_side`. Use as a context manager.

    Each end is told the other's side as the peer's only candidate, so neither address must be known beforehand.
    """

    def __init__(self, host: str = "127.0.0.1", *, profile: Profile = PRISTINE, seed: int = 0) -> None:
        self._profile = profile
        self._is_cut = False
        self._held_until_s = 0.0
        self._is_frozen = False
        self._ends = (_End(host, seed), _End(host, seed + 1))
        self.browser_side = self._ends[0].address
        self.robot_side = self._ends[1].address
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impairment", daemon=True)

    def set_profile(self, profile: Profile) -> None:
        with self._lock:
            self._profile = profile

    def cut(self) -> None:
        """Drop everything, as a pulled cable does."""
        with self._lock:
            self._is_cut = True

    def mend(self) -> None:
        with self._lock:
            self._is_cut = self._is_frozen = False

    def freeze(self) -> None:
        """Drop what carries video (RTP and RTCP) and let the data channels pass, as a camera that hangs does."""
        with self._lock:
            self._is_frozen = True

    def kill(self) -> None:
        """Be gone, as a TURN server that died; what is sent here is answered by nobody."""
        self._is_closed.set()
        self._thread.join(5)
        for end in self._ends:
            end.socket.close()

    def spike(self, seconds: float) -> None:
        """Keep what comes for `seconds`, then pass all of it on at once: a lag spike and its flush."""
        with self._lock:
            self._held_until_s = time.monotonic() + seconds

    def __enter__(self) -> Impairment:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in self._ends:
                selector.register(end.socket, selectors.EVENT_READ, end)
            while not self._is_closed.is_set():
                for key, _ in selector.select(TICK_S):
                    self._receive(key.data)
                self._deliver(time.monotonic())

    def _receive(self, end: _End) -> None:
        data = end.receive()
        with self._lock:
            profile, held_s, is_cut = self._profile, self._held_until_s, self._is_cut
        if data is not None and not is_cut:
            end.incoming.put(data, profile, now_s=time.monotonic(), not_before_s=held_s)

    def _deliver(self, now_s: float) -> None:
        with self._lock:
            if self._is_cut:
                return
            is_frozen = self._is_frozen
        first, second = self._ends
        for source, sink in ((first, second), (second, first)):
            for data in source.incoming.take(now_s):
                if not (is_frozen and is_media(data)):  # what was on its way is dropped, too
                    sink.send(data)


class _End:
    """One socket, the end that speaks to it, and what is on its way from there."""

    def __init__(self, host: str, seed: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self.incoming = _Way(random.Random(seed))
        self._peer: tuple[str, int] | None = None

    def receive(self) -> bytes | None:
        try:
            data, self._peer = self.socket.recvfrom(65536)
        except OSError:  # an ICMP answer to an earlier datagram: that end is gone
            return None
        return data

    def send(self, data: bytes) -> None:
        if self._peer is None:
            return
        try:
            self.socket.sendto(data, self._peer)
        except OSError:  # a full buffer or a dead end: a lost datagram, as on any network
            return


def is_media(data: bytes) -> bool:
    """Whether a datagram is SRTP or SRTCP; the others are STUN and DTLS. Source: RFC 7983, section 7."""
    return bool(data) and 128 <= data[0] <= 191


def own_address() -> str:
    """Return this machine's IPv4 address on its default route, which WebRTC uses; loopback if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def through(sdp: str, address: tuple[str, int]) -> str:
    """Return the SDP with `address` as the only candidate of each section. Raises: ValueError if it had none."""
    lines, is_first, has_any = [], True, False
    for line in sdp.split("\r\n"):
        found = _CANDIDATE.match(line)
        if line.startswith("m="):
            is_first = True
        if not line.startswith("a=candidate:"):
            lines.append(line)
        elif found is not None and is_first:
            lines.append(f"{found[1]}{address[0]} {address[1]} typ host")
            is_first, has_any = False, True
    if not has_any:
        raise ValueError("this SDP has no UDP host candidate")
    return "\r\n".join(lines)
