"""Looks at the machine before the demo starts: says which port, package or library is missing and what to do."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

import psutil

from sop_web.demo.config import REPOSITORY, DemoConfig
from sop_web.demo.processes import DemoError
from sop_web.embedded import system
from sop_web.embedded.errors import EmbeddedError

MIN_FREE_BYTES = 2 * 1024**3
_PACKAGES = ("django", "channels", "celery", "uvicorn", "torch", "metaworld", "mujoco", "av", "pyarrow")


class MachineNotReady(DemoError):
    """One or more things are missing; each line says what and what to do."""


def check_machine(config: DemoConfig) -> str:
    """Return one line about the machine. Raises: MachineNotReady with everything that is missing at once."""
    problems = [f"Python package '{name}' is not installed: run `make setup`" for name in _missing_packages()]
    try:
        system.check_port(config.port, what="the page")
    except EmbeddedError as error:
        problems.append(f"{error} with --port")
    if not (REPOSITORY / "frontend" / "dist" / "index.html").exists():
        problems.append("the console is not built: run `make demo`, which builds it (needs Node.js 20.19 or newer)")
    config.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(config.data_dir).free
    if free < MIN_FREE_BYTES:
        problems.append(f"{config.data_dir} has {free / 1024**3:.1f} GB free, 2 GB are needed: set SOP_DATA_DIR")
    if problems:
        raise MachineNotReady("\n".join(f"  - {problem}" for problem in problems))
    memory = psutil.virtual_memory().total / 1024**3
    return f"{os.cpu_count()} cores, {memory:.0f} GB, rendering by {rendering()}"


def _missing_packages() -> list[str]:
    return [name for name in _PACKAGES if importlib.util.find_spec(name) is None]


def rendering() -> str:
    """Return how MuJoCo will draw: a GL library of the system, else rays on the CPU (slower, needs nothing)."""
    if ctypes.util.find_library("EGL"):
        return "EGL"
    if ctypes.util.find_library("OSMesa"):
        return "OSMesa"
    return "ray casting (slower; for EGL: apt-get install libegl1 libgl1-mesa-dri)"


def describe_machine() -> dict[str, object]:
    """Return the facts about this machine that a report needs to be read."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "rendering": rendering(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
