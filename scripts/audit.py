"""Ask the services that know of holes in packages: pip-audit for Python, npm audit for the console.

Status: 0 nothing is known, 1 something was found, 3 a service did not answer or its program is not installed, so that
nothing is known: no audit that was not made looks like a clean one. Not part of CI, because it needs the network.
pip-audit is not among the project's own packages: `python -m pip install pip-audit` where audits are made.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLEAN, FOUND, UNKNOWN = 0, 1, 3
TIMEOUT_S = 180.0
_SAID_FOUND = re.compile(r"known vulnerabilit|\b\d+ vulnerabilit|severity", re.IGNORECASE)


@dataclass(frozen=True)
class Audit:
    name: str
    command: Sequence[str]
    folder: Path


AUDITS = (
    Audit("python", [sys.executable, "-m", "pip_audit", "-r", "requirements.txt", "--timeout", "15"], ROOT),
    Audit("console", ["npm", "audit", "--omit=dev", "--fetch-timeout=15000", "--fetch-retries=0"], ROOT / "frontend"),
)


def ask(audit: Audit) -> tuple[int, str]:
    """Return the status of one audit and what to say of it."""
    try:
        done = subprocess.run(
            audit.command, cwd=audit.folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        return UNKNOWN, f"{audit.command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return UNKNOWN, f"no answer in {TIMEOUT_S:.0f} s"
    said = f"{done.stdout}\n{done.stderr}".strip()
    if done.returncode == 0:
        return CLEAN, "nothing is known against it"
    if _SAID_FOUND.search(said):
        return FOUND, said
    return UNKNOWN, f"the service is not reachable, or the program is not installed:\n{said[-800:]}"


def main(audits: Sequence[Audit] = AUDITS) -> int:
    """Run all audits; return the worst status: found before unknown before clean."""
    statuses = set()
    for audit in audits:
        status, text = ask(audit)
        word = {CLEAN: "clean", FOUND: "FOUND", UNKNOWN: "NOT AUDITED"}[status]
        print(f"{audit.name}: {word}: {text}")
        statuses.add(status)
    return next(status for status in (FOUND, UNKNOWN, CLEAN) if status in statuses)


if __name__ == "__main__":
    sys.exit(main())
