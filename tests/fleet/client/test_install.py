"""What `pip install .` gives: the client and the command alone, working with nothing but what it declares.

No network: the wheel is built with the setuptools that is here, and the declared dependencies, with theirs, are copied
from this environment into a new one, which holds nothing else.
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(==([^\s;,]+))?")
EVERY_MODULE = """
import importlib, pkgutil, fleet.client
names = [each.name for each in pkgutil.walk_packages(fleet.client.__path__, "fleet.client.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "fleet", folder / "fleet", ignore=shutil.ignore_patterns("__pycache__"))
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "-w",
        "out",
        cwd=folder,
    )
    (found,) = (folder / "out").glob("sop-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of a new environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    target = str(folder / "bin/python")
    run(sys.executable, "-m", "pip", "--python", target, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    for name in needed(requirements(wheel)):
        for path in metadata.distribution(name).files or ():
            if ".." not in path.parts:
                (packages / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(path.locate()), packages / path)
    return folder / "bin"


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200, check=False, env={"PATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith(".dist-info/METADATA"))
        return Parser().parsestr(packed.read(name).decode()).get_all("Requires-Dist") or []


def needed(required: list[str]) -> set[str]:
    """Return the names of the distributions that these requirements bring, without extras."""
    found: set[str] = set()
    waiting = list(required)
    while waiting:
        text = waiting.pop()
        match = _REQUIREMENT.match(text)
        assert match is not None, text
        name = match[1].lower()
        if "extra ==" in text or name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            assert ";" in text, f"{text} is not installed here"  # of another Python or system
            continue
        found.add(name)
        waiting += distribution.requires or []
    return found


def test_the_wheel_holds_the_client_and_no_server(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert {"fleet/client/client.py", "fleet/client/cli/parser.py", "fleet/client/py.typed"} <= names
    assert {name for name in names if not name.startswith("fleet/client/")} == set()


def test_it_declares_what_the_client_requires(wheel: Path) -> None:
    lines = (ROOT / "fleet/client/requirements.txt").read_text().splitlines()
    listed = {line.partition("#")[0].strip() for line in lines} - {""}
    assert set(requirements(wheel)) == listed


def test_the_command_runs_where_nothing_else_is_installed(installed: Path, tmp_path: Path) -> None:
    """Every module loads; the command explains itself, and says in words that nobody signed in."""
    assert int(run(str(installed / "python"), "-c", EVERY_MODULE, cwd=tmp_path)) > 10
    said = run(str(installed / "sop"), "--help", cwd=tmp_path)
    for word in ("login", "episodes", "datasets", "export", "import"):
        assert word in said
    environment = {"HOME": str(tmp_path), "PATH": ""}
    command = [str(installed / "sop"), "tasks"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "sop login" in done.stderr and "Traceback" not in done.stderr
