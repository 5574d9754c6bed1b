"""One translator of errors to HTTP: problem details (RFC 9457) for every refusal.

{"type", "code", "title", "detail", "status", "instance"} and "field" where one value is to blame. `type` is where
docs/api-errors.md describes the code on this server; `instance` names the request, as X-Request-ID does.
"""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.defaults import page_not_found
from rest_framework import exceptions
from rest_framework.response import Response

from fleet.acting import request_id
from fleet.errors import (
    Busy,
    CanaryTooSmall,
    CapabilityMissing,
    DatasetArchived,
    DatasetNotReady,
    DownloadsBusy,
    ExportElsewhere,
    ExportExpired,
    ExportNotNow,
    Forbidden,
    IdempotencyKeyBusy,
    IdempotencyKeyReused,
    ImportNotNow,
    InvalidRequest,
    LastAdmin,
    LinkInvalid,
    LogsUnknown,
    NameTaken,
    NotFound,
    NothingToUndo,
    PreconditionFailed,
    PreconditionRequired,
    RateLimited,
    RobotOffline,
    RobotRetired,
    RolloutClosed,
    RolloutOpen,
    RunNotNow,
    ScopeMissing,
    SecondFactorNeeded,
    SelectionChanged,
    SelectionEmpty,
    SelectionTooLarge,
    SessionRequired,
    SettingsInvalid,
    ShadowBusy,
    ShadowEnded,
    ShadowMismatch,
    ShadowSameVersion,
    SignInLocked,
    SplitEmpty,
    TaskArchived,
    TokenInvalid,
    UnknownAlgorithm,
    UploadMissing,
    VersionUnusable,
)
from fleet.exports.errors import ExportError
from fleet.imports.errors import ImportFailed
from fleet.outbound.addresses import AddressForbidden, UrlInvalid
from fleet.protocol.errors import AuthorityError, InvalidManifest, ObjectMismatch, SopError, Unauthorised
from fleet.storage.base import KeyInvalid, ObjectConflict, ObjectMissing, SignatureInvalid, StoreFull, StoreUnavailable

logger = logging.getLogger(__name__)

AnyResponse = TypeVar("AnyResponse", bound=HttpResponseBase)
PROBLEM_TYPE = "application/problem+json"
ERRORS_PAGE = "/api/docs/errors"

_STATUS: tuple[tuple[type[SopError], int], ...] = (
    (NotFound, 404),
    (ObjectMissing, 404),
    (KeyInvalid, 404),
    (Unauthorised, 401),
    (Forbidden, 403),
    (LinkInvalid, 403),
    (SecondFactorNeeded, 401),
    (SignInLocked, 429),
    (LastAdmin, 409),
    (TokenInvalid, 403),
    (ScopeMissing, 403),
    (SessionRequired, 403),
    (SignatureInvalid, 403),
    (NameTaken, 409),
    (NothingToUndo, 409),
    (DatasetArchived, 409),
    (SelectionChanged, 409),
    (IdempotencyKeyBusy, 409),
    (PreconditionFailed, 412),
    (PreconditionRequired, 428),
    (ImportNotNow, 409),
    (UploadMissing, 409),
    (ImportFailed, 422),
    (RateLimited, 429),
    (IdempotencyKeyReused, 422),
    (RobotRetired, 409),
    (RobotOffline, 409),
    (LogsUnknown, 409),
    (TaskArchived, 409),
    (CapabilityMissing, 409),
    (StoreFull, 507),
    (StoreUnavailable, 503),
    (ObjectConflict, 409),
    (AuthorityError, 409),
    (ObjectMismatch, 422),
    (SelectionEmpty, 422),
    (SelectionTooLarge, 422),
    (SplitEmpty, 422),
    (InvalidRequest, 422),
    (UrlInvalid, 422),
    (AddressForbidden, 422),
    (RunNotNow, 409),
    (UnknownAlgorithm, 422),
    (SettingsInvalid, 422),
    (RolloutOpen, 409),
    (RolloutClosed, 409),
    (CanaryTooSmall, 422),
    (VersionUnusable, 422),
    (ShadowMismatch, 422),
    (ShadowSameVersion, 409),
    (ShadowBusy, 409),
    (ShadowEnded, 409),
    (DatasetNotReady, 409),
    (ExportNotNow, 409),
    (ExportElsewhere, 409),
    (ExportExpired, 410),
    (ExportError, 422),
    (InvalidManifest, 422),
    (Busy, 429),
    (DownloadsBusy, 429),
)


def problem(status: int, code: str, detail: str) -> dict[str, object]:
    return {
        "type": f"{ERRORS_PAGE}#{code}",
        "code": code,
        "title": HTTPStatus(status).phrase,
        "detail": detail,
        "status": status,
        "instance": f"urn:sop:request:{request_id()}",
    }


def problem_response(error: SopError) -> JsonResponse:
    """For views outside of DRF."""
    status = _status_of(error)
    return _retry_after(_plain(status, error.code, error.message), error.data.get("wait_s"))


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; what it does not know stays a 500 with its trace in the log."""
    if isinstance(error, SopError):
        status = _status_of(error)
        response = _respond(problem(status, error.code, error.message) | _field(error), status)
        return _retry_after(response, error.data.get("wait_s"))
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return _respond(problem(401, "unauthorised", "sign in first"), 401)
    code = RateLimited.code if isinstance(error, exceptions.Throttled) else error.default_code
    response = _respond(problem(error.status_code, code, _text(error.detail)), error.status_code)
    return _retry_after(response, getattr(error, "wait", None))  # of Throttled; its stubs lack it


def _retry_after(response: AnyResponse, wait_s: object) -> AnyResponse:
    if isinstance(wait_s, int | float):
        response.headers["Retry-After"] = str(math.ceil(wait_s))
    return response


def page_missing(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler404, for addresses that no view has: pages for the admin, problem details for everything else."""
    if request.path.startswith("/admin/"):
        return page_not_found(request, exception)
    return _plain(404, "not_found", "there is nothing at this address")


def request_bad(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler400, for what Django refuses before a view sees it."""
    return _plain(400, "bad_request", "this request is malformed")


def server_failed(request: HttpRequest) -> HttpResponseBase:
    """handler500; the trace is in the log, under the same id."""
    return _plain(500, "internal", "the server failed; its log says more")


def _plain(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_TYPE)


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """CSRF_FAILURE_VIEW: the same shape as every other refusal."""
    return _plain(403, "csrf_failed", reason)


def status_of_kind(kind: type[SopError]) -> int:
    """Return the status of an error class; 500 for one that no request should meet."""
    return next((status for known, status in _STATUS if issubclass(kind, known)), 500)


def _status_of(error: SopError) -> int:
    status = status_of_kind(type(error))
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
