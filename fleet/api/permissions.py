"""Lets a request through if the access matrix says so: for every view, and shut for one that has no line there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from fleet.access import may
from fleet.api.matrix import ENDPOINTS, Need
from fleet.errors import Forbidden
from fleet.permissions import Permission, needed_words

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
        return True


def check(user: Any, permission: Permission) -> None:
    """For what a view decides by the request's body. Raises: Forbidden."""
    if not may(user, permission):
        raise Forbidden(needed_words(permission))


def need_of(request: Request, method: str) -> Permission | Need:
    match = request.resolver_match
    line = ENDPOINTS.get(match.url_name or "", {}) if match else {}
    return Need.SIGNED_IN if method == "OPTIONS" and line else line.get(method, Need.NOBODY_KNOWS)
