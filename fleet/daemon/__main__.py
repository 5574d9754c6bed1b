"""Command line of the daemon: `python -m fleet.daemon` runs a robot; demonstrate, evaluate and scenes run offline;
revert and follow take a robot back to an earlier version, and let it go on."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from fleet.protocol.errors import SopError

OFFLINE_COMMANDS = ("demonstrate", "evaluate", "scenes")
LOCAL_COMMANDS = ("revert", "follow")


def main(arguments: list[str]) -> int:
    """Run the command; return the exit status: 0 after a clean stop, 2 if the robot cannot start as configured."""
    if arguments and arguments[0] in OFFLINE_COMMANDS:
        from fleet.daemon import rollouts

        return int(rollouts.main(arguments))
    if arguments and arguments[0] in LOCAL_COMMANDS:
        from fleet.daemon import policy_hold

        return policy_hold.main(arguments)
    return run_robot(arguments)


def run_robot(arguments: list[str]) -> int:
    from fleet.daemon import app, telemetry
    from fleet.daemon.config import load_config
    from fleet.protocol import tracing

    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request, with signed URLs
    given: dict[str, Any] = {
        "server": options.server,
        "state_dir": options.state,
        "driver": options.driver,
        "token": options.token,
        "name": options.name,
        "seed": options.seed,
    }
    try:
        config = load_config(
            path=options.config,
            overrides=tuple(options.set),
            given={key: value for key, value in given.items() if value is not None},
        )
        tracing.start("sop-robot")
        with telemetry.served(config.metrics):
            asyncio.run(app.run(config))
    except SopError as error:
        logging.getLogger("fleet.daemon").error("%s: %s", error.code, error.message)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fleet.daemon",
        description="Run one robot. Other commands, each with --help: demonstrate, evaluate, scenes, revert, follow.",
    )
    parser.add_argument("--config", type=Path, help="TOML file; the options below win over it")
    parser.add_argument("--server", help="http(s) URL of the fleet server; without it the robot works offline")
    parser.add_argument("--state", help="state directory: key, spool, policies")
    parser.add_argument("--driver", help="which robot, for example metaworld")
    parser.add_argument("--token", help="one-time enrolment token, needed at the first start only")
    parser.add_argument("--name", help="name to enrol under")
    parser.add_argument("--seed", type=int, help="seed of the task and scene draws")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any other setting")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
