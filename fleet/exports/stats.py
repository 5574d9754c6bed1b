"""Statistics as LeRobot writes them, of an episode and of a dataset. Memory is that of one episode's columns.

Pictures are counted in a histogram of 256 levels a channel, from which every statistic follows exactly.
Source: lerobot 0.6.1, `compute_stats.py`. Departures: quantiles are exact instead of read off 5000 bins; pictures are
an episode's key frames, at most 16, instead of length ** 0.75 frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Stats = dict[str, Any]  # "min" ... "q99": nested lists of floats; "count": [n]
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_STRIDE_FROM = 300  # pixels of the longer side: larger pictures are thinned to about 150


def column_stats(columns: Mapping[str, Array]) -> dict[str, Stats]:
    """`columns`: [T] or [T, n] of numbers or booleans, all of one length. Every statistic has n values."""
    rows = {name: values.reshape(len(values), -1) for name, values in columns.items()}
    bounds = np.cumsum([0, *(values.shape[1] for values in rows.values())])
    matrix = np.concatenate([values.astype(np.float64) for values in rows.values()], axis=1)  # one pass for all
    found = {
        "min": matrix.min(axis=0),
        "max": matrix.max(axis=0),
        "mean": matrix.mean(axis=0),
        "std": matrix.std(axis=0),
    }
    found |= dict(zip(QUANTILES, np.quantile(matrix, list(QUANTILES.values()), axis=0), strict=True))
    return {
        name: {key: values[start:end].tolist() for key, values in found.items()} | {"count": [len(matrix)]}
        for name, start, end in zip(rows, bounds, bounds[1:], strict=False)
    }


class PictureStats:
    """Of uint8 [H, W, 3] pictures, in 0..1, each statistic of shape (3, 1, 1)."""

    def __init__(self) -> None:
        self._levels_C256 = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, picture: Array) -> None:
        side = max(picture.shape[:2])
        stride = max(1, side // 150) if side > _STRIDE_FROM else 1
        thinned = picture[::stride, ::stride]
        self._levels_C256 += np.stack([np.bincount(thinned[..., c].reshape(-1), minlength=256) for c in range(3)])
        self._pictures += 1

    def stats(self) -> Stats:
        """Raises: ValueError without a picture."""
        if not self._pictures:
            raise ValueError("no picture was seen")
        level = np.arange(256) / 255
        share = self._levels_C256 / self._levels_C256.sum(axis=1, keepdims=True)
        mean = share @ level
        std = np.sqrt(np.maximum(share @ level**2 - mean**2, 0))
        reached = np.cumsum(self._levels_C256, axis=1)
        total = reached[:, -1:]
        found = {name: level[(reached < total * q).sum(axis=1)] for name, q in QUANTILES.items()}
        present = self._levels_C256 > 0
        found |= {"min": level[present.argmax(axis=1)], "max": level[255 - present[:, ::-1].argmax(axis=1)]}
        found |= {"mean": mean, "std": std}
        return {name: values.reshape(3, 1, 1).tolist() for name, values in found.items()} | {"count": [self._pictures]}


def aggregate_stats(episodes: Iterable[dict[str, Stats]]) -> dict[str, Stats]:
    """Merge episodes' statistics by feature: pooled mean and deviation, the widest of quantiles."""
    merged: dict[str, _Merged] = {}
    for episode in episodes:
        for feature, stats in episode.items():
            merged.setdefault(feature, _Merged()).add(stats)
    return {feature: entry.stats() for feature, entry in merged.items()}


class _Merged:
    def __init__(self) -> None:
        self._count = 0
        self._mean = self._square = np.zeros(())
        self._lowest: dict[str, Array] = {}
        self._highest: dict[str, Array] = {}

    def add(self, stats: Stats) -> None:
        count = int(stats["count"][0])
        mean, std = np.asarray(stats["mean"]), np.asarray(stats["std"])
        total = self._count + count
        step = mean - self._mean
        # Chan et al.: pooled without the cancellation of a sum of squares.
        self._square = self._square + std**2 * count + step**2 * (self._count * count / total)
        self._mean = self._mean + step * (count / total)
        self._count = total
        for name in stats.keys() - {"count", "mean", "std"}:
            is_low = name == "min" or QUANTILES.get(name, 1) <= 0.5
            keep, pick = (self._lowest, np.minimum) if is_low else (self._highest, np.maximum)
            values = np.asarray(stats[name])
            keep[name] = pick(keep[name], values) if name in keep else values

    def stats(self) -> Stats:
        found = {**self._lowest, **self._highest, "mean": self._mean, "std": np.sqrt(self._square / self._count)}
        names = [name for name in ("min", "max", "mean", "std", *QUANTILES) if name in found]
        return {name: found[name].tolist() for name in names} | {"count": [self._count]}
