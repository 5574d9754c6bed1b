"""Optimistic locking over HTTP: a row's revision is its ETag; a change names the one that was read in If-Match.

A revision counts what people change. What else a body shows (a robot's state, how far a reading has come) moves without
it, so that a read's ETag is the revision and a digest of the bytes: `"3.0f2c..."`. If-None-Match compares it whole,
If-Match only the revision, and so takes `"3"` too.
"""

from __future__ import annotations

import hashlib
import re

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from fleet.errors import InvalidRequest, PreconditionRequired

IF_MATCH = OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True)
# A proxy that compresses an answer makes its ETag weak (W/); the revision in it counts as before.
_ETAG = re.compile(r'(?:W/)?"([!#-\-/-~]{1,100})(?:\.[0-9a-f]{32})?"')
_REVISION = re.compile(r"[0-9]{1,9}")


def etag_of(revision: int) -> dict[str, str]:
    """Return the header of an answer."""
    return {"ETag": f'"{revision}"'}


def text_etag_of(version: str) -> dict[str, str]:
    """Return the header of an answer whose version is a word without quotes."""
    return {"ETag": f'"{version}"'}


def etag_of_read(content: bytes, version: str | None) -> str:
    """Return the ETag of a read's bytes, after the quoted ETag of its view if that has one."""
    digest = hashlib.sha256(content).hexdigest()[:32]
    return f'"{digest}"' if version is None else f'{version[:-1]}.{digest}"'


def version_read(request: Request) -> str:
    """Return the version in the one ETag of If-Match. Raises: PreconditionRequired without it, InvalidRequest."""
    given = request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired(
            "send If-Match with the ETag that you read, so that nobody's change is overwritten unseen"
        )
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise InvalidRequest('If-Match must be an ETag as it was answered, as "3"', field="If-Match")
    return match[1]


def revision_read(request: Request) -> int:
    """Return the revision in If-Match. Raises: PreconditionRequired without it, InvalidRequest."""
    version = version_read(request)
    if not _REVISION.fullmatch(version):
        raise InvalidRequest('If-Match must be an ETag as it was answered, as "3"', field="If-Match")
    return int(version)
