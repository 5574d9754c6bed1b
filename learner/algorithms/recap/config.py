"""Settings of RECAP. ND: the paper does not disclose the value; the default is ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from learner.config import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueConfig:
    """The value function and when it is fitted.

    `file`: one fitted before the run (`python -m learner value`), used from the first step; a path, in the fleet the
    SHA-256 that `manage.py training_file_import` prints. Without one it is fitted once the replay holds `min_rollouts`
    terminated episodes with autonomous frames (demonstrations alone show no failure); until then rollouts train the
    unconditioned policy. `refit_steps` 0 freezes it from then on (SOP); otherwise it is fitted anew, from scratch,
    every `refit_steps` gradient steps (original RECAP: every iteration). `max_frames` bounds what one fit holds in
    memory (about 600 bytes a frame).
    """

    file: str | None = None
    min_rollouts: int = 20
    refit_steps: int = 0
    max_frames: int = 100_000
    width: int = 256
    steps: int = 600  # more fits the first rollouts by heart: docs/experiments.md
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        if min(self.max_frames, self.width, self.steps, self.batch_size) < 1 or self.learning_rate <= 0:
            raise ConfigError("max_frames, width, steps, batch_size and learning_rate must be positive")
        if min(self.min_rollouts, self.refit_steps, self.weight_decay) < 0:
            raise ConfigError("min_rollouts, refit_steps and weight_decay must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecapConfig:
    """`failure_cost`: C_fail (ND) in lengths of the task's longest episode; 1 gives every frame of a failure -1.

    `lookahead_s`: N of the advantage in seconds of control time, so that it fits any control rate (the paper: 50
    steps at 50 Hz). `positive_share`: of a task's autonomous frames. `dropout`: share of rows whose indicator is
    hidden. `guidance`: beta of the published policy; 1.0 costs one pass a flow step, anything above two.
    `restart_policy`: whether the policy starts again from the base's weights each time that the run fits a value
    function (original RECAP); robots then get versions that have to learn again. False goes on from where it stands.
    """

    failure_cost: float = 1.0
    lookahead_s: float = 1.0
    positive_share: float = 0.4
    dropout: float = 0.3
    guidance: float = 1.0
    restart_policy: bool = False
    value: ValueConfig = field(default_factory=ValueConfig)

    def __post_init__(self) -> None:
        if self.failure_cost < 0 or self.lookahead_s <= 0 or self.guidance < 1:
            raise ConfigError("failure_cost >= 0, lookahead_s > 0, guidance >= 1")
        if not (0 < self.positive_share < 1 and 0 <= self.dropout < 1):
            raise ConfigError("0 < positive_share < 1 and 0 <= dropout < 1")
