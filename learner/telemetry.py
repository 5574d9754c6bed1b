"""The learner's own Prometheus metrics, counted by its rounds (tasks.py). docs/observability.md explains each.

Without Django and Celery. A worker trains several runs in turn; no run is a label, or the series would grow with every
run: a run's own curves are on its page.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from fleet.protocol.errors import SopError

ENDED = ("run_fenced", "run_not_running")  # codes of fleet/errors.py: another holds the run, or it was paused

STEPS = Counter("sop_learner_steps", "Gradient steps made.")
ROUNDS = Counter("sop_learner_rounds", "Rounds that ended, by how.", ["result"])
ROUND_SECONDS = Histogram(
    "sop_learner_round_seconds", "How long a round took.", buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800)
)
PUBLISH_SECONDS = Histogram(
    "sop_learner_publish_seconds",
    "From the weights to a version that robots are told of.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
LOSS = Gauge("sop_learner_loss", "Mean loss since the report before.", multiprocess_mode="mostrecent")
DATA_WAIT = Gauge(
    "sop_learner_data_wait_ratio", "Share of the time spent getting batches.", multiprocess_mode="mostrecent"
)
STEPS_PER_S = Gauge("sop_learner_steps_per_second", "Gradient steps a second.", multiprocess_mode="mostrecent")


class Hooks(Protocol):
    """Those of `learner.loop`, which imports the trainer and with it torch."""

    def after_step(self, step: int) -> None: ...

    def publish(self, step: int) -> None: ...

    def report(self, step: int, values: Mapping[str, float]) -> None: ...


class Counted:
    """A round's hooks, counted and timed."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def after_step(self, step: int) -> None:
        STEPS.inc()
        self._hooks.after_step(step)

    def publish(self, step: int) -> None:
        with PUBLISH_SECONDS.time():
            self._hooks.publish(step)

    def report(self, step: int, values: Mapping[str, float]) -> None:
        for gauge, name in ((LOSS, "loss"), (DATA_WAIT, "data_wait"), (STEPS_PER_S, "steps_per_s")):
            if math.isfinite(value := values.get(name, math.nan)):
                gauge.set(value)
        self._hooks.report(step, values)


@contextmanager
def round_timed() -> Iterator[None]:
    """Count the round of this block, and how it ended."""
    began_s, result = time.monotonic(), "failed"
    try:
        yield
        result = "committed"
    except SopError as error:
        result = "fenced" if error.code in ENDED else "failed"
        raise
    finally:
        ROUND_SECONDS.observe(time.monotonic() - began_s)
        ROUNDS.labels(result).inc()
