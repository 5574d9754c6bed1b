"""What one run of an experiment is, as a JSON file: written by `study.py`, read by `run.py`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

TASKS = ("shelf-place", "bin-picking", "box-close")
EVALUATION_SEED = 9_000_000  # evaluation episode k of every task has seed EVALUATION_SEED + k; never trained on
ONLINE_SEED = 1_000_000


class RunSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One learner and a fleet of virtual robots.

    `base`: name of a base policy of `bases.py`. `mode`: "online" is SOP's loop; in "batch" the robots keep the base
    policy for all `minutes`, and the learner takes its steps afterwards. `human_frames_of`: name of a run of the same
    study; a batch ends when its human frames reach those of that run. `config`: RunConfig. `tasks`: what robots work
    on; `evaluated`: what is evaluated. Evaluation points in virtual minutes, `point_episodes` a task each; `episodes`
    a task at the end. Times: virtual minutes and seconds; 10 control steps are a second.
    """

    name: str
    seed: int
    base: str
    mode: Literal["online", "batch"] = "online"
    human_frames_of: str | None = None
    config: dict[str, Any] = {}
    tasks: tuple[str, ...] = TASKS
    evaluated: tuple[str, ...] = TASKS
    robots: int = 4
    minutes: float = 8.0
    steps_per_minute: int = 1000
    publish_steps: int = 25
    latency_s: float = 10.0
    reset_s: float = 1.0
    episodes: int = 60
    points: tuple[float, ...] = ()
    point_episodes: int = 30


def read_spec(data: bytes) -> RunSpec:
    """Raises: msgspec.ValidationError, msgspec.DecodeError."""
    return msgspec.json.decode(data, type=RunSpec)
