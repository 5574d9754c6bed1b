"""Driver name -> driver. Called by the daemon and the offline rollouts; imports a driver's libraries only when asked.

To add a robot: a package beside this file with a class that follows `base.Driver`, and one line in `_FACTORIES`.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from fleet.daemon.drivers.base import Driver, DriverError

_FACTORIES: dict[str, str] = {
    "lerobot": "fleet.daemon.drivers.lerobot.driver:create",
    "metaworld": "fleet.daemon.drivers.metaworld.driver:create",
    "replay": "fleet.daemon.drivers.replay.driver:create",
}


class UnknownDriver(DriverError):
    code = "unknown_driver"


class DriverUnavailable(DriverError):
    """A known driver whose libraries are not installed."""

    code = "driver_unavailable"


def driver_names() -> tuple[str, ...]:
    """Return the names that `create_driver` takes."""
    return tuple(sorted(_FACTORIES))


def create_driver(name: str, options: dict[str, Any]) -> Driver:
    """Create a driver; nothing is connected yet. Options are strings or the values a TOML file gives.

    Raises: UnknownDriver; DriverUnavailable if its libraries are missing; DriverError for options it does not take.
    """
    target = _FACTORIES.get(name)
    if target is None:
        raise UnknownDriver(f"driver '{name}' is unknown; there are {', '.join(driver_names())}", name=name)
    module_name, function = target.split(":")
    try:
        factory = getattr(importlib.import_module(module_name), function)
    except ImportError as error:
        text = f"driver '{name}' needs libraries that are missing ({error}): see its requirements.txt"
        raise DriverUnavailable(text, name=name) from None
    return cast(Driver, factory(options))
