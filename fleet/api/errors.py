"""One translator of errors to HTTP: problem details {"code", "title", "detail", "status"} for every refusal."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from fleet.errors import (
    Busy,
    CanaryTooSmall,
    DatasetArchived,
    DatasetChanged,
    DatasetNotReady,
    ExportElsewhere,
    ExportExpired,
    ExportNotNow,
    Forbidden,
    InvalidRequest,
    LabelChanged,
    LabelUnguarded,
    NameTaken,
    NotFound,
    NothingToUndo,
    RolloutClosed,
    RolloutOpen,
    ScopeMissing,
    SelectionChanged,
    SelectionEmpty,
    SelectionTooLarge,
    SessionRequired,
    SplitEmpty,
    TokenInvalid,
    VersionUnusable,
)
from fleet.exports.errors import ExportError
from fleet.outbound.addresses import AddressForbidden, UrlInvalid
from fleet.protocol.errors import AuthorityError, InvalidManifest, ObjectMismatch, SopError, Unauthorised
from fleet.storage.base import KeyInvalid, ObjectConflict, ObjectMissing, SignatureInvalid

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

_STATUS: tuple[tuple[type[SopError], int], ...] = (
    (NotFound, 404),
    (ObjectMissing, 404),
    (KeyInvalid, 404),
    (Unauthorised, 401),
    (Forbidden, 403),
    (TokenInvalid, 403),
    (ScopeMissing, 403),
    (SessionRequired, 403),
    (SignatureInvalid, 403),
    (NameTaken, 409),
    (NothingToUndo, 409),
    (DatasetArchived, 409),
    (SelectionChanged, 409),
    (LabelChanged, 412),
    (DatasetChanged, 412),
    (LabelUnguarded, 428),
    (ObjectConflict, 409),
    (AuthorityError, 409),
    (ObjectMismatch, 422),
    (SelectionEmpty, 422),
    (SelectionTooLarge, 422),
    (SplitEmpty, 422),
    (InvalidRequest, 422),
    (UrlInvalid, 422),
    (AddressForbidden, 422),
    (RolloutOpen, 409),
    (RolloutClosed, 409),
    (CanaryTooSmall, 422),
    (VersionUnusable, 422),
    (DatasetNotReady, 409),
    (ExportNotNow, 409),
    (ExportElsewhere, 409),
    (ExportExpired, 410),
    (ExportError, 422),
    (InvalidManifest, 422),
    (Busy, 429),
)


def problem(status: int, code: str, detail: str) -> dict[str, object]:
    return {"code": code, "title": HTTPStatus(status).phrase, "detail": detail, "status": status}


def problem_response(error: SopError) -> JsonResponse:
    """For views outside of DRF."""
    status = _status_of(error)
    return JsonResponse(problem(status, error.code, error.message), status=status, content_type=PROBLEM_TYPE)


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; what it does not know stays a 500 with its trace in the log."""
    if isinstance(error, SopError):
        status = _status_of(error)
        return _respond(problem(status, error.code, error.message) | _field(error), status)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return _respond(problem(401, "unauthorised", "sign in first"), 401)
    code, detail = error.default_code, _text(error.detail)
    response = _respond(problem(error.status_code, code, detail), error.status_code)
    wait_s = getattr(error, "wait", None)  # of Throttled; its stubs lack it
    if wait_s is not None:
        response.headers["Retry-After"] = str(int(wait_s) + 1)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """CSRF_FAILURE_VIEW: the same shape as every other refusal."""
    return JsonResponse(problem(403, "csrf_failed", reason), status=403, content_type=PROBLEM_TYPE)


def _status_of(error: SopError) -> int:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if status == 500:
        logger.error("request failed", extra={"event": {"code": error.code}}, exc_info=error)
    return status


def _field(error: SopError) -> dict[str, object]:
    return {name: error.data[name] for name in ("field", "problems", "episode_id") if name in error.data}


def _text(detail: Any) -> str:
    """Flatten DRF's nested details into one sentence a field."""
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {_text(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_text(value) for value in detail)
    return str(detail)


def _respond(body: dict[str, object], status: int) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(body, status=status, content_type=PROBLEM_TYPE, headers=headers)
