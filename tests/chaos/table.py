"""The table of docs/reliability.md: a row a fault, between two markers, each with time, seed and load.

A run of some faults replaces their rows and leaves the others as they were; so does what was cut by the time.
"""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.catalogue import SEED, Fault
from tests.chaos.every import FAULTS
from tests.chaos.recovery import Recovery

BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
BROKEN, NOT_RUN, IMPOSSIBLE = "**broken**", "not run", "not possible here"
HEAD = (
    "| fault | what | seen while it lasted | robots connected, s | new episode of each registered, s "
    "| learner stepped, s | promises | when |",
    "|---|---|---|---|---|---|---|---|",
)


@dataclass
class Row:
    """What one fault did. `problem`: the first thing that did not hold; `skipped`: why it was not tried here."""

    fault: Fault
    seen: str = ""
    recovery: Recovery = field(default_factory=Recovery)
    invariants: int = 0
    problem: str = ""
    skipped: str = ""
    is_cut: bool = False  # by the time a run may take: no news about this fault
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    at: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    def line(self) -> str:
        """Return the row as Markdown."""
        times = (self.recovery.connected_s, self.recovery.delivered_s, self.recovery.stepped_s)
        cells = [f"`{self.fault.name}`", self.fault.says]
        if self.skipped:
            cells += [f"{IMPOSSIBLE}: {self.skipped}", "", "", "", ""]
        else:
            held = f"{BROKEN}: {self.problem}" if self.problem else f"{self.invariants} hold"
            cells += [self.seen, *("–" if value is None else f"{value:.1f}" for value in times), held]
        cells.append(f"{self.at:%d %b %H:%M}, seed {SEED}, load {self.load:.0f}")
        return f"| {' | '.join(cell.replace('|', '/')[:300] for cell in cells)} |"


def render(rows: list[Row], *, before: str = "") -> str:
    """Return the table; rows that this run has no news about are taken from the one `before`."""
    kept = {line.split("`")[1]: line for line in before.splitlines() if line.startswith("| `")}
    kept |= {row.fault.name: row.line() for row in rows if not row.is_cut}
    lines = [kept.get(fault.name, f"| `{fault.name}` | {fault.says} | {NOT_RUN} yet | | | | | |") for fault in FAULTS]
    broken, missing, barred = (sum(word in line for line in lines) for word in (BROKEN, NOT_RUN, IMPOSSIBLE))
    text = (
        f"{len(lines)} faults: {len(lines) - broken - missing - barred} without a broken promise, {broken} with one, "
        f"{barred} not possible here, {missing} not run. {os.cpu_count()} cores of {platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, shared with other work: `load` counts the processes that wanted a "
        f"core, this suite's own included."
    )
    return "\n".join((BEGIN, text, "", *HEAD, *lines, END))


def write_table(page: Path, rows: list[Row]) -> None:
    """Replace what lies between the markers. Raises: ValueError if the page has none."""
    text = page.read_text()
    before, found, rest = text.partition(BEGIN)
    table, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{page} lacks the lines '{BEGIN}' and '{END}'")
    page.write_text(before + render(rows, before=table) + after)
