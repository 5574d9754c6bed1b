"""Offline commands of the daemon: demonstrate, evaluate, scenes. No server, no link, as fast as the machine allows.

Called by `python -m fleet.daemon COMMAND`, by the demo and by experiments. Episodes run through the daemon's own
control loop and recorder, on a virtual clock, so equal seeds give equal bytes. `demonstrate` and `evaluate` go on
where they were interrupted; `scenes` keeps a finished file.
Left out on purpose: training (learner/), and anything that needs the server's rows.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import msgspec
import numpy as np
from tqdm import tqdm

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ControlConfig, SafetyConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.drivers.base import Advised, Advisor, Driver, DriverError
from fleet.daemon.drivers.registry import create_driver, driver_names
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.files import sync
from fleet.daemon.inbox import LocalLeases
from fleet.daemon.recorder import write_episode
from fleet.daemon.software import software
from fleet.daemon.supervisor import SupervisorLike, SupervisorWish
from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch, RecordingError, SopError
from fleet.protocol.policy import Policy, PolicyManifest, decode_policy_manifest
from fleet.protocol.recording import MANIFEST_OBJECT, Origin, decode_manifest, sha256_of_file

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

MAX_STEPS = 250
MAX_SEEDS = 100_000
_NAMESPACE = uuid.UUID("6b0f3a1e-5d0c-5f38-9f0e-6a1d0a5b7c11")
_Z95 = 1.959963984540054


@runtime_checkable
class Instructed(Protocol):
    """A driver that knows how a person would word its tasks."""

    @property
    def instructions(self) -> dict[str, str]: ...


class SeedResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    success: bool
    steps: int
    outcome: str


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file `evaluate` writes. low and high: Wilson's 95 % interval of `successes` in `episodes`."""

    policy_version_id: str
    driver: str
    task: str
    instruction: str
    starts: str
    max_steps: int
    successes: int
    episodes: int
    rate: float
    low: float
    high: float
    confidence: float = 0.95
    results: tuple[SeedResult, ...]


class Demonstrator:
    """Supervisor of a demonstration: the expert wants to drive from the first step to the last."""

    reason = "demonstration"

    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor

    def begin(self, task: str, max_steps: int) -> None:
        self._advisor.begin(task)

    def observe(self, step: int, proposed: Array | None, is_driving: bool) -> SupervisorWish:
        return SupervisorWish.NONE if is_driving else SupervisorWish.TAKE

    def action(self) -> Array:
        return self._advisor.action()


