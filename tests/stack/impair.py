"""A UDP relay that loses, delays, reorders and limits datagrams: a bad network on a machine without netem.

The kernel here has no `sch_netem`, so the path between browser and robot leads through this relay instead: the robot's
ICE candidate in the answer is replaced by the relay's address and the browser's candidates are withheld, so that both
ends know no other way. Each direction has its own queue, bounded in packets as a router's is.
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
_CANDIDATE = re.compile(r"^a=candidate:(\S+) 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host.*$", re.IGNORECASE)


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
    """Relays between whoever sends to `address` and `target`. Use as a context manager."""

    def __init__(self, target: tuple[str, int], *, profile: Profile = PRISTINE, seed: int = 0) -> None:
        self._target = target
        self._profile = profile
        self._is_cut = False
        self._held_until_s = 0.0
        self._client: tuple[str, int] | None = None
        self._ways = (_Way(random.Random(seed)), _Way(random.Random(seed + 1)))
        self._front = _socket(target[0])
        self._back = _socket(target[0])
        self.address: tuple[str, int] = self._front.getsockname()
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
            self._is_cut = False

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
        self._is_closed.set()
        self._thread.join(5)
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in (self._front, self._back):
                selector.register(each, selectors.EVENT_READ)
            while not self._is_closed.is_set():
                for key, _ in selector.select(TICK_S):
                    self._receive(key.fileobj)
                self._deliver(time.monotonic())

    def _receive(self, source: object) -> None:
        assert isinstance(source, socket.socket)
        try:
            data, sender = source.recvfrom(65536)
        except OSError:  # an ICMP answer to an earlier datagram: that end is gone
            return
        with self._lock:
            profile, is_cut, held_s = self._profile, self._is_cut, self._held_until_s
        if source is self._front:
            self._client = sender
        if not is_cut:
            way = self._ways[0 if source is self._front else 1]
            way.put(data, profile, now_s=time.monotonic(), not_before_s=held_s)

    def _deliver(self, now_s: float) -> None:
        with self._lock:
            if self._is_cut:
                return
        for data in self._ways[0].take(now_s):
            self._send(self._back, data, self._target)
        if self._client is not None:
            for data in self._ways[1].take(now_s):
                self._send(self._front, data, self._client)

    def _send(self, through: socket.socket, data: bytes, address: tuple[str, int]) -> None:
        try:
            through.sendto(data, address)
        except OSError:  # a full buffer or a dead end: a lost datagram, as on any network
            return


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.setblocking(False)
    return made


def host_candidate(sdp: str) -> tuple[str, int]:
    """Return the first IPv4 host candidate of an SDP. Raises: ValueError if it has none."""
    for line in sdp.splitlines():
        found = _CANDIDATE.match(line)
        if found is not None:
            return found[2], int(found[3])
    raise ValueError("this SDP has no IPv4 host candidate")


def through(sdp: str, address: tuple[str, int]) -> str:
    """Return the SDP with `address` as its only candidate."""
    lines = []
    for line in sdp.split("\r\n"):
        found = _CANDIDATE.match(line)
        if found is not None and (found[2], int(found[3])) == host_candidate(sdp):
            lines.append(line.replace(f" {found[2]} {found[3]} ", f" {address[0]} {address[1]} ", 1))
        elif not line.startswith("a=candidate:"):
            lines.append(line)
    return "\r\n".join(lines)


def without_candidates(sdp: str) -> str:
    """Return the SDP of an end that nobody can reach first."""
    return "\r\n".join(line for line in sdp.split("\r\n") if not line.startswith("a=candidate:"))
