"""What a fault is, and the list that faults.py, disks.py and pairs.py fill."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.site import Layout, Site

MAIN = Layout("main")
BUCKET = Layout("bucket", store="s3", has_small_postgres=True)
CLOCKS = Layout("clocks", has_clocks=True)
LAYOUTS = (CLOCKS, BUCKET, MAIN)  # the order of a run

SEED = int(os.environ.get("SOP_CHAOS_SEED", "1"))  # decides the order, and when within a phase each fault strikes
OUTAGE_S = 9.0  # longer than the silence after which links give up (heartbeats are 2 s apart)
FROZEN_LEARNER_S = 22.0  # longer than SOP_RUN_STALE_S (15 s here): the other learner takes the run over
PHASE_S = 2.0
Strike = Callable[[Site, random.Random], str]


class Skipped(Exception):
    """This machine cannot do it; the message says why."""


@dataclass(frozen=True)
class Fault:
    """`name` is what FAULTS= chooses by, `says` the row's words."""

    name: str
    says: str
    strike: Strike
    layout: Layout = MAIN
    is_quick: bool = False  # part of test_smoke.py


FAULTS: list[Fault] = []


def fault(name: str, says: str, *, layout: Layout = MAIN, is_quick: bool = False) -> Callable[[Strike], Strike]:
    def register(strike: Strike) -> Strike:
        FAULTS.append(Fault(name, says, strike, layout, is_quick))
        return strike

    return register
