"""The daemon's policy host with a LeRobot policy: `verify_policy_drive.py TASK BASE TRAINED LINES`.

Run by scripts/verify-policy under lerobot's own Python. BASE and TRAINED are policy directories, LINES what training
printed. A server on loopback gives both versions out; the host fetches, verifies, probes and offers them as on a robot,
and the second one drives an episode in the simulator. Says what was seen; exits 1 with the first thing that was not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import http.server
import json
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ControlConfig, PolicyConfig, SafetyConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.downloads import Downloads
from fleet.daemon.drivers.base import Driver
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.episode import EpisodeSpec
from fleet.daemon.policy_host import LoadedPolicy, PolicyHost
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.trust import Trust
from fleet.protocol.messages import DesiredState, PolicyTarget, RobotMessage
from fleet.protocol.policy import decode_policy_manifest
from fleet.protocol.recording import Origin

LOADED_S = 300.0  # lerobot's imports take a minute on a slow disk
STEPS = 120


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """It sends no ranges, and the host hangs up on whole files it asked a part of."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def target_of(folder: Path, number: int) -> PolicyTarget:
    data = (folder / "manifest.json").read_bytes()
    manifest = decode_policy_manifest(data)
    return PolicyTarget(
        version_id=manifest.version_id,
        number=number,
        manifest_url=f"/{folder.name}/manifest.json",
        manifest_sha256=hashlib.sha256(data).hexdigest(),
        blob_urls={ref.sha256: f"/{folder.name}/{ref.sha256}.safetensors" for ref in manifest.blobs},
        published_ns=1,
    )


def state_of(target: PolicyTarget) -> DesiredState:
    return DesiredState(
        revision=target.number,
        robot_id="robot",
        robot_name="robot",
        is_paused=False,
        assignments=(),
        policy=target,
        lease=None,
    )


async def hosted(driver: Driver, folders: list[Path], state: Path) -> list[LoadedPolicy]:
    """Have the host follow one version after the other; return them as the control loop would get them."""
    reports: list[RobotMessage] = []
    loaded: list[LoadedPolicy] = []
    config = PolicyConfig(unsigned="always", torch_threads=1)
    with served(folders[0].parent) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as client:
            host = PolicyHost(
                store=PolicyStore(state / "policies", cache_bytes=config.cache_bytes),
                downloads=Downloads(client, config, rng=random.Random(0)),
                config=config,
                info=driver.info,
                trust=Trust(state, config, robot_id="robot"),
                report=reports.append,
                ask_again=lambda: None,
            )
            running = asyncio.create_task(host.run())
            for number, folder in enumerate(folders, start=1):
                host.follow(state_of(target_of(folder, number)))
                async with asyncio.timeout(LOADED_S):
                    while (taken := host.take()) is None or taken.number != number:
                        if running.done() or any(type(report).__name__ == "PolicyRefused" for report in reports):
                            raise SystemExit(f"the host refused version {number}: {reports}")
                        await asyncio.sleep(0.05)
                loaded.append(taken)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    return loaded


def drive(driver: Driver, task: str, version: LoadedPolicy) -> None:
    runner = EpisodeRunner(
        driver=driver,
        control=ControlConfig(control_rate_hz=driver.info.control_rate_hz),
        safety=SafetyConfig(),
        clock=VirtualClock(),
        supervisor=None,
        leases=None,
    )
    spec = EpisodeSpec(
        episode_id="00000000-0000-4000-8000-000000000001",
        origin=Origin.EVALUATION,
        task_id=None,
        task_slug=task,
        instruction=task.replace("-", " "),
        driver_task=task,
        max_steps=STEPS,
        seed=900_000,
        policy_version_id=version.version_id,
        robot_id=None,
        robot_name="robot",
    )
    recording = runner.run(spec, version.policy)
    moved = float(abs(recording.arrays["action"]).max())
    require(recording.steps > 0 and moved > 0.0, "the policy did not drive")
    took_ms = recording.arrays["inference_ms"][recording.arrays["inference_ms"] > 0]
    print(
        f"an episode of {recording.steps} steps ended as {recording.outcome.value}; inference took "
        f"{float(took_ms.mean()):.0f} ms a chunk"
    )


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(otherwise)


def main(task: str, base: Path, trained: Path, lines: Path) -> None:
    losses = [json.loads(line)["loss"] for line in lines.read_text().splitlines() if line.startswith("{")]
    print("mean loss of each part of the training:", *(f"{loss:.3f}" for loss in losses))
    require(len(losses) > 1 and losses[-1] < 0.8 * losses[0], "the loss did not fall")
    driver = create_driver("metaworld", {})
    driver.connect()
    with tempfile.TemporaryDirectory() as state:
        first, second = asyncio.run(hosted(driver, [base, trained], Path(state)))
    head = next(ref.size for ref in second.manifest.blobs if ref.name == "head")
    require(second.fetched_bytes < first.fetched_bytes, "the second version fetched more than its head")
    print(f"the host fetched {first.fetched_bytes:,} bytes, then {second.fetched_bytes:,} (the head has {head:,})")
    drive(driver, task, second)
    driver.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
