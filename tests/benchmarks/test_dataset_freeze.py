"""The benchmark of freezing at a size of seconds: it must run to the end. Its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from fleet.models import DatasetEpisode, Episode

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
def test_it_freezes_everything_and_cleans_up() -> None:
    """In a process of its own at the test's database; archived episodes are asked for and in it too."""
    settings = connection.settings_dict
    url = (
        f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    )
    command = [sys.executable, "-m", "benchmarks.dataset_freeze", "--quick"]
    environment = {**os.environ, "DATABASE_URL": url}
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=240, env=environment)

    found = json.loads(ended.stdout)

    assert found["rows"] == found["episodes"] == found["stratified"] == 2000
    assert 0 < found["small"] < 2000 and found["database_mb"] > 0
    for each in ("preview", "freeze", "freeze_by_task"):
        assert found[each]["s"] > 0 and found[each]["memory_mb"] >= 0
    assert not DatasetEpisode.objects.exists() and not Episode.objects.exists()
