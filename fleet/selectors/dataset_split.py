"""How many episodes each split of a dataset gets. Which ones is decided in `services/dataset_freeze.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.errors import InvalidRequest

MAX_SPLITS = 10
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TOLERANCE = 1e-6  # three thirds as people write them


@dataclass(frozen=True)
class Split:
    """`share` of all episodes, in (0, 1]."""

    name: str
    share: float


def sound_splits(shares: Mapping[str, float]) -> tuple[Split, ...]:
    """Return the splits in the order of export: the largest first, equal ones by name. Raises: InvalidRequest."""
    if not 1 <= len(shares) <= MAX_SPLITS:
        raise InvalidRequest(f"a dataset has 1 to {MAX_SPLITS} splits, not {len(shares)}", field="splits")
    for name, share in shares.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"'{name[:40]}' is no name of a split: lower-case letters, digits, - and _", field="splits"
            )
        if not 0 < share <= 1:
            raise InvalidRequest(f"the share of '{name}' must lie above 0 and not above 1", field="splits")
    total = sum(shares.values())
    if abs(total - 1) > _TOLERANCE:
        raise InvalidRequest(f"the shares of the splits sum to {total:.6g}, not to 1", field="splits")
    return tuple(Split(name, share) for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def split_counts(episodes: int, splits: tuple[Split, ...]) -> list[int]:
    """Return how many of `episodes` each split gets: its share, rounded so that the sum is right.

    Source: Hamilton's method of the largest remainder; of equal remainders the earlier split gets the episode.
    """
    exact = [episodes * split.share for split in splits]
    counts = [int(value + 1e-9) for value in exact]  # 0.7 * 10 is not below 7
    by_remainder = sorted(range(len(splits)), key=lambda k: (round(counts[k] - exact[k], 9), k))
    for k in by_remainder[: episodes - sum(counts)]:
        counts[k] += 1
    return counts
