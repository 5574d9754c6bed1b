"""Settings of HG-DAgger."""

from __future__ import annotations

from dataclasses import dataclass

from learner.data.masks import FrameRule


@dataclass(frozen=True, slots=True, kw_only=True)
class HgDaggerConfig:
    """`mask`: which frames carry loss (paper.md section 3)."""

    mask: FrameRule = FrameRule.INTERVENTION_AND_SUCCESS
