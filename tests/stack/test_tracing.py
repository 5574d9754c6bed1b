"""From a frame's capture to the version that learned from it, as a real OTLP receiver sees the running system."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, Span, collecting
from tests.stack.harness import RUN, System, running_system, start_learner
from tests.stack.test_learner_resume import CONFIG, START


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def running(collector: Collector, make_open_folder: Callable[[str], Path], random_policy: Path) -> Iterator[System]:
    """A system whose every process traces, with one robot."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in collector.environment.items():
            patch.setenv(name, value)
        with running_system(make_open_folder("traced")) as system:
            system.manage("policy_import", str(random_policy), "--run", RUN)
            system.start_robot("traced")
            yield system


def _ways(collector: Collector) -> list[list[Span]]:
    """Return capture, close, upload, registration, first draw, publish, load and apply of each whole way."""
    in_trace: dict[str, dict[str, Span]] = {}
    for span in collector.spans():
        in_trace.setdefault(span.trace, {}).setdefault(span.name, span)
    found = []
    for publish in collector.spans("learner.publish"):
        after = [
            next((s for s in collector.spans(name) if s.parent == of.id), None)
            for name, of in (("robot.load", publish),)
            if of is not None
        ]
        load = after[0]
        applied = next((s for s in collector.spans("robot.apply") if load is not None and s.parent == load.id), None)
        for trace, capture_id in publish.links:
            here = in_trace.get(trace, {})
            names = ("robot.episode", "robot.close", "robot.upload", "server.register", "learner.first_draw")
            way = [here.get(name) for name in names]
            if load is not None and applied is not None and all(way):
                assert here["robot.episode"].id == capture_id
                found.append([*[span for span in way if span is not None], publish, load, applied])
    return found


def test_a_trace_leads_from_a_frame_to_the_version_that_learned_from_it(running: System, collector: Collector) -> None:
    """An episode's trace ends with its first draw; the publish is linked to it; the robot's load is a part of that."""
    running.rows("UPDATE fleet_trainingrun SET config = %s::jsonb WHERE name = 'demo'", json.dumps(CONFIG))
    run = str(running.rows("SELECT id FROM fleet_trainingrun WHERE name = 'demo'")[0][0])
    start_learner(running.processes, running.stack)
    running.manage("shell", "--no-imports", "-c", START.format(run=run))
    running.wait_for(lambda: _ways(collector), what="a whole way", timeout_s=240)
    running.processes.stop("learner", "traced")

    capture, close, upload, register, draw, publish, load, applied = _ways(collector)[0]
    assert [span.service for span in (capture, register, draw, load)] == [
        "sop-robot",
        "sop-web",
        "sop-worker",
        "sop-robot",
    ]
    assert {span.parent for span in (close, upload, register, draw)} == {capture.id} and capture.parent == ""
    # One machine, one clock: each begins when what it needs is there.
    assert capture.start_ns < capture.end_ns <= close.start_ns <= close.end_ns <= upload.end_ns
    assert upload.start_ns <= register.start_ns <= register.end_ns <= upload.end_ns
    assert register.end_ns <= draw.start_ns <= publish.start_ns <= publish.end_ns
    assert publish.start_ns <= load.start_ns <= load.end_ns <= applied.end_ns
    assert 0 < applied.end_ns - capture.start_ns < 300e9
    episode = capture.attributes["sop.episode"]
    rows = running.rows("SELECT started_at, first_sampled_at FROM fleet_episode WHERE id = %s", episode)
    assert abs(rows[0][0].timestamp() - capture.start_ns / 1e9) < 0.001
    assert abs(rows[0][1].timestamp() - draw.start_ns / 1e9) < 5
    [version] = running.rows(
        "SELECT traceparent FROM fleet_policyversion WHERE id = %s", load.attributes["sop.version"]
    )
    assert version[0].startswith(f"00-{publish.trace}-{publish.id}-0")
    # The publish happens in the round's task, whose trace is another: a run would be one trace for as long as it runs.
    [task] = [span for span in collector.spans("task learner.train_round") if span.id == publish.parent]
    assert task.trace == publish.trace != capture.trace and (publish.trace, task.id) in draw.links
    assert collector.paths == {"/v1/traces"}


def test_requests_and_their_tasks_are_traced(running: System, collector: Collector) -> None:
    """A robot's PUT names its episode and is linked to it; nothing from outside becomes a parent."""
    running.wait_for(lambda: collector.spans("PUT /objects/<path:key>"), what="an upload's request")
    put = collector.spans("PUT /objects/<path:key>")[0]
    assert (put.parent, put.attributes["http.response.status_code"]) == ("", 201) or not put.is_failed
    assert put.links and put.links[0][0] != put.trace
    running.wait_for(
        lambda: put.links[0][0] in {span.trace for span in collector.spans("robot.episode")},
        what="the robot's own spans, which it sends later",
    )
    running.wait_for(lambda: collector.spans("task fleet.reap"), what="the worker's spans")
