"""Every fault, in the order of the table: importing the modules that name them fills the catalogue's list."""

from __future__ import annotations

from tests.chaos import faults  # noqa: F401

# isort: split
from tests.chaos import disks, pairs  # noqa: F401
from tests.chaos.catalogue import FAULTS

__all__ = ["FAULTS"]
