"""Settings of RECAP. ND: the paper does not disclose the value; the default is ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from learner.config import check_settings, setting

TITLE = "RECAP"
HELP = "Learns a value function, tells better actions from worse ones by it, and asks the policy for the better ones."


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

    file: (
        Annotated[str, setting("A value function fitted before: SHA-256 of a stored file, or none.", is_sha256=True)]
        | None
    ) = None
    min_rollouts: Annotated[
        int, setting("Without a file it is fitted from so many on.", unit="episodes", low=0, high=10**9)
    ] = 20
    refit_steps: Annotated[
        int, setting("Fitted anew every so often; 0 never.", unit="gradient steps", low=0, high=10**9)
    ] = 0
    max_frames: Annotated[
        int, setting("What one fit holds in memory, 600 bytes each.", unit="frames", low=1, high=10**9)
    ] = 100_000
    width: Annotated[int, setting("Of its hidden layers.", unit="units", low=1, high=65_536)] = 256
    steps: Annotated[  # more fits the first rollouts by heart: docs/experiments.md
        int, setting("Of one fit.", unit="gradient steps", low=1, high=10**7)
    ] = 600
    batch_size: Annotated[int, setting("Rows of one step of the fit.", unit="rows", low=1, high=65_536)] = 256
    learning_rate: Annotated[float, setting("Of the fit.", above=0, high=1)] = 1e-3
    weight_decay: Annotated[float, setting("Of the fit.", low=0, high=10)] = 1e-2

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecapConfig:
    """`failure_cost`: C_fail (ND) in lengths of the task's longest episode; 1 gives every frame of a failure -1.

    `lookahead_s`: N of the advantage in seconds of control time, so that it fits any control rate (the paper: 50
    steps at 50 Hz). `positive_share`: of a task's autonomous frames. `dropout`: share of rows whose indicator is
    hidden. `guidance`: beta of the published policy; 1.0 costs one pass a flow step, anything above two.
    `restart_policy`: whether the policy starts again from the base's weights each time that the run fits a value
    function (original RECAP); robots then get versions that have to learn again. False goes on from where it stands.
    """

    failure_cost: Annotated[
        float, setting("What a failure costs, beside its length.", unit="longest episodes", low=0, high=1e6)
    ] = 1.0
    lookahead_s: Annotated[
        float, setting("An action is judged by what follows within this.", unit="s", above=0, high=1e6)
    ] = 1.0
    positive_share: Annotated[
        float, setting("Of autonomous frames, the share called good.", unit="share of frames", above=0, below=1)
    ] = 0.4
    dropout: Annotated[
        float, setting("Rows whose judgement is hidden in training.", unit="share of rows", low=0, below=1)
    ] = 0.3
    guidance: Annotated[
        float, setting("How strongly the good is asked for; above 1 inference takes twice as long.", low=1, high=100)
    ] = 1.0
    restart_policy: Annotated[bool, setting("Begin again from the base weights at every fit of the value.")] = False
    value: ValueConfig = field(default_factory=ValueConfig)

    def __post_init__(self) -> None:
        check_settings(self)


CONFIG = RecapConfig
