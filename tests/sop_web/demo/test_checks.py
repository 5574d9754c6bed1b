"""The look at the machine before a demo: everything that is missing is named at once, with what to do."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from sop_web.demo import checks
from sop_web.demo.checks import MachineNotReady, check_machine, describe_machine, rendering
from sop_web.demo.config import DemoConfig
from sop_web.embedded import system


def test_everything_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken port, an absent package and an unbuilt console are one message with three remedies."""
    monkeypatch.setattr(checks, "_PACKAGES", ("django", "not_a_package"))
    monkeypatch.setattr(checks, "REPOSITORY", tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MachineNotReady) as refused:
            check_machine(DemoConfig(data_dir=tmp_path / "var", port=port))
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert "'not_a_package' is not installed: run `make setup`" in lines[0]
    assert f"127.0.0.1:{port}" in lines[1] and "--port" in lines[1]
    assert "the console is not built" in lines[2]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room names the folder and the variable that moves it."""
    monkeypatch.setattr(checks, "MIN_FREE_BYTES", 1 << 62)
    config = DemoConfig(data_dir=tmp_path, port=system.free_port())
    with pytest.raises(MachineNotReady, match=f"{tmp_path} has .* set SOP_DATA_DIR"):
        check_machine(config)


@pytest.mark.parametrize(
    ("libraries", "answer"), [({"EGL"}, "EGL"), ({"OSMesa"}, "OSMesa"), (set(), "ray casting")], ids=str
)
def test_rendering_falls_back(libraries: set[str], answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GL library the demo says that rays are cast, and which package makes it quicker."""
    monkeypatch.setattr("ctypes.util.find_library", lambda name: name if name in libraries else None)
    assert rendering().startswith(answer)


def test_the_machine_is_described(tmp_path: Path) -> None:
    """What a report needs to be read: cores, memory, system."""
    assert {"cpu", "cores", "memory_gb", "system", "python", "rendering"} <= set(describe_machine())
    assert dataclasses.replace(DemoConfig(data_dir=tmp_path), port=1).url == "http://127.0.0.1:1"