def main(argv: list[str]) -> int:
    """Run `argv` (the command first); return the exit status, 2 for anything the caller can mend."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level="INFO", format="%(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    commands = {"demonstrate": _demonstrate, "evaluate": _evaluate, "scenes": _scenes}
    try:
        commands[options.command](options)
    except (SopError, OSError) as error:
        logger.error("%s", error)
        return 2
    return 0


# --- Demonstrations --------------------------------------------------------------------------------------------------


def _demonstrate(options: argparse.Namespace) -> None:
    with _connected(options) as driver:
        if not isinstance(driver, Advised):
            raise DriverError(f"driver '{options.driver}' carries no expert")
        written, kept, failed = 0, 0, 0
        for seed in tqdm(options.seeds, desc=f"demonstrations of {options.task}", unit="episode"):
            spec = _spec(options, driver, seed, Origin.DEMONSTRATION, policy_version_id=None)
            if is_complete(options.out / spec.episode_id):
                kept += 1
                continue
            recording = _run(driver, spec, supervisor=Demonstrator(driver.advisor), policy=None)
            if recording.is_success:
                shutil.rmtree(options.out / spec.episode_id, ignore_errors=True)  # a damaged one
                write_episode(recording, options.out, software=software())
                written += 1
            else:
                failed += 1
    logger.info("%s: %d written, %d kept, %d seeds the expert failed on", options.task, written, kept, failed)


def is_complete(folder: Path) -> bool:
    """Whether an episode is there with every object as its manifest says."""
    try:
        manifest = decode_manifest((folder / MANIFEST_OBJECT).read_bytes())
        return all(sha256_of_file(folder / part.name) == (part.size, part.sha256) for part in manifest.objects)
    except (OSError, RecordingError):
        return False


# --- Evaluation ------------------------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> None:
    manifest, policy = load_policy_directory(options.policy)
    with _connected(options) as driver:
        empty = Evaluation(
            policy_version_id=manifest.version_id,
            driver=options.driver,
            task=options.task,
            instruction=_instruction(options, driver),
            starts=options.starts,
            max_steps=options.max_steps,
            successes=0,
            episodes=0,
            rate=0.0,
            low=0.0,
            high=1.0,
            results=(),
        )
        known = {result.seed: result for result in _known_results(options.out, empty)}
        results: list[SeedResult] = []
        progress = tqdm(options.seeds, desc=f"evaluation on {options.task}", unit="episode")
        for seed in progress:
            result = known.get(seed)
            if result is None:
                spec = _spec(options, driver, seed, Origin.EVALUATION, policy_version_id=manifest.version_id)
                recording = _run(driver, spec, supervisor=None, policy=policy)
                result = SeedResult(seed, recording.is_success, recording.steps, recording.outcome.value)
            results.append(result)
            progress.set_postfix(successes=sum(entry.success for entry in results))
            _write_json(options.out, summarise(empty, results))


def summarise(empty: Evaluation, results: Sequence[SeedResult]) -> Evaluation:
    """Return `empty` with results and their totals."""
    successes = sum(result.success for result in results)
    low, high = wilson_interval(successes, len(results))
    rate = successes / len(results) if results else 0.0
    return msgspec.structs.replace(
        empty,
        successes=successes,
        episodes=len(results),
        rate=round(rate, 4),
        low=round(low, 4),
        high=round(high, 4),
        results=tuple(results),
    )


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a rate; (0, 1) without trials."""
    if n == 0:
        return 0.0, 1.0
    rate, square = successes / n, _Z95 * _Z95
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = _Z95 / (1 + square / n) * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def load_policy_directory(folder: Path) -> tuple[PolicyManifest, Policy]:
    """Load manifest.json and <sha256>.safetensors on one CPU thread.

    Raises: ArtifactMismatch, UnknownArchitecture; OSError if the manifest is not there.
    """
    manifest = decode_policy_manifest((folder / "manifest.json").read_bytes())
    try:
        registry = importlib.import_module("learner.policies.registry")
    except ModuleNotFoundError as error:
        raise ArtifactMismatch(f"no policies can be loaded here: {error}") from None
    importlib.import_module("torch").set_num_threads(1)
    blobs = {blob.sha256: folder / f"{blob.sha256}.safetensors" for blob in manifest.blobs}
    return manifest, cast(Policy, registry.load_policy(manifest, blobs, device="cpu"))


