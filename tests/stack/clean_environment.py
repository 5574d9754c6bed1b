"""A virtual environment that holds what a requirements file names and needs, and nothing else.

Its packages are links to those that the tests run with, resolved from their own metadata as pip does, so it needs no
network. With SOP_INSTALL=1, as `make verify-robot` has it, pip installs them.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import venv
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required(requirements: Path) -> dict[str, importlib.metadata.Distribution]:
    """Return the distributions that a requirements file stands for. Raises: AssertionError if one differs."""
    found: dict[str, importlib.metadata.Distribution] = {}
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    left = [Requirement(line) for line in lines if line]
    while left:
        requirement = left.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        assert requirement.specifier.contains(distribution.version, prereleases=True), (
            requirement,
            distribution.version,
        )
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = distribution
            left += [Requirement(text) for text in distribution.requires or () if "extra ==" not in text]
    return found


def make_environment(folder: Path, requirements: Path) -> Path:
    """Make the environment and return its interpreter."""
    python = folder / "bin" / "python"
    if os.environ.get("SOP_INSTALL") == "1":
        venv.create(folder, with_pip=True, symlinks=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--no-cache-dir", "-r", str(requirements)]
        subprocess.run(install, check=True, timeout=1800)
        return python
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    for distribution in required(requirements).values():
        for file in distribution.files or ():
            top = file.parts[0]
            link = site / top
            if re.fullmatch(r"[\w.+-]+", top) and top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    return python
