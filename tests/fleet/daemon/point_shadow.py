"""Runs the real shadow process with the tests' point policies: `python -m tests.fleet.daemon.point_shadow FD`."""

from __future__ import annotations

import sys

from fleet.daemon import shadow_child
from tests.fleet.daemon import point_policy

COMMAND = (sys.executable, "-m", "tests.fleet.daemon.point_shadow")

if __name__ == "__main__":
    sys.modules["learner.policies.registry"] = point_policy
    sys.exit(shadow_child.main(int(sys.argv[1])))
