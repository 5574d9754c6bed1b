"""The arrows of architecture.md and the house rules that a machine can check."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fleet", "learner", "sop_web")


def sources(*folders: str) -> list[Path]:
    """Return the tracked-like Python files of folders, without migrations."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]
    assert found
    return found


def test_imports_follow_the_arrows() -> None:
    """import-linter keeps every contract of .importlinter."""
    lint = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout


def test_fleet_package_is_empty() -> None:
    """fleet.protocol and fleet.daemon import without Django only while fleet/__init__.py holds nothing."""
    assert (ROOT / "fleet/__init__.py").read_text() == ""


def test_nothing_is_ever_pickled() -> None:
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
    for path in sources(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not {name.split(".")[0] for name in names} & forbidden, path
        assert not re.search(r"(?<!safetensors\.)\btorch\.(load|save)\(|allow_pickle=True", path.read_text()), path


@pytest.mark.parametrize("folder", PACKAGES)
def test_modules_say_what_they_are_for(folder: str) -> None:
    """Every module with code begins with a docstring."""
    bare = [p for p in sources(folder) if p.read_text().strip() and not ast.get_docstring(ast.parse(p.read_text()))]
    assert bare == []


def test_files_stay_under_400_lines() -> None:
    assert [path for path in sources(*PACKAGES) if len(path.read_text().splitlines()) > 400] == []


def test_every_test_module_tests_something() -> None:
    modules = list((ROOT / "tests").rglob("test_*.py"))
    empty = [path for path in modules if not re.search(r"^\s*(async )?def test_", path.read_text(), re.MULTILINE)]
    assert modules
    assert empty == []


def test_every_dependency_is_pinned_with_a_reason() -> None:
    for path in (ROOT / "requirements.txt", ROOT / "requirements-dev.txt", *ROOT.glob("fleet/**/requirements.txt")):
        for line in path.read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[A-Za-z0-9_.\[\],-]+==\S+\s+# .{10,}", line), f"{path.name}: {line}"
