"""Settings of what a daemon tells about itself, log lines, metrics and shadows; a part of config.py."""

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


@dataclass(frozen=True, kw_only=True)
class ShadowConfig:
    """The process in which a candidate proposes beside the version that drives (docs/rollout.md, "Shadows")."""

    is_enabled: bool = True
    device: str = "cpu"  # the executing version's accelerator would be shared with it
    torch_threads: int = 1
    nice: int = 19  # added to the daemon's own
    memory_bytes: int = 4 * 1024**3  # of the process; a candidate that needs more is refused
    load_timeout_s: float = 120.0  # imports of torch took 5 s on two overloaded cores
    answer_timeout_s: float = 10.0  # for one proposal; then the process is killed and started again
    drain_s: float = 1.0  # at an episode's end, for proposals under way; the writer's thread waits, not the robot
    restart_limit: int = 3  # deaths of one shadow's process; then it is refused

    def __post_init__(self) -> None:
        require(0 <= self.nice <= 19, "nice must lie in [0, 19]")
        require(self.memory_bytes >= 256 * 1024**2, "memory_bytes must be at least 256 MiB")
        require(min(self.load_timeout_s, self.answer_timeout_s) > 0, "timeouts must be positive")
        require(0 <= self.drain_s <= 10, "drain_s must lie in [0, 10]")
        require(self.torch_threads >= 1 and self.restart_limit >= 1, "counts must be at least 1")
