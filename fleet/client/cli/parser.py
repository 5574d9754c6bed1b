"""The commands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from fleet.client.cli import account, moves, rows

Run = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sop", description="Scripts for a SOP server: episodes, datasets, exports.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _account(commands)
    _episodes(_group(commands, "episodes", "find, label and download episodes"))
    _datasets(_group(commands, "datasets", "datasets and their versions"))
    _lists(commands)
    _export(commands)
    _import(commands)
    return parser


def _group(commands: Commands, name: str, about: str) -> Commands:
    parser = commands.add_parser(name, help=about, description=about)
    return parser.add_subparsers(required=True, metavar="ACTION")


def _command(commands: Commands, name: str, about: str, run: Run) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    parser.add_argument("--limit", type=_count, default=50, help="rows at most (default 50, 0 for all)")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _account(commands: Commands) -> None:
    login = _command(commands, "login", "keep the server's address and a token of /settings/tokens", account.login)
    login.add_argument("url", help="as in the browser: https://fleet.example")
    login.add_argument("--token", default="", help="asked for without echo if left out (other users see arguments)")
    _command(commands, "logout", "forget the address and the token", account.logout)


def _episodes(commands: Commands) -> None:
    listed = _command(commands, "list", "list episodes, the newest first", rows.episodes)
    for name, about in (
        ("task", "slug"), ("outcome", "success, failure, timeout, aborted"), ("robot", "id"), ("tag", "tag"),
        ("policy-version", "id"), ("operator", "name"), ("origin", "online, ..."), ("source", "who drove"),
    ):  # fmt: skip
        listed.add_argument(f"--{name}", action="append", metavar="VALUE", help=f"{about}; may be repeated")
    listed.add_argument("--text", help="words of instruction, comment, reason")
    listed.add_argument("--archived", choices=["no", "only", "any"], default=None)
    listed.add_argument("--damaged", choices=["no", "only", "any"], default=None)
    listed.add_argument("--sort", help="registered, ended, steps, share, ...; a leading - for the largest first")
    _listing(listed)
    label = _command(commands, "label", "label one episode", rows.label)
    label.add_argument("id")
    label.add_argument("--outcome", choices=["success", "failure", "timeout", "aborted"])
    label.add_argument("--reason")
    label.add_argument("--comment")
    label.add_argument("--add-tag", action="append", default=[])
    label.add_argument("--remove-tag", action="append", default=[])
    fetch = _command(commands, "download", "fetch an episode as it was recorded", moves.episode_download)
    fetch.add_argument("id", nargs="+")
    fetch.add_argument("--out", type=Path, default=Path(), help="folder; each episode gets one in it")


def _datasets(commands: Commands) -> None:
    listed = _command(commands, "list", "list datasets", rows.datasets)
    listed.add_argument("--text")
    _listing(listed)
    versions = _command(commands, "versions", "list the versions of a dataset", rows.dataset_versions)
    versions.add_argument("dataset", help="name or id")
    _listing(versions)


def _lists(commands: Commands) -> None:
    for name, about, run in (
        ("runs", "list training runs", rows.runs),
        ("versions", "list policy versions, the newest first", rows.versions),
        ("robots", "list robots", rows.robots),
        ("tasks", "list tasks", rows.tasks),
        ("exports", "list exports, the newest first", rows.exports),
    ):
        _listing(_command(commands, name, about, run))


def _export(commands: Commands) -> None:
    export = _command(commands, "export", "export a dataset, fetch it, check it, unpack it", moves.export)
    export.add_argument("dataset", help="name or id of a dataset, NAME@3 for its third version (default: the newest)")
    export.add_argument("--format", default="lerobot-v3.0", help="lerobot-v3.0, lerobot-v2.1, robomimic-hdf5, raw")
    export.add_argument("--out", type=Path, default=Path(), help="folder in which the export's own is made")
    export.add_argument("--timeout", type=float, default=24 * 3600.0, metavar="SECONDS", help="for making it")


def _import(commands: Commands) -> None:
    parser = _command(commands, "import", "send a LeRobot dataset, check it, import it", moves.import_dataset)
    parser.add_argument("archive", type=Path, help="a .tar, .tar.gz or .zip")
    parser.add_argument("--name", help="default: the file's name")
    parser.add_argument("--check-only", action="store_true", help="a dry run that names every problem")
    parser.add_argument(
        "--mapping", type=Path, metavar="FILE", help="JSON of which feature becomes what: written by --check-only"
    )
    parser.add_argument("--timeout", type=float, default=24 * 3600.0, metavar="SECONDS")
