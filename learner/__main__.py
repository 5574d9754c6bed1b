"""`python -m learner pretrain | import-lerobot | train | evaluate | value | settings`: the learner without a server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch

from fleet.protocol.errors import SopError
from learner.commands import evaluate, import_lerobot, pretrain, settings, train, value


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit status, with one line on stderr when the input is at fault."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        return int(arguments.run(arguments))
    except (SopError, ValueError, OSError) as error:
        print(f"python -m learner {arguments.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m learner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (pretrain, import_lerobot, train, evaluate, value, settings):
        module.add_parser(commands)
    for command in commands.choices.values():
        command.add_argument("--threads", type=int, default=1, help="torch threads; results depend on it")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
