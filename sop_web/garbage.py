"""How often a web process looks for garbage in cycles.

Python's own thresholds suit a program with few objects. With a thousand links a process held 360,000, looked through
all of them every 3 s for 0.25 s each, in which no frame was read, and spent a quarter of its processor time on it
(docs/capacity.md). What is no cycle is freed at once as ever.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000  # made and not freed before the youngest are looked through: some MB, some 5 ms
YOUNG_LOOKS = 20  # before the next older ones are
MIDDLE_LOOKS = 20  # before all are, so after 20 million objects


def collect_seldom() -> None:
    """Call once when everything is imported: what is there then stays, and is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
