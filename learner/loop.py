"""The one way in which steps, publishes and summaries happen. Celery's rounds and `python -m learner train` run it.

    run_steps(trainer, until=300, schedule=Schedule(publish_steps=25), versions=Versions(), hooks=hooks)

Where things go (rows, a policy directory, TensorBoard) is the caller's, through its hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from learner.metrics import Versions, flatten
from learner.trainer import Trainer

SUMMARY_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Publishes come at multiples of `publish_steps`, no closer than the interval; summaries at multiples of
    `summary_steps` and at the last step.
    """

    publish_steps: int
    publish_interval_s: float = 0.0
    summary_steps: int = SUMMARY_STEPS


class Hooks(Protocol):
    """What a caller does with a step."""

    def after_step(self, step: int) -> None:
        """Called first after each step; an exception ends the loop before this step is published."""

    def publish(self, step: int) -> None:
        """Publish the weights. Raises: NonFiniteWeights, and then the versions before go on serving."""

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Take the means since the last report, by the names of `metrics.flatten`."""


class NoHooks:
    """What all processes but the first one do with a step."""

    def after_step(self, step: int) -> None:
        pass

    def publish(self, step: int) -> None:
        pass

    def report(self, step: int, values: Mapping[str, float]) -> None:
        pass


def run_steps(trainer: Trainer, *, until: int, schedule: Schedule, versions: Versions, hooks: Hooks) -> None:
    """Train up to gradient step `until`, or until the replay says that its online frames are drawn enough.

    Raises: as `Trainer.step` and the hooks.
    """
    reported = trainer.gradient_steps
    while trainer.gradient_steps < until and not trainer.replay.is_drawn_enough:
        trainer.step()
        step = trainer.gradient_steps
        hooks.after_step(step)
        if step % schedule.publish_steps == 0 and versions.age_s >= schedule.publish_interval_s:
            hooks.publish(step)
            versions.add(step)
        if step % schedule.summary_steps == 0:
            hooks.report(step, flatten(trainer.summary(), versions))
            reported = step
    if trainer.gradient_steps > reported:
        hooks.report(trainer.gradient_steps, flatten(trainer.summary(), versions))
