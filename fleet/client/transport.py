"""One HTTP request as the client makes it: token, time limits, a bounded number of tries, typed refusals."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from fleet.client.errors import Problem, Unreachable, problem_of

API = "/api/v1"
RETRIED = frozenset({429, 502, 503, 504})
BUSY_CODE = "idempotency_key_busy"  # the first try is still being done


@dataclass(frozen=True, kw_only=True)
class Retries:
    """`tries`: all together. Waits double from `first_s` to `most_s`, at random from half; the server may ask for more.

    A wait that the server asks for beyond `longest_s` is not waited: the refusal is raised.
    """

    tries: int = 5
    first_s: float = 0.5
    most_s: float = 10.0
    longest_s: float = 90.0


class Transport:
    """Owns the connections. `sleep` and `jitter` (in [0, 1)) are given by tests."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        headers = {"User-Agent": "sop-client", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=timeout_s, follow_redirects=False, http2=False
        )
        self._retries = retries or Retries()
        self._sleep, self._jitter = sleep, jitter

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """Send and return an answer of 2xx. `path`: below /api/v1.

        A POST gets a new idempotency key unless one is given, the same for every try.
        Raises: Problem, Unreachable.
        """
        sent = dict(headers or {})
        if method == "POST":
            sent["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        query = {name: _words(value) for name, value in (params or {}).items() if value is not None}
        request = self._http.build_request(method, API + path, params=query, json=body, headers=sent)
        for attempt in self._attempts():
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                self._wait_or_raise(attempt, Unreachable(f"the server does not answer: {_reason(error)}"), None)
                continue
            if response.is_success:
                return response
            refusal = problem_of(response)
            if response.status_code not in RETRIED and refusal.code != BUSY_CODE:
                raise refusal
            self._wait_or_raise(attempt, refusal, retry_after_s(response))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, url: str, *, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open a download; an absolute URL of elsewhere gets no token. One try: `download.py` goes on by itself.

        Raises: Problem, httpx.TransportError.
        """
        request = self._http.build_request("GET", url, headers=dict(headers))
        if request.url.host != self._http.base_url.host or request.url.port != self._http.base_url.port:
            request.headers.pop("Authorization", None)
        response = self._http.send(request, stream=True)
        try:
            if response.is_redirect:
                target = str(response.headers["Location"])
                response.close()
                with self.stream(str(request.url.join(target)), headers=headers) as found:
                    yield found
                return
            if not response.is_success:
                response.read()
                raise problem_of(response)
            yield response
        finally:
            response.close()

    def upload(
        self, url: str, *, headers: Mapping[str, str], size: int, content: Callable[[], Iterator[bytes]]
    ) -> None:
        """PUT `size` bytes to a signed URL, which is the only credential; the size is signed too.

        A bucket answers 412 to If-None-Match when the object is there: an earlier try arrived and its answer was lost.
        Raises: Problem, Unreachable.
        """
        target, sent = self._http.base_url.join(url), {**headers, "Content-Length": str(size)}
        for attempt in self._attempts():
            try:
                response = httpx.put(target, headers=sent, content=content(), timeout=self._http.timeout)
            except httpx.TransportError as error:
                self._wait_or_raise(attempt, Unreachable(f"the upload broke off: {_reason(error)}"), None)
                continue
            if response.is_success or (response.status_code == 412 and "If-None-Match" in headers):
                return
            refusal = problem_of(response)
            if response.status_code not in RETRIED:
                raise refusal
            self._wait_or_raise(attempt, refusal, retry_after_s(response))

    def pause(self, attempt: int, asked_s: float | None = None) -> None:
        """Wait before try number `attempt` + 1."""
        grown = min(self._retries.first_s * 2**attempt, self._retries.most_s)
        self._sleep(max(grown * (0.5 + self._jitter() / 2), asked_s or 0.0))

    @property
    def tries(self) -> int:
        return self._retries.tries

    def _attempts(self) -> range:
        return range(self._retries.tries)

    def _wait_or_raise(self, attempt: int, error: Problem | Unreachable, asked_s: float | None) -> None:
        is_last = attempt + 1 >= self._retries.tries
        if is_last or (asked_s is not None and asked_s > self._retries.longest_s):
            raise error
        self.pause(attempt, asked_s)


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks for; dates, which ours never sends, are not read."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _words(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return [_words(each) for each in value]
    return value


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
