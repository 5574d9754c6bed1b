"""The API's own description: OpenAPI 3.1, made by drf-spectacular from the views and what they declare.

`docs/openapi.yaml` is the same, written by `manage.py api_reference`; `make check` fails when the two differ.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from fleet.api.idempotency import PARAMETER as IDEMPOTENCY_KEY
from fleet.api.sparse import PARAMETER as FIELDS
from fleet.api.sparse import SparseFields
from fleet.scopes import PUBLIC, Needs, SessionOnly, scope_needed

_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    {"type": "string"},
    OpenApiParameter.HEADER,
    description="ETag that the asker holds: 304 if it counts.",
)


class Schema(AutoSchema):
    """Adds what decorators and base classes of our views mean for their callers."""

    def get_override_parameters(self) -> list[Any]:
        found: list[Any] = list(super().get_override_parameters())
        if getattr(getattr(self.view, self.method.lower(), None), "is_idempotent", False):
            found.append(IDEMPOTENCY_KEY)
        if self.method == "GET":
            found.append(_IF_NONE_MATCH)
        if self.method == "GET" and isinstance(self.view, SparseFields):
            found.append(_fields_of(type(self.view)))
        return found

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Say which scope a token needs, and that a session does where no token may."""
        declared = getattr(self.view, "needs", None)
        if declared == PUBLIC:
            return []
        sessions = [each for each in super().get_auth() if "bearer" not in each and each]
        if isinstance(declared, SessionOnly) or not isinstance(declared, Needs):
            return sessions
        scope = scope_needed(declared, is_read=self.method in SAFE_METHODS)
        return [*([{"bearer": [str(scope)]}] if scope else []), *sessions]


def _fields_of(view: type[SparseFields]) -> OpenApiParameter:
    names = list(view.row_fields())
    return OpenApiParameter(
        FIELDS,
        {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1},
        OpenApiParameter.QUERY,
        style="form",
        explode=False,
        description="Only these fields of each row, separated by commas.",
    )
