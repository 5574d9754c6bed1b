"""A robot carries no web stack: the daemon runs where Django, Channels, Celery and DRF cannot be imported.

import-linter does not see what a parent package's `__init__` imports; a real process does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys

FORBIDDEN = ("django", "channels", "celery", "rest_framework", "sop_web", "kombu", "redis", "psycopg")


class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} must not be imported on a robot")
        return None


sys.meta_path.insert(0, Guard())

import importlib
import pkgutil

import fleet.daemon

for module in pkgutil.walk_packages(fleet.daemon.__path__, "fleet.daemon."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from fleet.daemon import policy_host

print(",".join(policy_host.architectures()))
assert not [name for name in sys.modules if name.split(".")[0] in FORBIDDEN]
learner = {name for name in sys.modules if name.split(".")[0] == "learner"}
assert all(name in ("learner", "learner.policies") or name.startswith("learner.policies.") for name in learner), learner
"""


def test_the_daemon_and_its_policies_import_without_the_web_stack() -> None:
    """Every module of fleet.daemon and the policy registry load with the web stack blocked."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_daemon_does_not_load_torch_before_a_policy_is_hosted() -> None:
    """Importing the composition root costs no torch: a robot that only records or replays stays small."""
    program = "import sys, fleet.daemon.app; print('torch' in sys.modules, 'learner' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "False"], done.stderr
