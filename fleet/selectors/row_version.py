"""Versions of what people edit and no row counts revisions of: a word of the values, the same for the same values.

It is the ETag of such a resource, and stands in its bodies as `version`. Who changes it names the one that was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from fleet.models import Assignment, RetentionRule
from fleet.selectors.person import person_roles_given

NONE = "none"  # of an assignment that is not there
_ASSIGNMENT = ("weight", "priority", "windows", "time_zone")
_RULE = ("kinds", "keep_days", "keep_bytes", "takes_interventions", "is_active")


def assignment_version(row: Assignment | None) -> str:
    """Return the version of a robot's work at a task; NONE while it does not work at it."""
    return _version({name: getattr(row, name) for name in _ASSIGNMENT}) if row is not None else NONE


def retention_version(rule: RetentionRule) -> str:
    """Return the version of a rule: of what people say in it, not of what it has removed."""
    return _version({name: getattr(rule, name) for name in _RULE})


def person_version(*, roles: Iterable[object], is_active: bool, name: str, email: str) -> str:
    """Return the version of a person: roles, whether they may sign in, name and address."""
    given = sorted(str(role) for role in roles)
    return _version({"roles": given, "is_active": is_active, "name": name, "email": email})


def user_version(user: AbstractBaseUser) -> str:
    """Return the version of the person whose row this is."""
    row: Any = user
    roles = person_roles_given(user=row)
    return person_version(roles=roles, is_active=row.is_active, name=row.get_full_name(), email=row.email)


def _version(values: Mapping[str, object]) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
