"""What can go wrong between a script and the server, as one tree.

ClientError
├── Problem             the server refused: `code`, `status`, `detail`, `field`, `instance`
│   ├── Unauthorised        401
│   ├── Forbidden           403
│   ├── NotFound            404
│   ├── Conflict            409, 410
│   ├── Changed             412, 428: read it again, then change it
│   ├── Invalid             400, 422 and others of 4xx
│   ├── RateLimited         429, after all tries
│   └── ServerFailed        5xx, after all tries
├── Unreachable         no answer, after all tries
├── MalformedAnswer     an answer that this client does not understand
└── ChecksumWrong       bytes that are not those that the server promised
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec


class ClientError(Exception):
    """Base; its text is fit for people."""


class Unreachable(ClientError):
    pass


class MalformedAnswer(ClientError):
    pass


class ChecksumWrong(ClientError):
    pass


class Problem(ClientError):
    """`code` is stable: docs/api-errors.md lists all. `instance` names the request, in the server's log too."""

    def __init__(self, *, status: int, code: str, detail: str, instance: str = "", field: str = "") -> None:
        super().__init__(f"{detail or code} ({code})")
        self.status, self.code, self.detail = status, code, detail
        self.instance, self.field = instance, field


class Unauthorised(Problem):
    pass


class Forbidden(Problem):
    pass


class NotFound(Problem):
    pass


class Conflict(Problem):
    pass


class Changed(Problem):
    pass


class Invalid(Problem):
    pass


class RateLimited(Problem):
    pass


class ServerFailed(Problem):
    pass


_KINDS: dict[int, type[Problem]] = {
    401: Unauthorised,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Conflict,
    412: Changed,
    428: Changed,
    429: RateLimited,
}


def problem_of(response: httpx.Response) -> Problem:
    """Return the exception for a refusal whose body was read; a proxy's answer may be no problem document."""
    status = response.status_code
    try:
        found: Any = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        found = {}
    document = found if isinstance(found, dict) else {}
    kind = _KINDS.get(status, ServerFailed if status >= 500 else Invalid)
    return kind(
        status=status,
        code=str(document.get("code", f"http_{status}")),
        detail=str(document.get("detail", response.reason_phrase)),
        instance=str(document.get("instance", "")),
        field=str(document.get("field", "")),
    )
