"""Configuration of a training run: frozen dataclasses, and the one reader of `TrainingRun.config` JSON.

Defaults are the values measured in docs/experiments.md. Algorithms bring their own dataclass; `algorithm_config`
holds its values until the algorithm reads them with `from_mapping`.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

_T = TypeVar("_T")


class ConfigError(ValueError):
    """A configuration with unknown keys, wrong types or impossible values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig:
    """The adaptive sampler (paper.md section 2) and the ramp of its upper clip.

    The paper leaves alpha open. Flow-matching losses are near 0.1, where the formula hardly leaves 0.5; `loss_scale`
    multiplies both means before it (with 5 the measured shares spread from .55 to .76 by task). The upper clip rises
    from `cap_start` to `cap_end` over `cap_ramp_frames` online frames of the task: a few corrections shall not fill
    most of a batch. `strategy`: "adaptive" is the paper's; "fixed" always takes `fixed_share` of a task's rows from
    its online buffer; "uniform" draws every frame of every buffer equally often. Both are for comparison.
    """

    strategy: Literal["adaptive", "fixed", "uniform"] = "adaptive"
    fixed_share: float = 0.5
    alpha: float = 1.5
    loss_scale: float = 5.0
    window: int = 200
    floor: float = 0.2
    cap_start: float = 0.5
    cap_end: float = 0.8
    cap_ramp_frames: int = 1000

    def __post_init__(self) -> None:
        _require(self.window > 0 and self.loss_scale > 0, "window and loss_scale must be positive")
        _require(0 <= self.floor <= self.cap_start <= self.cap_end <= 1, "0 <= floor <= cap_start <= cap_end <= 1")
        _require(self.cap_ramp_frames >= 0, "cap_ramp_frames must not be negative")
        _require(0 <= self.fixed_share <= 1, "fixed_share must be 0..1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """The data path: local cache, which online episodes are kept, how often they are drawn. None: no such limit.

    `cache_dir`: folder of encoded episodes, kept between runs; None is a temporary one (a worker of the fleet has its
    own). `cache_bytes` bounds it (340 bytes a frame with 73 features). `loader_threads` decode and encode ahead.

    `capacity_frames`: online frames that carry loss a task, the oldest episodes leave first; `max_age_s` counts back
    from the newest online episode; `max_policy_age_steps`: gradient steps between the version that acted and the
    learner. Demonstrations stay.

    `samples_per_insert`: online rows drawn an online frame inserted, at most; a round ends, and waits for robots, once
    there are `samples_tolerance` rows more. It acts from `min_online_frames` on.
    """

    cache_dir: str | None = None
    cache_bytes: int = 4 * 1024**3
    loader_threads: int = 1
    capacity_frames: int | None = None
    max_age_s: float | None = None
    max_policy_age_steps: int | None = None
    samples_per_insert: float | None = None
    samples_tolerance: int = 1000
    min_online_frames: int = 0

    def __post_init__(self) -> None:
        _require(self.cache_bytes > 0 and self.loader_threads > 0, "cache_bytes and loader_threads must be positive")
        _require(self.capacity_frames is None or self.capacity_frames > 0, "capacity_frames must be positive")
        _require(self.max_age_s is None or self.max_age_s > 0, "max_age_s must be positive")
        _require(self.max_policy_age_steps is None or self.max_policy_age_steps >= 0, "max_policy_age_steps >= 0")
        _require(self.samples_per_insert is None or self.samples_per_insert > 0, "samples_per_insert must be positive")
        _require(
            self.samples_tolerance >= 0 and self.min_online_frames >= 0,
            "samples_tolerance and min_online_frames must not be negative",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """AdamW with a constant rate after a short warm-up (a jump from base to online costs success), EMA, clipping."""

    batch_size: int = 64  # rows a step, of each process
    learning_rate: float = 3e-4
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    ema_decay: float = 0.995

    def __post_init__(self) -> None:
        _require(self.batch_size > 0 and self.learning_rate > 0, "batch_size and learning_rate must be positive")
        _require(self.warmup_steps >= 0 and self.weight_decay >= 0, "warmup_steps, weight_decay: not negative")
        _require(self.clip_norm > 0 and 0 <= self.ema_decay < 1, "clip_norm > 0 and 0 <= ema_decay < 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """A bounded round of `tasks.py`. Publishes come at multiples of `publish_steps`, no closer than the interval.

    The interval bounds what robots fetch; set it to 0 for SOP's "every 25 steps".
    """

    steps: int = 300
    publish_steps: int = 25
    publish_interval_s: float = 20.0

    def __post_init__(self) -> None:
        _require(self.steps > 0 and self.publish_steps > 0, "steps and publish_steps must be positive")
        _require(self.publish_interval_s >= 0, "publish_interval_s must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's weights, besides its data and its base policy.

    `threads`: of torch, in the worker. On cores shared with robots one is fastest by far (two waiting on each other
    ran 20 times slower beside one busy process), and bits depend on it. `precision`: "bfloat16" runs the head's loss
    under autocast (weights, optimiser and EMA stay float32): twice the steps on CPUs that multiply it natively and on
    GPUs, many times slower on others. `device`: "cpu", "cuda" or "cuda:N". `compile`: torch.compile of the loss, which
    needs a C++ compiler and up to a minute at the start; on a CPU it saves about 4 % of the loss's time.
    """

    algorithm: str = "hg_dagger"
    algorithm_config: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    optim: OptimConfig = field(default_factory=OptimConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    round: RoundConfig = field(default_factory=RoundConfig)

    def __post_init__(self) -> None:
        _require(re.fullmatch(r"cpu|cuda(:\d+)?", self.device) is not None, "device must be cpu, cuda or cuda:N")
        _require(self.threads > 0, "threads must be positive")


def from_mapping(kind: type[_T], values: Mapping[str, Any], *, path: str = "config") -> _T:
    """Build a config dataclass from JSON values, nested dataclasses included.

    Raises: ConfigError naming the key, on unknown keys, wrong types or impossible values.
    """
    _refuse_unknown(kind, values, path)
    try:
        return msgspec.convert(dict(values), kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the JSON values of a config dataclass."""
    return dataclasses.asdict(config)


def _refuse_unknown(kind: Any, values: Mapping[str, Any], path: str) -> None:
    types = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"{path}: unknown key '{key}'")
        if dataclasses.is_dataclass(types[key]) and isinstance(value, Mapping):
            _refuse_unknown(types[key], value, f"{path}.{key}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ConfigError(problem)
