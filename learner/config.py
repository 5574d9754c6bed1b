"""Configuration of a training run: frozen dataclasses, and the one reader of `TrainingRun.config` JSON.

Defaults are the values measured in docs/experiments.md. Algorithms bring their own dataclass; `algorithm_config`
holds its values until the algorithm reads them with `from_mapping`. Every field says its range, unit and help with
`setting`: `settings.py` makes of them what the console's form shows and the server checks.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import msgspec

_T = TypeVar("_T")


class ConfigError(ValueError):
    """A configuration with unknown keys, wrong types or impossible values."""


def setting(
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    pattern: str | None = None,
    is_local: bool = False,
    is_sha256: bool = False,
) -> msgspec.Meta:
    """Describe a field: `low` and `high` are allowed values, `above` and `below` are not.

    `is_local`: says something of this machine, so nobody sets it from the console. `is_sha256`: in the fleet it names a
    stored file by its hash.
    """
    extra = {"unit": unit, "is_local": is_local, "is_sha256": is_sha256}
    limits: dict[str, Any] = {"ge": low, "le": high, "gt": above, "lt": below, "pattern": pattern}
    return msgspec.Meta(
        description=help, extra=extra, **{name: limit for name, limit in limits.items() if limit is not None}
    )


def setting_of(hint: Any) -> tuple[Any, msgspec.Meta] | None:
    """Return type and `setting` of a field, from its type with extras; None without. It may be optional."""
    for each in (hint, *typing.get_args(hint)):
        for said in getattr(each, "__metadata__", ()):
            if isinstance(said, msgspec.Meta):
                return each.__origin__, said
    return None


def check_settings(config: Any) -> None:
    """Hold a config dataclass against what `setting` says of its fields. Raises: ConfigError naming the field."""
    for name, hint in typing.get_type_hints(type(config), include_extras=True).items():
        found, value = setting_of(hint), getattr(config, name)
        if found is None or value is None:
            continue
        said = found[1]
        fits = (
            (said.ge is None or value >= said.ge, f"at least {said.ge:g}" if said.ge is not None else ""),
            (said.le is None or value <= said.le, f"at most {said.le:g}" if said.le is not None else ""),
            (said.gt is None or value > said.gt, f"above {said.gt:g}" if said.gt is not None else ""),
            (said.lt is None or value < said.lt, f"below {said.lt:g}" if said.lt is not None else ""),
            (said.pattern is None or re.search(said.pattern, value) is not None, f"like {said.pattern}"),
        )
        for is_fine, wanted in fits:
            _require(is_fine, f"{name} must be {wanted}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig:
    """The adaptive sampler (paper.md section 2) and the ramp of its upper clip.

    The paper leaves alpha open. Flow-matching losses are near 0.1, where the formula hardly leaves 0.5; `loss_scale`
    multiplies both means before it (with 5 the measured shares spread from .55 to .76 by task). The upper clip rises
    from `cap_start` to `cap_end` over `cap_ramp_frames` online frames of the task: a few corrections shall not fill
    most of a batch. `strategy`: "adaptive" is the paper's; "fixed" always takes `fixed_share` of a task's rows from
    its online buffer; "uniform" draws every frame of every buffer equally often. Both are for comparison.
    """

    strategy: Annotated[
        Literal["adaptive", "fixed", "uniform"],
        setting(
            "How a task's rows are split between the fleet's work and demonstrations. Adaptive follows the losses."
        ),
    ] = "adaptive"
    fixed_share: Annotated[
        float, setting("Share of the fleet's work, with the fixed strategy.", unit="share of rows", low=0, high=1)
    ] = 0.5
    alpha: Annotated[float, setting("How strongly the adaptive share follows the losses.", low=-100, high=100)] = 1.5
    loss_scale: Annotated[
        float, setting("Multiplies both mean losses before they are compared.", above=0, high=1e6)
    ] = 5.0
    window: Annotated[int, setting("Losses that each mean is taken over.", unit="rows", low=1, high=1_000_000)] = 200
    floor: Annotated[
        float, setting("The fleet's work never gets less than this.", unit="share of rows", low=0, high=1)
    ] = 0.2
    cap_start: Annotated[
        float, setting("The fleet's work gets at most this at first.", unit="share of rows", low=0, high=1)
    ] = 0.5
    cap_end: Annotated[
        float, setting("And at most this once much has been recorded.", unit="share of rows", low=0, high=1)
    ] = 0.8
    cap_ramp_frames: Annotated[
        int, setting("Over so many online frames of a task the cap rises.", unit="frames", low=0, high=10**9)
    ] = 1000

    def __post_init__(self) -> None:
        check_settings(self)
        _require(self.floor <= self.cap_start <= self.cap_end, "floor <= cap_start <= cap_end")


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

    cache_dir: Annotated[str, setting("Folder of encoded episodes.", is_local=True)] | None = None
    cache_bytes: Annotated[
        int, setting("Room for encoded episodes on the learner's disk.", unit="bytes", low=1, high=2**50)
    ] = 4 * 1024**3
    loader_threads: Annotated[
        int, setting("Decode and encode episodes ahead of the learner.", unit="threads", low=1, high=256)
    ] = 1
    capacity_frames: (
        Annotated[
            int,
            setting(
                "Online frames kept of a task; the oldest episodes leave first.", unit="frames", low=1, high=10**12
            ),
        ]
        | None
    ) = None
    max_age_s: (
        Annotated[
            float,
            setting("Online episodes this much older than the newest leave.", unit="s", above=0, high=1e9),
        ]
        | None
    ) = None
    max_policy_age_steps: (
        Annotated[
            int,
            setting("Online episodes of versions this far behind leave.", unit="gradient steps", low=0, high=10**12),
        ]
        | None
    ) = None
    samples_per_insert: (
        Annotated[
            float,
            setting(
                "How often an online frame is drawn at most; then the learner waits.", unit="draws", above=0, high=1e6
            ),
        ]
        | None
    ) = None
    samples_tolerance: Annotated[
        int, setting("Rows drawn beyond that before it waits.", unit="rows", low=0, high=10**9)
    ] = 1000
    min_online_frames: Annotated[
        int, setting("From so many online frames on it limits.", unit="frames", low=0, high=10**9)
    ] = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """AdamW with a constant rate after a short warm-up (a jump from base to online costs success), EMA, clipping."""

    batch_size: Annotated[
        int, setting("Rows of one gradient step, in each process.", unit="rows", low=1, high=65_536)
    ] = 64
    learning_rate: Annotated[float, setting("Of AdamW, constant after the warm-up.", above=0, high=1)] = 3e-4
    warmup_steps: Annotated[
        int, setting("Steps over which the rate rises from zero.", unit="gradient steps", low=0, high=10**9)
    ] = 100
    weight_decay: Annotated[float, setting("Of AdamW.", low=0, high=10)] = 1e-4
    clip_norm: Annotated[float, setting("Longer gradients are shortened to this.", above=0, high=1e9)] = 1.0
    ema_decay: Annotated[
        float, setting("Published weights are a running mean; nearer to 1 is slower.", low=0, below=1)
    ] = 0.995

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """A bounded round of `tasks.py`. Publishes come at multiples of `publish_steps`, no closer than the interval.

    The interval bounds what robots fetch; set it to 0 for SOP's "every 25 steps".
    """

    steps: Annotated[
        int,
        setting(
            "One round. The run pauses and stops between rounds, and a killed round begins again.",
            unit="gradient steps", low=1, high=10**6,
        ),
    ] = 300  # fmt: skip
    publish_steps: Annotated[
        int, setting("A version is published at multiples of this.", unit="gradient steps", low=1, high=10**9)
    ] = 25
    publish_interval_s: Annotated[
        float, setting("But no sooner than this after the last.", unit="s", low=0, high=1e7)
    ] = 20.0

    def __post_init__(self) -> None:
        check_settings(self)


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
    device: Annotated[
        str, setting("Where the learner computes: cpu, cuda or cuda:N.", pattern=r"^(cpu|cuda(:[0-9]+)?)$")
    ] = "cpu"
    threads: Annotated[
        int, setting("Of the learner's process; results depend on it to the bit.", unit="threads", low=1, high=1024)
    ] = 1
    precision: Annotated[
        Literal["float32", "bfloat16"],
        setting(
            "bfloat16 is twice as fast where the processor multiplies it natively, and many times slower elsewhere."
        ),
    ] = "float32"
    compile: Annotated[bool, setting("Compile the loss: up to a minute at the start, and needs a C++ compiler.")] = (
        False
    )
    optim: OptimConfig = field(default_factory=OptimConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    round: RoundConfig = field(default_factory=RoundConfig)

    def __post_init__(self) -> None:
        check_settings(self)


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
