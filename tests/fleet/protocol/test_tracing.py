"""Tracing as a process uses it: off by default, never in the way, never an error."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from fleet.protocol import tracing
from tests.collector import Collector, collecting

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def _run(code: str, **environment: str) -> Any:
    """Run code in a process of its own, which may trace; return what it printed, as JSON."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", "import json, sys, time\nfrom fleet.protocol import tracing\n" + code],
        env={**kept, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_a_collector_is_named(environment: dict[str, str]) -> None:
    """And then nothing of OpenTelemetry is imported: a robot without the packages works."""
    code = """
on = tracing.start("s")
made = tracing.record("r", start_ns=1, end_ns=2)
with tracing.span("x") as work:
    work.rename("y"); work.set({"a": 1}); work.fail("f")
    inside = tracing.current()
found = [name for name in sys.modules if name.startswith("opentelemetry")]
print(json.dumps([on, made, work.traceparent, inside, tracing.headers("00"), found]))
"""
    assert _run(code, **environment) == [False, "", "", "", {}, []]


def test_a_robot_without_the_packages_works_untraced() -> None:
    code = """
sys.modules["opentelemetry"] = None
print(json.dumps([tracing.start("s"), tracing.record("r", start_ns=1, end_ns=2)]))
"""
    assert _run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") == [False, ""]


@pytest.fixture
def collector() -> Any:
    with collecting() as found:
        yield found


def test_spans_arrive_with_parents_links_and_times(collector: Collector) -> None:
    """Also what a process records just before it ends."""
    code = f"""
tracing.start("robot")
about = {{"a": 1, "b": None}}
child = tracing.record("child", start_ns=1000, end_ns=3000, parent="{PARENT}", attributes=about)
tracing.record("failed", start_ns=5, end_ns=4, links=["{PARENT}", "nonsense", ""], failed="upload_failed")
with tracing.span("outer", kind="SERVER") as outer:
    with tracing.span("inner"):
        inner = tracing.current()
    tracing.record("elsewhere", start_ns=1, end_ns=2)
print(json.dumps([child, outer.traceparent, inner]))
"""
    child, outer, inner = _run(code, **collector.environment)
    found = {span.name: span for span in collector.spans()}
    assert (found["child"].trace, found["child"].parent) == ("a" * 32, "b" * 16)
    assert (found["child"].start_ns, found["child"].end_ns, found["child"].attributes) == (1000, 3000, {"a": 1})
    assert child == f"00-{'a' * 32}-{found['child'].id}-01"
    failed = found["failed"]
    assert (failed.is_failed, failed.parent, failed.end_ns) == (True, "", 5)
    assert failed.links == (("a" * 32, "b" * 16),)
    assert found["inner"].parent == found["outer"].id and outer[3:35] == inner[3:35] == found["outer"].trace
    assert found["elsewhere"].parent == "" and found["elsewhere"].trace != found["outer"].trace
    assert {span.service for span in found.values()} == {"robot"}


def test_the_standard_variables_count(collector: Collector) -> None:
    code = """
tracing.start("robot")
print(json.dumps(tracing.record("r", start_ns=1, end_ns=2)))
"""
    environment = {"OTEL_SERVICE_NAME": "arm-7", "OTEL_RESOURCE_ATTRIBUTES": "lab=north"}
    _run(code, **collector.environment, **environment)
    assert [span.service for span in collector.spans()] == ["arm-7"]
    _run(code, **collector.environment, OTEL_TRACES_SAMPLER="always_off")
    assert len(collector.spans()) == 1


@pytest.mark.parametrize("is_hung", [False, True])
def test_a_dead_collector_costs_nothing(is_hung: bool) -> None:
    """10,000 spans, five times the queue, to one that refuses or never answers: none waits, and the end is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        port = hung.getsockname()[1] if is_hung else 1
        code = """
tracing.start("robot")
took = []
for number in range(10_000):
    began = time.perf_counter()
    tracing.record("r", start_ns=1, end_ns=2)
    took.append(time.perf_counter() - began)
queue = tracing._State.provider._active_span_processor._span_processors[0]._batch_processor._queue
ends = time.perf_counter()
waiting, most = len(queue), queue.maxlen
tracing.finish()
print(json.dumps([sorted(took)[5000], waiting, most, time.perf_counter() - ends]))
"""
        median_s, waiting, most, end_s = _run(
            code, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="50"
        )
    assert median_s < 0.01 and waiting <= most == 2048
    assert end_s < tracing.FINISH_S + 5


@pytest.mark.parametrize(
    "text",
    ["", "00", "x" * 55, f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01", f"01-{'a' * 32}-{'b' * 16}-01",
     f"00-{'A' * 32}-{'b' * 16}-01", "\x00" * 55, f"00-{'a' * 32}-{'b' * 16}-01\n"],
)  # fmt: skip
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert tracing._context(text) is None
