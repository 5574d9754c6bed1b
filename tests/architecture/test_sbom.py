"""The software bill of materials names what runs, in the versions that are pinned."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    target = tmp_path_factory.mktemp("sbom") / "sop.cdx.json"
    done = subprocess.run(
        [sys.executable, "scripts/sbom.py", str(target)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(target.read_text())
    return loaded


def test_the_bill_names_every_pin(bill: dict[str, Any]) -> None:
    found = {each["name"]: each["version"] for each in bill["components"] if each["purl"].startswith("pkg:pypi/")}
    for path in (ROOT / "requirements.txt", *ROOT.glob("fleet/daemon/**/requirements.txt")):
        if path.parent.name == "lerobot":
            continue  # of an environment of its own, on robots alone
        for name, version in _pins(path).items():
            assert found[name].partition("+")[0] == version, name
    assert {"kombu", "asgiref", "sqlparse", "uvloop"} <= set(found), "what the pins need in turn"
    assert not {"pytest", "ruff", "mypy"} & set(found), "what only tests and checks need"


def test_a_worker_beside_lerobot_has_the_servers_pins() -> None:
    theirs = {"numpy", "pyarrow", "httpx", "av", "torch", "safetensors", "tqdm"}  # lerobot's own, in other versions
    server = _pins(ROOT / "requirements.txt") | _pins(ROOT / "fleet" / "daemon" / "requirements.txt")
    folder = ROOT / "learner" / "policies" / "architectures" / "lerobot"
    worker = _pins(folder / "requirements.txt") | _pins(folder / "worker-requirements.txt")
    shared = worker.keys() & server.keys() - theirs
    assert len(shared) > 20 and {name: worker[name] for name in shared} == {name: server[name] for name in shared}


def _pins(path: Path) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_the_bill_names_the_console_s_packages(bill: dict[str, Any]) -> None:
    wanted = json.loads((ROOT / "frontend" / "package.json").read_text())["dependencies"]
    found = {each["name"]: each for each in bill["components"] if each["purl"].startswith("pkg:npm/")}
    assert {name: found[name]["version"] for name in wanted} == wanted
    assert all(len(each["hashes"][0]["content"]) == 128 for each in found.values())
    assert "vite" not in found


def test_the_bill_is_cyclonedx(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = [each["bom-ref"] for each in bill["components"]]
    assert len(refs) == len(set(refs))
    assert all({"type", "name", "version", "purl"} <= set(each) for each in bill["components"])


def test_an_audit_that_nobody_answers_says_so_and_is_no_clean_one(tmp_path: Path) -> None:
    """Its status differs from that of an audit that found nothing, and from one that found something."""
    found = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert found is not None and found.loader is not None
    audit = importlib.util.module_from_spec(found)
    sys.modules["audit"] = audit  # dataclasses look their module up
    found.loader.exec_module(audit)

    def answer(code: str) -> int:
        return int(audit.main([audit.Audit("python", [sys.executable, "-c", code], tmp_path)]))

    assert answer("print('[]')") == audit.CLEAN
    assert answer("import sys; print('Found 1 known vulnerability'); sys.exit(1)") == audit.FOUND
    assert answer("import sys; print('Connection refused', file=sys.stderr); sys.exit(1)") == audit.UNKNOWN
    missing = audit.Audit("python", [str(tmp_path / "no-such-program")], tmp_path)
    assert audit.main([missing]) == audit.UNKNOWN
