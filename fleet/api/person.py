"""The signed-in person behind a request, as the services take one."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request


def person_of(request: Request) -> AbstractBaseUser:
    """Return who asks. Raises: NotAuthenticated, where a view's permissions let strangers in."""
    if not isinstance(request.user, AbstractBaseUser):
        raise NotAuthenticated
    return request.user
