"""kill -9 of a real daemon at random points of recording, against the real server: whole episodes or none, everywhere.

SOP_KILLS sets how often (default 2, for CI), SOP_KILLS_SEED the moments; `make kill-test` does it 50 times. Every other
kill waits for the files of an episode to be on their way to the disk, the rest come at any moment: starting, recording,
writing, uploading, announcing.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import pytest

from fleet.daemon.recorder import TEMPORARY_PREFIX
from fleet.models import Episode, Robot
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.services.assignment import assignment_set
from fleet.services.enrolment import enrolment_token_create
from fleet.services.policy import policy_version_publish
from fleet.services.robot import robot_pause
from fleet.services.storage_verify import storage_verify
from fleet.services.task import task_create
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.daemon.harness import FAST, closed_ids
from tests.fleet.daemon.point_policy import make_version
from tests.fleet.daemon.test_spool import check_whole, episodes_in
from tests.fleet.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("SOP_KILLS", "2"))
SEED = int(os.environ.get("SOP_KILLS_SEED", "7"))
START_S = 60.0  # a loaded machine imports slowly


@contextlib.contextmanager
def _daemon(server: str, state: Path, token: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.fleet.daemon.point_daemon", "--server", f"http://{server}"]
    command += ["--state", str(state), "--driver", "point", "--name", "point", f"--token={token}"]
    for setting in (*FAST, "control.speed_factor=10"):
        command += ["--set", setting]
    with (state.parent / "daemon.log").open("ab") as log, subprocess.Popen(command, cwd=ROOT, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


def _give_work(robot: Robot) -> None:
    run = builders.running_run()
    _, files = make_version(1, dx=0.6)
    manifest_bytes = next(data for path, data in files.items() if "manifest" in path)
    manifest = msgspec.structs.replace(decode_policy_manifest(manifest_bytes), run_id=str(run.id))
    blobs = {blob.sha256: next(data for path, data in files.items() if blob.sha256 in path) for blob in manifest.blobs}
    policy_version_publish(run_id=str(run.id), manifest_bytes=encode_policy_manifest(manifest), blobs=blobs)
    task = task_create(slug="reach", instruction="reach", driver_task="reach", max_steps=200)
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)


def _wait_until_writing(spool: Path) -> None:
    """Return in the middle of an episode's way to the disk; its files appear one after the other."""
    wait_for(lambda: any(spool.glob(f"pending/{TEMPORARY_PREFIX}*/*")), timeout_s=START_S)


def _check_robot(state: Path) -> int:
    """Assert that whatever has an episode's name is whole; return how many half ones hide behind temporary names."""
    spool, half = state / "spool", 0
    for folder in (*spool.glob("pending/*"), *spool.glob("uploaded/*")):
        if folder.name.startswith(TEMPORARY_PREFIX):
            half += 1
        else:
            check_whole(folder)
    assert not list(spool.glob("refused/*")), "the server refused an episode for good"
    return half


def _registered() -> set[str]:
    return {str(episode_id) for episode_id in Episode.objects.values_list("id", flat=True)}


def _frames(objects: LocalStore, episode: Episode) -> int:
    with objects.open(keys.episode_object(str(episode.id), "front.mp4")) as file, av.open(file) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.timeout(60 + 60 * KILLS)
def test_closed_episodes_are_whole_and_half_ones_are_nowhere(
    server: str, objects: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, state, seen = random.Random(SEED), tmp_path / "state", Counter[str]()
    _, token = enrolment_token_create()
    with _daemon(server, state, token):
        wait_for(lambda: Robot.objects.exists() and (state / "credentials.json").exists(), timeout_s=START_S)
        robot = Robot.objects.get()
        _give_work(robot)
        wait_for(lambda: Episode.objects.exists(), timeout_s=START_S)
    for kill in range(KILLS):
        before = len(closed_ids(state))
        with _daemon(server, state, token) as process:
            wait_for(lambda before=before: len(closed_ids(state)) > before, timeout_s=START_S)
            if kill % 2 == 0:
                _wait_until_writing(state / "spool")
                time.sleep(rng.uniform(0, 0.01))
            else:
                time.sleep(rng.uniform(0, 3))
            assert process.poll() is None, "the daemon ended by itself"
            process.kill()
            process.wait(10)
        seen["kills with half-written files"] += _check_robot(state) > 0
        waiting = len([path for path in state.glob("spool/pending/*") if not path.name.startswith(TEMPORARY_PREFIX)])
        seen["kills with closed episodes not yet registered"] += waiting > 0
    robot_pause(robot_id=robot.id, is_paused=True)
    with _daemon(server, state, token):  # delivers the rest, and clears up what is half
        wait_for(lambda: _registered() == set(closed_ids(state)), timeout_s=START_S)
        wait_for(lambda: not list(state.glob("spool/pending/*")), timeout_s=START_S)
    closed = closed_ids(state)
    assert len(closed) == len(set(closed)) == Episode.objects.count()
    assert episodes_in(state / "spool") == set(closed)
    assert _check_robot(state) == 0
    report = storage_verify()
    assert (report.episodes, report.damaged) == (len(closed), 0), report.problems
    frames = {episode.id: (_frames(objects, episode), episode.steps) for episode in Episode.objects.all()}
    assert [pair for pair in frames.values() if pair[0] != pair[1]] == []
    stored = {key.split("/")[1] for key in objects.list(keys.EPISODES)}
    assert stored == set(closed), "objects of an episode that nobody closed"
    with capsys.disabled():
        print(f"\n{KILLS} kills (seed {SEED}): {len(closed)} episodes closed, registered and whole, {dict(seen)}")
