"""The formats by name. A new one is a module and a line here."""

from __future__ import annotations

from fleet.exports.base import ExportFormat
from fleet.exports.errors import UnknownFormat
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.lerobot_v21 import LeRobotV21
from fleet.exports.raw import Raw
from fleet.exports.robomimic import Robomimic

FORMATS: dict[str, ExportFormat] = {fmt.name: fmt for fmt in (LeRobotV3(), LeRobotV21(), Robomimic(), Raw())}


def export_format(name: str) -> ExportFormat:
    """Raises: UnknownFormat, naming those that there are."""
    if name not in FORMATS:
        raise UnknownFormat(f"there is no format '{name[:64]}'; there are {', '.join(FORMATS)}", formats=[*FORMATS])
    return FORMATS[name]