def _known_results(path: Path, empty: Evaluation) -> tuple[SeedResult, ...]:
    """Return what an interrupted run with the same settings left; nothing if it was another run."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except (OSError, *UNPARSABLE):
        return ()
    return found.results if summarise(empty, found.results) == found else ()


def _write_json(path: Path, evaluation: Evaluation) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=2))
    sync(temporary)
    temporary.replace(path)


# --- Scenes ----------------------------------------------------------------------------------------------------------


def _scenes(options: argparse.Namespace) -> None:
    from fleet.daemon.drivers.metaworld.driver import MetaWorldDriver
    from fleet.daemon.drivers.metaworld.scenes import collect_scenes, has_scenes, write_scenes

    if has_scenes(options.out, task=options.task, count=options.count, seed=options.seed):
        logger.info("%s is complete already", options.out)
        return
    with _connected(options) as driver:
        if not isinstance(driver, MetaWorldDriver):
            raise DriverError(f"driver '{options.driver}' has no labelled scenes")
        with tqdm(total=options.count, desc=f"scenes of {options.task}", unit="frame") as bar:
            scenes = collect_scenes(driver, options.task, count=options.count, seed=options.seed, progress=bar.update)
    write_scenes(scenes, options.out)


# --- Shared ----------------------------------------------------------------------------------------------------------


def _run(
    driver: Driver, spec: EpisodeSpec, *, supervisor: SupervisorLike | None, policy: Policy | None
) -> EpisodeRecording:
    """Run one episode in virtual time; a runner of its own, so that no episode depends on another."""
    runner = EpisodeRunner(
        driver=driver,
        control=ControlConfig(control_rate_hz=driver.info.control_rate_hz, handover_steps=0),
        safety=SafetyConfig(),
        clock=VirtualClock(),
        supervisor=supervisor,
        leases=LocalLeases() if supervisor is not None else None,
    )
    return runner.run(spec, policy)


def _spec(
    options: argparse.Namespace, driver: Driver, seed: int, origin: Origin, *, policy_version_id: str | None
) -> EpisodeSpec:
    instruction = _instruction(options, driver)
    identity = (origin, options.driver, options.task, options.starts, options.max_steps, instruction, seed)
    return EpisodeSpec(
        episode_id=str(uuid.uuid5(_NAMESPACE, "/".join(map(str, (*identity, policy_version_id or ""))))),
        origin=origin,
        task_id=None,
        task_slug=options.task,
        instruction=instruction,
        driver_task=options.task,
        max_steps=options.max_steps,
        seed=seed,
        policy_version_id=policy_version_id,
        robot_id=None,
        robot_name="offline",
    )


def _instruction(options: argparse.Namespace, driver: Driver) -> str:
    if options.instruction:
        return str(options.instruction)
    known = driver.instructions if isinstance(driver, Instructed) else {}
    return str(known.get(options.task, options.task.replace("-", " ")))


@contextmanager
def _connected(options: argparse.Namespace) -> Iterator[Driver]:
    driver = create_driver(options.driver, {"starts": options.starts, "renderer": options.renderer})
    if options.task not in driver.info.tasks:
        raise DriverError(f"task '{options.task}' is unknown; there are {', '.join(driver.info.tasks)}")
    try:
        driver.connect()
        yield driver
    finally:
        driver.close()


def _seed_range(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no range of seeds like 0-24") from None
    if not 0 < len(seeds) <= MAX_SEEDS:
        raise argparse.ArgumentTypeError(f"'{text}' must hold 1 to {MAX_SEEDS} seeds in order")
    return seeds


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fleet.daemon", description="Offline commands of a robot.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--driver", default="metaworld", choices=driver_names())
    common.add_argument("--task", required=True, help="the driver's name of the task, for example shelf-place")
    common.add_argument("--starts", default="full", choices=("full", "narrow"), help="where objects may start")
    common.add_argument("--renderer", default="auto", choices=("auto", "egl", "osmesa", "raycast"))
    episodes = argparse.ArgumentParser(add_help=False)
    episodes.add_argument("--seeds", required=True, type=_seed_range, metavar="A-B", help="both included")
    episodes.add_argument("--max-steps", type=_positive, default=MAX_STEPS)
    episodes.add_argument("--instruction", default="", help="instead of the driver's own wording")
    shown = commands.add_parser("demonstrate", parents=[common, episodes], help="record the expert")
    shown.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets one folder an episode")
    judged = commands.add_parser("evaluate", parents=[common, episodes], help="run a policy without help")
    judged.add_argument("--policy", type=Path, required=True, metavar="DIR", help="manifest.json and blobs")
    judged.add_argument("--out", type=Path, required=True, metavar="FILE")
    pictured = commands.add_parser("scenes", parents=[common], help="labelled pictures for the image encoder")
    pictured.add_argument("--count", type=_positive, required=True)
    pictured.add_argument("--seed", type=int, default=0)
    pictured.add_argument("--out", type=Path, required=True, metavar="FILE")
    return parser
