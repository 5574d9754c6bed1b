"""The formats by name. A new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.exports.base import ExportFormat
from fleet.exports.errors import OptionInvalid, UnknownFormat
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.lerobot_v21 import LeRobotV21
from fleet.exports.raw import Raw
from fleet.exports.robomimic import Robomimic

FORMATS: dict[str, ExportFormat] = {fmt.name: fmt for fmt in (LeRobotV3(), LeRobotV21(), Robomimic(), Raw())}


def export_format(name: str, options: Mapping[str, Any] | None = None) -> ExportFormat:
    """Return a format with the chosen options, the rest at their defaults.

    Raises: UnknownFormat, naming those that there are; OptionInvalid.
    """
    if name not in FORMATS:
        raise UnknownFormat(f"there is no format '{name[:64]}'; there are {', '.join(FORMATS)}", formats=[*FORMATS])
    found = FORMATS[name]
    known = {choice.name: choice for choice in found.choices}
    for option, value in (options or {}).items():
        choice = known.get(option)
        if choice is None:
            raise OptionInvalid(f"{found.title} has no option '{option[:64]}'", option=option[:64])
        if type(value) is not int or not choice.least <= value <= choice.most:
            raise OptionInvalid(
                f"{choice.title} must be a whole number from {choice.least} to {choice.most}", option=option
            )
    return type(found)(**options) if options else found
