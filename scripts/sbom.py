"""Write the software bill of materials, CycloneDX 1.6 JSON: Python packages as installed, the console's as locked.

    python scripts/sbom.py sop.cdx.json

From the metadata of the installed packages rather than from a tool of its own: it needs no network and no dependency.
Python: what requirements.txt asks for, and what that needs in turn. The console: package-lock.json without what only
builds it.
"""

from __future__ import annotations

import base64
import importlib.metadata as metadata
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def required(path: Path) -> Iterator[Requirement]:
    """Yield what a requirements file and those that it includes ask for."""
    for line in path.read_text().splitlines():
        text = line.partition(" #")[0].strip()
        if text.startswith("-r "):
            yield from required(path.parent / text[3:].strip())
        elif text and not text.startswith("#"):
            yield Requirement(text)


def installed(path: Path) -> dict[str, metadata.Distribution]:
    """Return the distributions behind a requirements file by canonical name. Raises: PackageNotFoundError."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(required(path))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras}
        if name in found and not wanted.extras:
            continue
        found[name] = distribution = metadata.distribution(wanted.name)
        for text in distribution.requires or ():
            need = Requirement(text)
            applies = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
            if applies and canonicalize_name(need.name) not in found:
                waiting.append(need)
    return found


def python_components() -> list[dict[str, Any]]:
    components = []
    for name, distribution in sorted(installed(ROOT / "requirements.txt").items()):
        fields = distribution.metadata
        licence = fields.get("License-Expression") or fields.get("License") or ""
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{distribution.version}",
            "name": name,
            "version": distribution.version,
            "purl": f"pkg:pypi/{name}@{distribution.version}",
        }
        if licence and len(licence) < 100 and "\n" not in licence:
            component["licenses"] = [{"license": {"name": licence}}]
        components.append(component)
    return components


def console_components() -> list[dict[str, Any]]:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())
    components = []
    for place, entry in sorted(lock["packages"].items()):
        name = place.rpartition("node_modules/")[2]
        if not name or entry.get("dev") or entry.get("link"):
            continue
        purl = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
        component: dict[str, Any] = {
            "type": "library", "bom-ref": f"{purl}#{place}", "name": name, "version": entry["version"], "purl": purl,
        }  # fmt: skip
        if match := re.fullmatch(r"sha512-([A-Za-z0-9+/=]+)", entry.get("integrity", "")):
            component["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(match[1]).hex()}]
        if licence := entry.get("license"):
            component["licenses"] = [{"license": {"name": licence}}]
        components.append(component)
    return components


def bill() -> dict[str, Any]:
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "sop", "name": "sop", "version": project[1]}},
        "components": [*python_components(), *console_components()],
    }


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "sop.cdx.json")
    found = bill()
    target.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{target}: {len(found['components'])} components")
