"""`python -m learner settings FILE`: write down what may be set of a run, for the server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from learner.settings import settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("settings", help="write what may be set of a run, for the server and the console")
    parser.add_argument("file", type=Path, help="fleet/training_settings.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    arguments.file.write_text(as_json())
    return 0


def as_json() -> str:
    """Return the file's text; equal settings give equal text."""
    return json.dumps(settings(), indent=1) + "\n"
