"""Rows from before the library are filled as new ones are written."""

from __future__ import annotations

import importlib

import pytest
from django.db import connection

from fleet.models import Episode
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

FIELDS = ("sources", "operators", "search_text")


@pytest.mark.django_db
def test_older_episodes_can_be_searched_like_new_ones(objects: LocalStore) -> None:
    """The migration gives what registration gave, with and without a robot, a person or a reason."""
    task, robot = builders.task(), builders.enrol("Arm 7").robot
    register(task, robot, human=2, operator="Bea", outcome_reason="Lid fell")
    register(task, robot)
    register(task, None)
    written = list(Episode.objects.values_list(*FIELDS))
    Episode.objects.update(sources=[], operators=[], search_text="")
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("fleet.migrations.0008_fill_what_is_searched").FILL)
    assert list(Episode.objects.values_list(*FIELDS)) == written
    assert written[-1] == (["policy", "scripted"], ["Bea"], "box-close\ndo box-close\narm 7\nbea\nlid fell")
