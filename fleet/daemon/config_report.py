"""Settings of what a daemon tells about itself, log lines and metrics; a part of config.py."""

from __future__ import annotations

from dataclasses import dataclass


def require(condition: bool, problem: str) -> None:
    """Raises: ValueError with the problem unless the condition holds."""
    if not condition:
        raise ValueError(problem)


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """The log lines that people at the console may read. What goes to stderr is `--log-level`'s matter."""

    lines: int = 500  # kept in memory, the newest
    unsent_lines: int = 200  # warnings and errors that wait for the next message; more are counted and dropped
    send_period_s: float = 1.0  # between two messages with warnings and errors
    answer_period_s: float = 1.0  # between two answers; a question that comes sooner gets none

    def __post_init__(self) -> None:
        require(1 <= self.lines <= 500 and 1 <= self.unsent_lines <= 500, "line counts must lie in [1, 500]")
        require(self.send_period_s > 0 and self.answer_period_s > 0, "periods must be positive")


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """Prometheus metrics. Loopback alone: they carry no password; a collector on the robot passes them on."""

    port: int = 0  # none
    address: str = "127.0.0.1"

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, "port must lie in [0, 65535]; 0 serves no metrics")
        require(self.address in ("127.0.0.1", "::1"), "address must be 127.0.0.1 or ::1")
