"""The robot's own Prometheus metrics, served on a loopback port of its own if `metrics.port` is set.

Parts count as they work; what the spool and the link say is asked at each scrape. Nothing waits for a scrape, and no
id is a label: views are the driver's, refusals the codes of command_gate.py. docs/observability.md explains each.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server

from fleet.daemon.config_report import MetricsConfig
from fleet.protocol.messages import SpoolStats

logger = logging.getLogger(__name__)

JITTER_SECONDS = Histogram(
    "sop_robot_control_jitter_seconds",
    "How far a control period was from the configured one, early or late.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0),
)
OVERRUNS = Counter("sop_robot_control_overruns", "Control periods whose work took longer than the period.")
INFERENCE_SECONDS = Histogram(
    "sop_robot_inference_seconds",
    "How long the policy took for one chunk of actions.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
PICTURES = Counter("sop_robot_video_pictures", "Pictures taken for live video; their rate is the fps.", ["view"])
TELEOP_REFUSALS = Counter("sop_robot_teleop_refusals", "Operators' messages that moved nothing, by reason.", ["reason"])
BACKLOG_EPISODES = Gauge("sop_robot_upload_backlog_episodes", "Closed episodes that wait for delivery.")
BACKLOG_BYTES = Gauge("sop_robot_upload_backlog_bytes", "Bytes of the episodes that wait for delivery.")
SPOOL_BYTES = Gauge("sop_robot_spool_capacity_bytes", "Bytes that the spool may hold.")
LINK_OPEN = Gauge("sop_robot_link_open", "Whether the link to the server is open (1) or not (0).")


def watch(spool: Callable[[], SpoolStats], is_linked: Callable[[], bool]) -> None:
    """Ask these at each scrape. One robot a process: the newest counts."""
    BACKLOG_EPISODES.set_function(lambda: spool().pending_episodes)
    BACKLOG_BYTES.set_function(lambda: spool().pending_bytes)
    SPOOL_BYTES.set_function(lambda: spool().capacity_bytes)
    LINK_OPEN.set_function(lambda: float(is_linked()))


@contextlib.contextmanager
def served(config: MetricsConfig) -> Iterator[None]:
    """Serve the metrics during the block. A port that is taken costs the metrics, never the robot."""
    if not config.port:
        yield
        return
    try:
        server, thread = start_http_server(config.port, addr=config.address, registry=REGISTRY)
    except OSError as error:
        logger.error("no metrics: port %d of %s cannot be had: %s", config.port, config.address, error)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
