"""Settings of HG-DAgger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from learner.config import setting
from learner.data.masks import FrameRule

TITLE = "HG-DAgger"
HELP = "Imitates what people did when they took over, and what succeeded. Needs no rewards."


@dataclass(frozen=True, slots=True, kw_only=True)
class HgDaggerConfig:
    """`mask`: which frames carry loss (paper.md section 3)."""

    mask: Annotated[FrameRule, setting("Which frames are learned from.")] = FrameRule.INTERVENTION_AND_SUCCESS


CONFIG = HgDaggerConfig
