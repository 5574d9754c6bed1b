"""Makes the base policy from the simulator's experts, once: scenes, demonstrations, offline training.

Every step's results appear when complete, so an interrupted set-up goes on where it stopped.
The folder is named by the settings' hash (config.BasePolicyConfig); a change of them makes a new one.
"""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sop_web.demo.config import REPOSITORY, DemoConfig
from sop_web.demo.processes import Job, Processes, ProgressSink, run_jobs

PARALLEL = 2
_DAEMON = (sys.executable, "-m", "fleet.daemon")


@dataclass(frozen=True)
class BasePolicy:
    """Where the parts lie. `policy`: manifest.json and its blobs; `demonstrations`: one folder an episode."""

    folder: Path

    @property
    def demonstrations(self) -> Path:
        return self.folder / "demonstrations"

    @property
    def policy(self) -> Path:
        return self.folder / "policy"

    @property
    def evaluation(self) -> Path:
        """Results of this very policy; another one gets another folder."""
        manifest = json.loads((self.policy / "manifest.json").read_text())
        return self.folder / "evaluation" / str(manifest["version_id"])

    @property
    def blobs(self) -> set[str]:
        """SHA-256 of its weights."""
        manifest = json.loads((self.policy / "manifest.json").read_text())
        return {str(blob["sha256"]) for blob in manifest["blobs"]}

    @property
    def scenes(self) -> Path:
        return self.folder / "scenes"


def ensure_base_policy(
    config: DemoConfig, *, env: Mapping[str, str], processes: Processes, progress: ProgressSink
) -> BasePolicy:
    """Return the base policy, made now if it is not cached. Raises: ChildFailed.

    The learner is asked every time: it knows whether its recipe still gives what lies in the cache.
    """
    base = BasePolicy(config.cache)
    for folder in (base.folder, base.scenes, base.demonstrations):
        folder.mkdir(parents=True, exist_ok=True)
    (base.folder / "settings.json").write_text(json.dumps(vars(config.base), default=list, indent=2))
    single = {**env, "OMP_NUM_THREADS": "1"}

    def run(jobs: list[Job], environment: Mapping[str, str]) -> None:
        run_jobs(
            jobs, logs=config.logs, env=environment, cwd=REPOSITORY, parallel=PARALLEL, processes=processes,
            report=progress,
        )  # fmt: skip

    todo = [task for task in config.base.tasks if not (base.folder / f"{task}.made").exists()]
    run([job for task in todo for job in _data_jobs(config, base, task)], single)
    for task in todo:
        _complete_data(base, task)
    run([_pretrain_job(config, base)], env)
    return base


def _first_seed(config: DemoConfig, task: str) -> int:
    """Demonstrations, scenes and evaluations must not share seeds, nor tasks each other's."""
    return config.base.seed * 10_000_000 + zlib.crc32(task.encode()) % 800 * 1000


def _data_jobs(config: DemoConfig, base: BasePolicy, task: str) -> list[Job]:
    first = _first_seed(config, task)
    seeds = f"{first}-{first + config.base.demonstrations - 1}"
    partial = base.folder / f"{task}.demonstrations.partial"
    demonstrate = [
        *_DAEMON, "demonstrate", "--driver", "metaworld", "--task", task, "--seeds", seeds, "--starts", "narrow",
        "--out", str(partial),
    ]  # fmt: skip
    scenes = [
        *_DAEMON, "scenes", "--task", task, "--count", str(config.base.scenes), "--seed", str(first + 500),
        "--out", str(base.folder / f"{task}.partial.npz"),
    ]  # fmt: skip
    return [Job(f"scenes-{task}", scenes), Job(f"demonstrate-{task}", demonstrate)]


def _complete_data(base: BasePolicy, task: str) -> None:
    """Move a task's complete files to their names and note it."""
    (base.folder / f"{task}.partial.npz").replace(base.scenes / f"{task}.npz")
    partial = base.folder / f"{task}.demonstrations.partial"
    for episode in partial.iterdir():
        target = base.demonstrations / episode.name
        shutil.rmtree(target, ignore_errors=True)
        episode.rename(target)
    partial.rmdir()
    (base.folder / f"{task}.made").touch()


def _pretrain_job(config: DemoConfig, base: BasePolicy) -> Job:
    scenes = [str(base.scenes / f"{task}.npz") for task in config.base.tasks]
    command = [
        sys.executable, "-m", "learner", "pretrain", "--scenes", *scenes, "--episodes", str(base.demonstrations),
        "--out", str(base.policy), "--seed", str(config.base.seed),
    ]  # fmt: skip
    if config.base.encoder_steps is not None:
        command += ["--encoder-steps", str(config.base.encoder_steps)]
    if config.base.pretrain_steps is not None:
        command += ["--steps", str(config.base.pretrain_steps)]
    return Job("pretrain", command)
