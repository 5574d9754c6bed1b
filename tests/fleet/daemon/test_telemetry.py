"""The robot's metrics: counted by its parts, served on loopback alone, and never in its way."""

from __future__ import annotations

import socket

import httpx
import pytest
from prometheus_client import REGISTRY

from fleet.daemon import telemetry
from fleet.daemon.clock import Pacer
from fleet.daemon.config import ConfigError, load_config
from fleet.daemon.config_report import MetricsConfig
from fleet.protocol.messages import SpoolStats


class HandClock:
    """Sleeping takes as long as asked, and `late_s` more."""

    def __init__(self) -> None:
        self.now_s, self.late_s = 0.0, 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep_until(self, deadline_s: float) -> None:
        self.now_s = deadline_s + self.late_s


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_jitter_is_how_far_a_period_was_off() -> None:
    clock = HandClock()
    pacer = Pacer(clock, period_s=0.1)
    before = {bound: _value("sop_robot_control_jitter_seconds_bucket", le=bound) for bound in ("0.0005", "0.005")}
    overruns = _value("sop_robot_control_overruns_total")
    pacer.start()
    pacer.wait()  # in time
    clock.late_s = 0.004
    pacer.wait()  # 4 ms late
    clock.now_s += 0.5
    pacer.wait()  # the work took longer than the period
    assert _value("sop_robot_control_jitter_seconds_bucket", le="0.0005") - before["0.0005"] == 1
    assert _value("sop_robot_control_jitter_seconds_bucket", le="0.005") - before["0.005"] == 2
    assert _value("sop_robot_control_overruns_total") - overruns == 1


def test_metrics_are_served_while_the_block_lasts() -> None:
    telemetry.watch(lambda: SpoolStats(pending_episodes=3, pending_bytes=5000, capacity_bytes=9000), lambda: True)
    port = _free_port()
    with telemetry.served(MetricsConfig(port=port)):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    lines = text.splitlines()
    assert "sop_robot_upload_backlog_episodes 3.0" in lines and "sop_robot_upload_backlog_bytes 5000.0" in lines
    assert "sop_robot_link_open 1.0" in lines
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_taken_port_costs_the_metrics_and_not_the_robot(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with telemetry.served(MetricsConfig(port=taken.getsockname()[1])):
            pass
    assert "no metrics" in caplog.text


@pytest.mark.parametrize("setting", ["metrics.address=0.0.0.0", "metrics.port=65536", "metrics.port=-1"])
def test_what_would_show_them_to_others_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"address must be|port must lie"):
        load_config(overrides=(setting,), given={"state_dir": "/tmp/x", "driver": "point"})
