"""The demo's options: one frozen value, from the command line. `make demo ARGS="--help"` lists them."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TASKS = ("shelf-place", "bin-picking", "box-close")

# Raised by hand when the meaning of the cached files changes (cameras, features, network): old caches then rest unused.
RECIPE = 2


@dataclass(frozen=True, kw_only=True)
class BasePolicyConfig:
    """What the base policy is made from; its hash names the cache. Sizes follow the measurements of learning.md.

    Demonstrations come from narrow starts on purpose: the base is imperfect because its data is narrow.
    """

    tasks: tuple[str, ...] = TASKS
    demonstrations: int = 8  # a task; docs/experiments.md compares 8 and 25
    scenes: int = 4000  # a task, with simulator labels, for the encoder
    encoder_steps: int | None = None  # None: the learner's own number
    pretrain_steps: int | None = None
    seed: int = 0
    recipe: int = RECIPE

    def digest(self) -> str:
        """Return the name of the cache folder of these settings."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """One demo. `minutes` None runs until Ctrl-C. `rate_hz`: control steps a second of the robots' time, which runs
    `speed` times as fast as the clock."""

    data_dir: Path
    robots: int = 4
    minutes: float | None = None
    is_headless: bool = False
    report: Path | None = None
    port: int = 8000
    speed: float = 1.0
    rate_hz: float = 10.0
    is_reset: bool = False
    is_confirmed: bool = False
    eval_episodes: int = 60  # a task, for the base and the final policy each
    eval_seed: int = 900_000  # far from every training seed
    base: BasePolicyConfig = BasePolicyConfig()

    def eval_seeds(self) -> range:
        """The fixed fresh seeds of every evaluation."""
        return range(self.eval_seed, self.eval_seed + self.eval_episodes)

    def robot_seed(self, index: int) -> int:
        """The seed of the draws of tasks and scenes of robot `index`."""
        return self.base.seed * 1000 + index + 1

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def cache(self) -> Path:
        return self.data_dir / "cache" / self.base.digest()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "reset"), default="run", help="run (default) or clear")
    parser.add_argument("--robots", type=int, default=4, help="simulated robots (default 4)")
    parser.add_argument("--minutes", type=float, help="end by itself after this long; default: run until Ctrl-C")
    parser.add_argument("--headless", action="store_true", help="print progress instead of inviting to the page")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results as JSON (needs --minutes)")
    parser.add_argument("--port", type=int, default=8000, help="port of the page (default 8000)")
    parser.add_argument("--speed", type=float, default=1.0, help="run the robots this many times faster (default 1)")
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="control rate (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the base policy and the robots (default 0)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="task names, separated by commas")
    parser.add_argument("--demonstrations", type=int, default=8, help="a task, for the base policy (default 8)")
    parser.add_argument("--scenes", type=int, default=4000, help="a task, for the encoder (default 4000)")
    parser.add_argument("--encoder-steps", type=int, help="of the encoder's training; default: the learner's")
    parser.add_argument("--pretrain-steps", type=int, help="of the base policy's training; default: the learner's")
    parser.add_argument("--eval-episodes", type=int, default=60, help="a task and policy in the report (default 60)")
    parser.add_argument("--reset", action="store_true", help="clear what an earlier demo left, then run")
    parser.add_argument("--yes", action="store_true", help="do not ask before clearing")
    return parser


def parse_arguments(arguments: list[str]) -> tuple[str, DemoConfig]:
    """Return the action ("run" or "reset") and the configuration; exits with a message on a bad option."""
    parser = _parser()
    given = parser.parse_args(arguments)
    checks = (
        (1 <= given.robots <= 64, "--robots must lie between 1 and 64"),
        (given.minutes is None or given.minutes > 0, "--minutes must be positive"),
        (given.report is None or given.minutes is not None, "--report needs --minutes"),
        (1 <= given.port <= 65535, "--port must lie between 1 and 65535"),
        (given.speed > 0 and given.rate > 0, "--speed and --rate must be positive"),
        (given.demonstrations > 0 and given.scenes > 0, "--demonstrations and --scenes must be positive"),
        (0 <= given.eval_episodes <= 10_000, "--eval-episodes must lie between 0 and 10000"),
    )
    for is_fine, problem in checks:
        if not is_fine:
            parser.error(problem)
    base = BasePolicyConfig(
        tasks=tuple(name.strip() for name in given.tasks.split(",") if name.strip()),
        demonstrations=given.demonstrations,
        scenes=given.scenes,
        encoder_steps=given.encoder_steps,
        pretrain_steps=given.pretrain_steps,
        seed=given.seed,
    )
    return given.action, DemoConfig(
        data_dir=Path(os.environ.get("SOP_DATA_DIR", REPOSITORY / "var")).absolute(),
        robots=given.robots,
        minutes=given.minutes,
        is_headless=given.headless,
        report=given.report,
        port=given.port,
        speed=given.speed,
        rate_hz=given.rate,
        is_reset=given.reset,
        is_confirmed=given.yes,
        eval_episodes=given.eval_episodes,
        base=base,
    )
