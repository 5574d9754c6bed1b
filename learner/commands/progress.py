"""How commands talk while they work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm import tqdm


def progress(steps: Sequence[int], label: str) -> Iterator[int]:
    """Show a bar of the steps as they are taken."""
    return iter(tqdm(steps, desc=label, unit="step", mininterval=1.0))
