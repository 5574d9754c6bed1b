"""The load on a site: what it reports of delays and memory, its configuration, and that its parts speak for real."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.fleet_load import ingest, site
from benchmarks.fleet_load.child import Child
from benchmarks.fleet_load.delays import Delays
from benchmarks.fleet_load.echo import Echoes
from benchmarks.fleet_load.usage import slope
from fleet.protocol.recording import decode_manifest, validate_steps
from fleet.protocol.steps import decode_steps
from sop_web.embedded import system
from tests.deploy.front import needs


def test_quantiles_are_within_a_bin_and_add_up_across_processes() -> None:
    one, other = Delays(), Delays()
    for millisecond in range(1, 1001):
        (one if millisecond % 3 else other).add(millisecond / 1e3)
    found = one.merge(other).summary()
    assert (found["n"], found["max_ms"]) == (1000, 1000.0)
    for name, wanted in (("p50_ms", 500), ("p95_ms", 950), ("p99_ms", 990)):
        assert found[name] == pytest.approx(wanted, rel=0.021)
    assert Delays().summary() == {"n": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": 0.0}


def test_memory_that_grows_has_a_slope_and_flat_memory_none() -> None:
    assert slope([(second, 100.0 + second / 60 * 3) for second in range(0, 600, 2)]) == pytest.approx(3)
    assert slope([(second, 100.0) for second in range(0, 600, 2)]) == 0
    assert slope([(0.0, 1.0), (2.0, 2.0)]) is None


@needs("nginx")
def test_nginx_runs_what_deploys_with_all_web_processes_behind_one_name(tmp_path: Path) -> None:
    made: Any = SimpleNamespace(web=(18001, 18002, 18003), echo=(18004,), port=18005, echo_port=18006)
    text = site.nginx_configuration(made, tmp_path)
    (tmp_path / "nginx.conf").write_text(text)
    command = ["nginx", "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    environment = {"PATH": site._PATH}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "upstream sop_web { least_conn; server 127.0.0.1:18001 max_fails=0; server 127.0.0.1:18002" in text
    assert "listen 127.0.0.1:18005 default_server;" in text and "ssl" not in text


def test_an_uploaded_episode_is_sound_and_about_as_large_as_asked() -> None:
    made = ingest.make("task", 60_000)
    manifest, files = made.fresh("robot")
    again, _ = made.fresh("robot")
    assert manifest.episode_id != again.episode_id and manifest.robot_id == "robot"
    assert decode_manifest(files["manifest.json"]) == manifest
    validate_steps(decode_steps(files["steps.parquet"]), manifest)
    assert 40_000 < len(files["front.mp4"]) < 80_000


def test_a_child_sends_to_a_real_echo_and_answers_its_parent(tmp_path: Path) -> None:
    """A process of its own against a uvicorn of its own."""
    port = system.free_port()
    command = site.server_command(port)
    command[command.index("sop_web.asgi:application")] = "benchmarks.fleet_load.echo:application"
    with (tmp_path / "echo.log").open("wb") as log:
        server = system.spawn(command, log=log, cwd=site.REPOSITORY)
    child = Child("echo-load", Echoes, f"ws://127.0.0.1:{port}/", 5, 0.05)
    try:
        site.wait_listening([port])
        child.ask("start")
        found = Delays()
        while found.n < 50:
            found.merge(child.ask("take"))
        assert child.ask("open")[0] == 5
        assert found.quantile(0.5) is not None and found.max_s < 30
    finally:
        child.end()
        system.stop(server, first=system.signal.SIGTERM, timeout_s=10)


def test_the_load_s_arguments_have_defaults_that_a_laptop_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.fleet_load.__main__ import PHASES, arguments

    monkeypatch.setattr("sys.argv", ["fleet_load"])
    given: argparse.Namespace = arguments()
    assert (given.robots, given.web, tuple(given.phases)) == (200, 2, PHASES)
    assert given.stalled + given.observers <= given.consoles
