"""`@idempotent` on a POST method: with an Idempotency-Key it is done once, and its answer repeated for a day.

Every POST that changes something has it, or its view says in `idempotency_exempt` why not
(tests/architecture/test_api_needs.py). Only answers of 2xx are kept: after a refusal nothing has changed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.person import person_of
from fleet.errors import InvalidRequest
from fleet.services.idempotency import (
    MAX_BODY_CHARS,
    KeptAnswer,
    idempotency_claim,
    idempotency_keep,
    idempotency_release,
)

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
MAX_KEY = 200
PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Chosen by the sender, such as a UUID: the same request under it within 24 h is done once.",
)
_KEPT_HEADERS = ("ETag", "Location", "Cache-Control")
_Post = Callable[..., Response]


def idempotent(post: _Post) -> _Post:
    """Decorate `post(self, request, ...)`, below `extend_schema`."""

    @functools.wraps(post)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return post(view, request, *args, **kwargs)
        claim = idempotency_claim(user=person_of(request), key=_checked(key), fingerprint=_fingerprint(request))
        if isinstance(claim, KeptAnswer):
            return _repeated(claim)
        try:
            with transaction.atomic():
                response = post(view, request, *args, **kwargs)
                is_kept = 200 <= response.status_code < 300
                if is_kept:
                    idempotency_keep(claim=claim, answer=_answer_of(response))
        except BaseException:
            idempotency_release(claim=claim)
            raise
        if not is_kept:
            idempotency_release(claim=claim)
        return response

    once.is_idempotent = True  # type: ignore[attr-defined]  # for the schema and the test
    return once


def _checked(key: str) -> str:
    if not (1 <= len(key) <= MAX_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise InvalidRequest(f"{HEADER} has 1 to {MAX_KEY} printable ASCII characters and no space", field=HEADER)
    return key


def _fingerprint(request: Request) -> str:
    """Tell requests apart: method, path with query, the precondition, and the bytes of the body."""
    plain = request._request
    head = [plain.method, plain.get_full_path(), plain.headers.get("If-Match", "")]
    return hashlib.sha256(json.dumps(head).encode() + b"\0" + plain.body).hexdigest()


def _answer_of(response: Response) -> KeptAnswer:
    body = "" if response.data is None else JSONRenderer().render(response.data).decode()
    if len(body) > MAX_BODY_CHARS:
        raise InvalidRequest("this answer is too large to be kept; send the request without the key", field=HEADER)
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return KeptAnswer(response.status_code, headers, body)


def _repeated(kept: KeptAnswer) -> Response:
    data = json.loads(kept.body) if kept.body else None
    return Response(data, status=kept.status, headers={**kept.headers, "Idempotency-Replayed": "true"})
