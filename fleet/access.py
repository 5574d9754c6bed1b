"""The only door from a request to an object: fetches for a user, and tells missing and forbidden apart for nobody.

Today every signed-in user may see the whole fleet, and managers (is_staff) may change it.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from fleet.errors import NotFound
from fleet.models import Robot

User = AbstractBaseUser | AnonymousUser


def access_robots(user: User) -> QuerySet[Robot]:
    """Return the robots this user may see."""
    return Robot.objects.all() if user.is_active and user.is_authenticated else Robot.objects.none()


def access_robot_by_id(user: User, robot_id: uuid.UUID) -> Robot:
    """Return one robot. Raises: NotFound."""
    robot = access_robots(user).filter(id=robot_id).first()
    if robot is None:
        raise NotFound("there is no such robot")
    return robot
