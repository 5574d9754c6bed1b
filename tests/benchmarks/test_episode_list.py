"""The library's benchmark at a size of seconds: it must run to the end. Its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from fleet.models import Episode

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
def test_it_asks_every_question_and_cleans_up() -> None:
    """In a process of its own at the test's database; every question has its times and the plans behind them."""
    settings = connection.settings_dict
    url = (
        f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    )
    command = [sys.executable, "-m", "benchmarks.episode_list", "--quick"]
    environment = {**os.environ, "DATABASE_URL": url}
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=240, env=environment)

    found = json.loads(ended.stdout)

    assert (found["rows"], found["bulk"]["episodes"]) == (2000, 2000)
    newest = found["questions"]["newest"]
    assert 1900 < newest["found"] < 2000, "all but the archived ones"
    assert found["questions"]["a word that is nowhere"]["found"] == 0
    for question in found["questions"].values():
        for kind in ("list", "counts"):
            assert 0 < question[kind]["p50_ms"] <= question[kind]["p95_ms"]
            assert any("fleet_episode" in line for plan in question[kind]["plans"] for line in plan)
    assert not Episode.objects.exists()
