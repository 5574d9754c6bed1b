"""How good a value function is on frames it was not fitted to. Pure numpy. N frames.

Used for the run's metrics (`algorithm.py`) and for the report of `python -m learner value` (`offline.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BINS = 10


def figures(value_N: Array, return_N: Array) -> dict[str, float]:
    """Return error, bias, spread and correlation of values against returns, both in [-1, 0]; at least one frame.

    error: mean |V - R|. bias: mean V - R, above 0 where it hopes too much. spread: what the best constant would err; a
    value function is of use well below it. correlation: of Pearson, 0 where either does not vary.
    """
    value_N, return_N = value_N.astype(np.float64), return_N.astype(np.float64)
    deviations = value_N.std() * return_N.std()
    covariance = ((value_N - value_N.mean()) * (return_N - return_N.mean())).mean()
    return {
        "error": float(np.abs(value_N - return_N).mean()),
        "bias": float((value_N - return_N).mean()),
        "spread": float(np.abs(return_N - np.median(return_N)).mean()),
        "correlation": float(covariance / deviations) if deviations > 1e-12 else 0.0,
    }


def reliability(value_N: Array, return_N: Array, *, bins: int = BINS) -> list[dict[str, float]]:
    """Return the mean value and the mean return of each tenth of the frames, ordered by value.

    A calibrated function has both equal in every tenth. Fewer frames than bins give fewer bins.
    """
    order_N = np.argsort(value_N, kind="stable")
    return [
        {
            "frames": float(len(part)),
            "value": float(value_N[part].mean(dtype=np.float64)),
            "return": float(return_N[part].mean(dtype=np.float64)),
        }
        for part in np.array_split(order_N, min(bins, len(order_N)))
    ]
