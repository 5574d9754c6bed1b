"""A robot and people for the tests of consoles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fleet.services.enrolment import Enrolled
    from tests.fleet.consumers.peers import RobotPeer

# Imports that need Django stay inside the fixtures: pytest loads this file before Django.


@pytest.fixture
def ann(transactional_db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def ben(transactional_db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ben")


@pytest.fixture
def manager(transactional_db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("max", is_staff=True)


@pytest.fixture
def enrolled(transactional_db: None) -> Enrolled:
    from tests.fleet import builders

    return builders.enrol()


@pytest.fixture
def online(server: str, enrolled: Enrolled, settings: Any) -> Iterator[RobotPeer]:
    """A connected robot, which may be silent for some seconds. Presence begins with the first heartbeat."""
    from fleet.protocol import messages as m
    from tests.fleet.consumers.peers import joined_robot

    settings.SOP_HEARTBEAT_S = 5.0
    with joined_robot(server, enrolled) as robot:
        robot.beat()
        robot.expect(m.StateChanged)  # it follows once the status is kept
        yield robot
