"""Runs the real daemon as a process with the tests' point robot and point policies; takes the daemon's own arguments.

python -m tests.fleet.daemon.point_daemon --server ... --state ... --driver point
"""

from __future__ import annotations

import sys
from typing import Any

from fleet.daemon import __main__ as command
from fleet.daemon import app, shadow_process
from tests.fleet.daemon import point_policy, point_shadow
from tests.fleet.daemon.point import PointDriver, ScriptedSupervisor


def create_supervisor(driver: Any, options: dict[str, Any]) -> ScriptedSupervisor | None:
    return ScriptedSupervisor(**options) if options else None


if __name__ == "__main__":
    sys.modules["learner.policies.registry"] = point_policy
    shadow_process.COMMAND = point_shadow.COMMAND
    app.create_driver = lambda name, options: PointDriver(**options)
    app.create_supervisor = create_supervisor
    sys.exit(command.main(sys.argv[1:]))
