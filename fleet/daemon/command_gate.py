"""Decides which of a person's commands may move the robot, and how fast. Pure; time is passed in.

The last check before the control loop, on the robot itself: neither the server nor the browser is trusted to have
dropped what is late, reordered or of a lease that is over. `CommandGate` decides when a command arrives (event loop),
`speed_cap` at each control step, because a command and the picture behind it grow old while they wait.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fleet.daemon import telemetry
from fleet.daemon.config import TeleopConfig
from fleet.daemon.inbox import Command
from fleet.daemon.operator_clock import OperatorClock
from fleet.protocol.teleop import Drive


@dataclass(frozen=True)
class HeldLease:
    """The lease in force, as far as commands go: its epoch and the console connection that holds it."""

    epoch: int
    connection: str


class RateBound:
    """A token bucket: `rate_hz` on average, `burst` at once."""

    def __init__(self, *, rate_hz: float, burst: int) -> None:
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at_s: float | None = None

    def allows(self, *, now_s: float) -> bool:
        """Whether one more is within the bound; it is counted if so."""
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_hz)
        self._at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class CommandGate:
    """Gate of one peer. Construct one for each peer connection: sequence numbers and the clock are the peer's own.

    `kept`: for each axis whether it keeps its value when nobody moves it (a gripper); those count neither for neutral
    nor for arming. `timeout_s`: silence after which the peer must show neutral input again.
    """

    def __init__(self, config: TeleopConfig, *, kept: tuple[bool, ...], timeout_s: float, connection: str) -> None:
        self.refused: Counter[str] = Counter()
        self.last_refusal = ""
        self._config = config
        self._moving = [index for index, is_kept in enumerate(kept) if not is_kept]
        self._axes = len(kept)
        self._timeout_s = timeout_s
        self._connection = connection
        self._rate = RateBound(rate_hz=config.rate_hz, burst=config.rate_burst)
        self._sequence = 0
        self._armed_epoch: int | None = None
        self._accepted_s = -math.inf

    def is_driver(self, lease: HeldLease | None) -> bool:
        """Whether this peer's console holds the lease."""
        return lease is not None and bool(lease.connection) and lease.connection == self._connection

    def is_armed(self, lease: HeldLease | None, *, now_s: float) -> bool:
        """Whether this peer's commands move the robot: neutral input was seen under this lease and none were missed."""
        is_current = lease is not None and self.is_driver(lease) and self._armed_epoch == lease.epoch
        return is_current and now_s - self._accepted_s <= self._timeout_s

    def decide(
        self,
        drive: Drive,
        *,
        lease: HeldLease | None,
        clock: OperatorClock,
        now_s: float,
        filmed_s: float | None = None,
        is_stopped: bool = False,
    ) -> Command | None:
        """Return the command for the control loop, or None; then `last_refusal` says why and `refused` counts it.

        `filmed_s`: when the robot's main camera last gave a frame (monotonic), None for a robot without cameras.
        `is_stopped`: a stop is in force; what was shown before it is cleared arms nothing.
        rate: more than the bound. bad_axes: not one finite value in [-1, 1] for each axis. not_the_driver: another
        console holds the lease, or nobody. fenced: of another epoch. reordered: not newer than the newest seen.
        clock_unknown: no ClockEcho yet, or none that came fast enough to be believed. late, future: by the measured
        offset. stopped: see above. not_neutral: the input must be at rest once before it moves anything, after every
        new lease, every silence and every stop.
        """
        refusal = self._refusal(drive, lease, clock, now_s=now_s, is_stopped=is_stopped)
        if refusal:
            self.refuse(refusal)
            return None
        sent_s = clock.robot_time(drive.sent_ms)
        assert lease is not None and sent_s is not None
        self._armed_epoch, self._accepted_s = lease.epoch, now_s
        seen_s = sent_s - max(0.0, drive.video_age_ms) / 1e3
        if filmed_s is not None:  # frames that are sent again look fresh to the browser
            seen_s = min(seen_s, filmed_s)
        return Command(
            epoch=drive.epoch,
            action=np.array(drive.axes, np.float32),
            received_s=now_s,
            delay_s=max(0.0, now_s - sent_s),
            video_seen_s=seen_s,
        )

    def refuse(self, code: str) -> None:
        """Count a message of this peer that did nothing."""
        self.last_refusal = code
        self.refused[code] += 1
        telemetry.TELEOP_REFUSALS.labels(code).inc()

    def _refusal(
        self, drive: Drive, lease: HeldLease | None, clock: OperatorClock, *, now_s: float, is_stopped: bool
    ) -> str:
        if is_stopped:
            self._armed_epoch = None
        if not self._rate.allows(now_s=now_s):
            return "rate"
        if not self._is_usable(drive):
            return "bad_axes"
        if lease is None or not self.is_driver(lease):
            return "not_the_driver"
        if drive.epoch != lease.epoch:
            return "fenced"
        if drive.seq <= self._sequence:
            return "reordered"
        self._sequence = drive.seq
        if is_stopped:
            return "stopped"
        return self._mistimed(drive, clock, now_s=now_s) or self._unarmed(drive, lease, now_s=now_s)

    def _mistimed(self, drive: Drive, clock: OperatorClock, *, now_s: float) -> str:
        sent_s, round_trip_s = clock.robot_time(drive.sent_ms), clock.round_trip_s
        # The offset may be wrong by half the round trip. Beyond twice `late_s` that hides any age, and nobody could
        # drive over such a path anyway; it is what the first answer after a lag spike looks like.
        if sent_s is None or round_trip_s is None or round_trip_s > 2 * self._config.late_s:
            return "clock_unknown"
        if now_s - sent_s > self._config.late_s:
            return "late"
        if sent_s - now_s > self._config.future_s:
            return "future"
        return ""

    def _unarmed(self, drive: Drive, lease: HeldLease, *, now_s: float) -> str:
        return "" if self.is_armed(lease, now_s=now_s) or self._is_neutral(drive) else "not_neutral"

    def _is_usable(self, drive: Drive) -> bool:
        numbers = (*drive.axes, drive.sent_ms, drive.video_age_ms)
        is_finite = all(math.isfinite(number) for number in numbers)
        return is_finite and len(drive.axes) == self._axes and all(abs(value) <= 1.0 for value in drive.axes)

    def _is_neutral(self, drive: Drive) -> bool:
        return all(abs(drive.axes[index]) <= self._config.neutral for index in self._moving)


@dataclass(frozen=True)
class Cap:
    """Share of full speed that a command may have, in [0, 1], and what lowered it."""

    share: float
    limits: tuple[str, ...] = ()


def speed_cap(config: TeleopConfig, command: Command, *, now_s: float) -> Cap:
    """Return how fast this command may move the robot now.

    Delay lowers the speed from `full_speed_delay_s` on, down to `late_share` at `late_s`. Without a fresh picture at
    the operator the robot is slow from `video_slow_s` on and stands from `video_stop_s` on.
    """
    limits: list[str] = []
    share = 1.0
    if command.delay_s > config.full_speed_delay_s:
        span_s = config.late_s - config.full_speed_delay_s
        part = min(1.0, (command.delay_s - config.full_speed_delay_s) / span_s)
        share = 1.0 - part * (1.0 - config.late_share)
        limits.append("delay")
    picture_age_s = now_s - command.video_seen_s
    if picture_age_s > config.video_slow_s:
        share = 0.0 if picture_age_s > config.video_stop_s else min(share, config.video_slow_share)
        limits.append("video")
    return Cap(share, tuple(limits))
