"""What a dry run found, as it is kept with the import and shown in the console."""

from __future__ import annotations

import msgspec

from fleet.imports.layout import INDICES, NUMBERS
from fleet.imports.problems import Problem


class CameraFound(msgspec.Struct, frozen=True, kw_only=True):
    """A camera of the dataset. `copied`: episodes whose packets can stand as they are; the others are encoded anew."""

    feature: str
    width: int
    height: int
    codec: str
    copied: int
    encoded: int


class FeatureFound(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.shape[0] if self.shape else 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run found. `tasks`: instruction -> episodes; `sound`: episodes without a problem of any feature.

    `is_own`: it is an export of this software. `outcome_columns`: of the episodes' metadata, that say how each ended.
    """

    version: str
    robot_type: str
    fps: float
    episodes: int
    frames: int
    sound: int
    last_index: int
    tasks: dict[str, int]
    cameras: tuple[CameraFound, ...]
    features: tuple[FeatureFound, ...]
    problems: tuple[Problem, ...]
    is_own: bool
    outcome_columns: tuple[str, ...]

    def columns(self) -> dict[str, FeatureFound]:
        """Return the features that are columns of numbers, by name."""
        kinds = {f.name: f for f in self.features if f.dtype in NUMBERS and f.name not in INDICES}
        return {name: feature for name, feature in kinds.items() if len(feature.shape) <= 1}
