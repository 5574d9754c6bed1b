"""Lets a request through if the access matrix says so: for every view, and shut for one that has no line there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from fleet.access import coverage_of, may, refusal_words
from fleet.api.matrix import ENDPOINTS, Need
from fleet.api.reach import REACH
from fleet.errors import Forbidden
from fleet.permissions import Permission

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module, as its default permission

logger = logging.getLogger(__name__)


class MatrixAllows(BasePermission):
    """The default permission. 401 for strangers, 403 with the role that it takes for everybody else."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in view.allowed_methods:
            return True  # the view answers 405
        need = need_of(request, method)
        if need is Need.NOBODY_KNOWS:
            logger.error("no line in the access matrix", extra={"event": {"path": request.path, "method": method}})
            return False
        if need is Need.ANYONE:
            return True
        user = request.user
        if not (user and user.is_authenticated):
            return False
        if isinstance(need, Permission):
            check(user, need)
        if _name_of(request) not in REACH and not coverage_of(user).is_whole:
            logger.error("no line on groups", extra={"event": {"path": request.path, "method": method}})
            return False
        return True


def check(user: Any, permission: Permission) -> None:
    """For what a view decides by the request's body. Raises: Forbidden."""
    if not may(user, permission):
        raise Forbidden(refusal_words(user, permission))


def need_of(request: Request, method: str) -> Permission | Need:
    line = ENDPOINTS.get(_name_of(request), {})
    return Need.SIGNED_IN if method == "OPTIONS" and line else line.get(method, Need.NOBODY_KNOWS)


def _name_of(request: Request) -> str:
    match = request.resolver_match
    return (match.url_name or "") if match else ""
