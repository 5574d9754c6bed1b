"""One site at a time for the faults of one layout; what a fault broke for good is not handed to the next."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.catalogue import SEED, Fault, Skipped
from tests.chaos.invariants import Invariants
from tests.chaos.recovery import Watch
from tests.chaos.site import Layout, Site, running_site
from tests.chaos.table import Row, write_table
from tests.stack.harness import write_demonstrations
from tests.stack.policies import write_random_policy

BUDGET_S = 27 * 60.0  # after that no fault begins, so that a run ends within half an hour on any machine
_rows: list[Row] = []
_began_at = time.monotonic()


class Sites:
    """Opens the site of a layout when a fault asks for it, and closes it when one of another layout does."""

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._make_folder = make_folder
        self._exits = contextlib.ExitStack()
        self._made = make_folder("chaos-inputs")
        self._inputs: tuple[Path, Path] | None = None
        self._open: tuple[Site, Invariants] | None = None

    def get(self, layout: Layout) -> tuple[Site, Invariants]:
        if self._open is None or self._open[0].layout != layout:
            self.close()
            if self._inputs is None:
                policy = write_random_policy(self._made / "policy", seed=1)
                self._inputs = policy, write_demonstrations(self._made / "demonstrations", count=3)
            policy, demonstrations = self._inputs
            folder = self._make_folder(f"chaos-{layout.name}")
            site = self._exits.enter_context(running_site(layout, folder, policy=policy, demonstrations=demonstrations))
            self._open = site, Invariants(site)
        return self._open

    def close(self) -> None:
        """End the present site; it has outlived its faults, so all of it is looked at once more."""
        opened, self._open = self._open, None
        with self._exits:
            if opened is not None:
                opened[1].check_at_rest()

    def discard(self) -> None:
        """End the present site as it is: a fault left it broken."""
        self._open = None
        self._exits.close()


@pytest.fixture(scope="session")
def sites(make_open_folder: Callable[[str], Path]) -> Iterator[Sites]:
    opened = Sites(make_open_folder)
    try:
        yield opened
        opened.close()
    finally:
        opened.discard()


@pytest.fixture
def strike(sites: Sites, capsys: pytest.CaptureFixture[str]) -> Callable[[Fault], None]:
    """Run one fault: strike, lift, wait for recovery, check every invariant, keep the row."""

    def run(fault: Fault) -> None:
        row = Row(fault)
        _rows.append(row)
        try:
            row.is_cut = time.monotonic() - _began_at > BUDGET_S
            if row.is_cut:
                raise Skipped("half an hour was over")
            _run(*sites.get(fault.layout), row)
        except Skipped as reason:
            row.skipped = str(reason)
            pytest.skip(str(reason))
        except KeyboardInterrupt:
            row.is_cut = True
            raise
        except BaseException as error:
            row.problem = str(error).partition("\n")[0] or type(error).__name__
            sites.discard()
            raise
        finally:
            with capsys.disabled():
                print(f"\n{row.line()}", flush=True)
            if page := os.environ.get("SOP_CHAOS_PAGE"):  # after each, so that a run that is ended keeps what was seen
                write_table(Path(page), _rows)

    return run


def _run(site: Site, invariants: Invariants, row: Row) -> None:
    site.steady()
    rng = random.Random(f"{SEED} {row.fault.name}")
    row.seen = row.fault.strike(site, rng)
    row.recovery = Watch.begin(site).wait()
    row.invariants = invariants.check()
