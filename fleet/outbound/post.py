"""One POST to a person's URL: to the judged address, no redirects, all of it within one deadline, little of it read.

httpcore rather than httpx: its network backend is where a name becomes a connection, which is the only place where an
address can be judged and used in one step. It reads no proxy settings from the environment either.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from fleet.outbound.addresses import AllowList, Resolve, addresses_of, check_url
from fleet.protocol.errors import SopError

MAX_RESPONSE_BYTES = 64 * 1024
_ADDRESSES = 3  # of one host that are tried


class PostFailed(SopError):
    """Nobody answered, or not in time, or not as HTTP wants it."""

    code = "post_failed"


@dataclass(frozen=True)
class PostAnswer:
    """The status, and the milliseconds until the answer was read."""

    status: int
    ms: int


class _Stream(httpcore.NetworkStream):
    """A stream whose reads and writes end at one deadline: a receiver that sends a byte now and then holds nothing."""

    def __init__(self, inner: httpcore.NetworkStream, deadline_s: float) -> None:
        self._inner = inner
        self._deadline_s = deadline_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(self._deadline_s, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left_s(self._deadline_s, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(self._deadline_s, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s), self._deadline_s)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _JudgedBackend(httpcore.NetworkBackend):
    """Connects to an address that was judged just now."""

    def __init__(self, allowed: AllowList, deadline_s: float, resolve: Resolve | None) -> None:
        self._allowed = allowed
        self._deadline_s = deadline_s
        self._resolve = resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(self._deadline_s, httpcore.ConnectTimeout)
        addresses = addresses_of(host, port, allowed=self._allowed, timeout_s=left_s, resolve=self._resolve)
        problem: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_ADDRESSES]:
            try:
                left_s = _left_s(self._deadline_s, httpcore.ConnectTimeout)
                return _Stream(self._sockets.connect_tcp(address, port, timeout=left_s), self._deadline_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    allowed: AllowList,
    timeout_s: float,
    resolve: Resolve | None = None,
) -> PostAnswer:
    """POST once and return the answer, whatever its status; of its body at most MAX_RESPONSE_BYTES are read.

    `timeout_s`: for everything, name to last byte. Raises: UrlInvalid, AddressForbidden, HostUnknown, PostFailed.
    """
    check_url(url, allowed)
    began_s = time.monotonic()
    backend = _JudgedBackend(allowed, began_s + timeout_s, resolve)
    try:
        with httpcore.ConnectionPool(network_backend=backend, retries=0, max_keepalive_connections=0) as pool:
            sent = {**headers, "Connection": "close"}
            with pool.stream("POST", url, headers=list(_encoded(sent)), content=body) as response:
                _read(response.iter_stream())
                return PostAnswer(response.status, int((time.monotonic() - began_s) * 1000))
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
        text = str(error) or type(error).__name__
        raise PostFailed(f"{type(error).__name__}: {text[:200]}") from error


def _encoded(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode()) for name, value in headers.items())


def _read(pieces: Iterable[bytes]) -> None:
    """Read the body so far that a well-behaved receiver can finish; nobody looks at it."""
    left = MAX_RESPONSE_BYTES
    for piece in pieces:
        left -= len(piece)
        if left <= 0:
            return


def _left_s(deadline_s: float, late: type[Exception]) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise late("the time for this request is over")
    return left_s
