"""Every fault of the catalogue, one after the other on a system that is never cleaned up in between: `make chaos`.

SOP_CHAOS_SEED decides their order and the moment at which each strikes; SOP_CHAOS_FAULTS names some, by commas.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.chaos.catalogue import LAYOUTS, SEED, Fault
from tests.chaos.every import FAULTS

_chosen = [name.strip() for name in os.environ.get("SOP_CHAOS_FAULTS", "").split(",") if name.strip()]


def in_order() -> list[Fault]:
    """Return the faults to run, those of one layout together. Raises: pytest.UsageError for a name nobody has."""
    unknown = set(_chosen) - {fault.name for fault in FAULTS}
    if unknown:
        names = ", ".join(fault.name for fault in FAULTS)
        raise pytest.UsageError(f"no such fault: {', '.join(sorted(unknown))}; there are {names}")
    faults = [fault for fault in FAULTS if not _chosen or fault.name in _chosen]
    random.Random(SEED).shuffle(faults)
    return sorted(faults, key=lambda fault: LAYOUTS.index(fault.layout))


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", in_order(), ids=lambda fault: fault.name)
def test_the_system_keeps_its_promises(fault: Fault, strike: Callable[[Fault], None]) -> None:
    """It recovers within four minutes, and every promise holds on robots, in rows and in objects."""
    strike(fault)
