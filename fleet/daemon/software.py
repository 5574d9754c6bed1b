"""What this daemon is made of, recorded with every episode."""

from __future__ import annotations

import importlib.metadata
import platform

from fleet.protocol.messages import LOGS_CAPABILITY, PARTS_CAPABILITY, SHADOW_CAPABILITY

DAEMON_VERSION = "0.1.0"


def capabilities(*, is_supervised: bool, is_shadowing: bool) -> tuple[str, ...]:
    """Return what Hello says that this daemon knows beyond the protocol's first version."""
    chosen = {SHADOW_CAPABILITY: is_shadowing, "scripted_supervisor": is_supervised}
    return (LOGS_CAPABILITY, PARTS_CAPABILITY, *(name for name, is_chosen in chosen.items() if is_chosen))


def software() -> dict[str, str]:
    """Return what an episode was recorded with."""
    packages = ("numpy", "av", "pyarrow", "torch")
    versions = {name: importlib.metadata.version(name) for name in packages if _is_installed(name)}
    return {"sop-daemon": DAEMON_VERSION, "python": platform.python_version(), **versions}


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
