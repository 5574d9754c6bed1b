"""Optimistic locking over HTTP: a row's revision is its ETag; a change names the one that was read in If-Match."""

from __future__ import annotations

import re

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from fleet.errors import InvalidRequest, PreconditionRequired

IF_MATCH = OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True)
_ETAG = re.compile(r'"([!#-~]{1,100})"')
_REVISION = re.compile(r"[0-9]{1,9}")


def etag_of(revision: int) -> dict[str, str]:
    """Return the header of an answer."""
    return {"ETag": f'"{revision}"'}


def text_etag_of(version: str) -> dict[str, str]:
    """Return the header of an answer whose version is a word without quotes."""
    return {"ETag": f'"{version}"'}


def version_read(request: Request) -> str:
    """Return the one ETag in If-Match without its quotes. Raises: PreconditionRequired without it, InvalidRequest."""
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
