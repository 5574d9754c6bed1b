"""Two faults in a minute, which show that the suite is whole: `pytest tests/chaos/test_smoke.py -m chaos`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.catalogue import Fault
from tests.chaos.every import FAULTS

QUICK = [fault for fault in FAULTS if fault.is_quick]


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_quick_faults_break_no_promise(strike: Callable[[Fault], None]) -> None:
    """The web process and Redis are killed; each time everything works again and both sides agree."""
    assert len(QUICK) == 2
    for fault in QUICK:
        strike(fault)
