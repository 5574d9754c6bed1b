"""Going back by hand, at the robot, whether or not there is a server: `python -m fleet.daemon revert --state DIR`.

    <state>/policies/hold.json       the version that this robot stays at, and since when
    <state>/policies/versions/*.json manifests of the versions that drove, to go back to

The command only writes hold.json. A daemon that runs looks for it every second and swaps at its next episode boundary;
one that starts begins with it. The robot stays there, tells the server, and follows it again when somebody says so:
`python -m fleet.daemon follow --state DIR`, or at the console.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
import uuid
from pathlib import Path
from typing import TextIO

import msgspec

from fleet.daemon.files import write_durably
from fleet.protocol.errors import UNPARSABLE, PolicyError
from fleet.protocol.messages import PolicyHold
from fleet.protocol.policy import PolicyManifest

logger = logging.getLogger(__name__)

HOLD_FILE = "hold.json"
KEPT_VERSIONS = 8  # manifests; of their blobs, those of the present and the previous version are never evicted


class VersionNotHeld(PolicyError):
    """There is no such version on this robot's disk."""

    code = "version_not_held"


class CurrentVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A version that drove, as written in current.json and versions/."""

    number: int
    manifest: PolicyManifest


class VersionHistory:
    """The versions that drove on this robot, the newest first."""

    def __init__(self, policies: Path) -> None:
        self._policies = policies
        self._folder = policies / "versions"
        self._folder.mkdir(parents=True, exist_ok=True)

    def add(self, version: CurrentVersion) -> None:
        """Note that this one drives now; the oldest manifests beyond KEPT_VERSIONS go. Raises: OSError."""
        name = hashlib.sha256(version.manifest.version_id.encode()).hexdigest()[:32]
        write_durably(self._folder / f"{name}.json", msgspec.json.encode(version))
        for path in self._files()[KEPT_VERSIONS:]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def versions(self) -> list[CurrentVersion]:
        """Return them; one that cannot be read is left out."""
        found = []
        for path in self._files():
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=CurrentVersion))
            except (OSError, *UNPARSABLE) as error:
                logger.error("a version's record is unusable: %s", error)
        return found

    def complete(self) -> list[CurrentVersion]:
        """Return those whose blobs are all on the disk."""
        blobs = self._policies / "blobs"
        return [
            version
            for version in self.versions()
            if all((blobs / f"{blob.sha256}.safetensors").exists() for blob in version.manifest.blobs)
        ]

    def find(self, version_id: str) -> CurrentVersion | None:
        return next((item for item in self.versions() if item.manifest.version_id == version_id), None)


def read_hold(policies: Path) -> PolicyHold | None:
    """Return the hold, None if there is none. A damaged file holds nothing, and says so."""
    try:
        return msgspec.json.decode((policies / HOLD_FILE).read_bytes(), type=PolicyHold)
    except FileNotFoundError:
        return None
    except (OSError, *UNPARSABLE) as error:
        logger.error("the hold is unusable: %s", error)
        return None


def revert(policies: Path, *, to: str | None = None, reason: str = "") -> PolicyHold:
    """Hold the robot at a version: the one before the present one, or `to`, a number or an id.

    Raises: VersionNotHeld; OSError.
    """
    complete = VersionHistory(policies).complete()
    present = read_hold(policies)
    driving = present.version_id if present is not None else _current_id(policies)
    if to is not None:
        chosen = next((item for item in complete if to in (str(item.number), item.manifest.version_id)), None)
    else:
        chosen = next((item for item in complete if item.manifest.version_id != driving), None)
    if chosen is None:
        held = ", ".join(str(item.number) for item in complete) or "none"
        what = f"version {to}" if to is not None else "an earlier version"
        raise VersionNotHeld(f"{what} is not on this robot's disk; there are: {held}")
    hold = PolicyHold(
        hold_id=str(uuid.uuid4()),
        version_id=chosen.manifest.version_id,
        number=chosen.number,
        since_ns=time.time_ns(),
        reason=reason[:2000],
    )
    write_durably(policies / HOLD_FILE, msgspec.json.encode(hold))
    return hold


def follow(policies: Path) -> bool:
    """Follow the server again; whether the robot was held."""
    was_held = (policies / HOLD_FILE).exists()
    (policies / HOLD_FILE).unlink(missing_ok=True)
    return was_held


def _current_id(policies: Path) -> str | None:
    try:
        current = msgspec.json.decode((policies / "current.json").read_bytes(), type=CurrentVersion)
    except (OSError, *UNPARSABLE):
        return None
    return current.manifest.version_id


def main(arguments: list[str]) -> int:
    """`revert` and `follow`; return the exit status: 2 if it cannot be done, with nothing changed."""
    parser = argparse.ArgumentParser(prog="python -m fleet.daemon")
    parser.add_argument("command", choices=("revert", "follow"))
    parser.add_argument("--state", type=Path, required=True, help="the robot's state directory")
    parser.add_argument("--to", help="number or id of the version; default: the one before the present one")
    parser.add_argument("--reason", default="", help="kept, and told to the server")
    options = parser.parse_args(arguments)
    policies = options.state / "policies"
    if not policies.is_dir():
        _say(f"{options.state} is no robot's state directory", sys.stderr)
        return 2
    if options.command == "follow":
        text = "follows the server again" if follow(policies) else "was not held"
        _say(f"the robot {text}", sys.stdout)
        return 0
    try:
        hold = revert(policies, to=options.to, reason=options.reason)
    except PolicyError as error:
        _say(f"{error.code}: {error.message}", sys.stderr)
        return 2
    _say(f"version {hold.number} ({hold.version_id}) drives from the next episode on, until `follow`", sys.stdout)
    return 0


def _say(text: str, stream: TextIO) -> None:
    stream.write(f"{text}\n")
