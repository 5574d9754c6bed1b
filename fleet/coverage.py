"""What of the fleet somebody sees: all of it, or what their groups cover. Pure; selectors/people_group.py reads it.

A group covers robots, at all tasks or at some. Several groups add up pair by pair: who has robot A at task 1 by one
group and robot B at task 2 by another sees no episode of robot A at task 2. docs/people.md tells people.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

# Names no row. An empty list would do in the ORM, but `sql_with_params` of such a queryset raises EmptyResultSet.
NOTHING = uuid.UUID(int=0)


@dataclass(frozen=True)
class Part:
    """What one group covers: these robots, at these tasks (None: at all)."""

    robots: frozenset[uuid.UUID]
    tasks: frozenset[uuid.UUID] | None = None


@dataclass(frozen=True)
class Coverage:
    """`parts` None: the whole fleet; empty: nothing. Equal coverages compare and hash as equal."""

    parts: frozenset[Part] | None = None

    @property
    def is_whole(self) -> bool:
        return self.parts is None

    @property
    def has_all_tasks(self) -> bool:
        return self.parts is None or any(part.tasks is None for part in self.parts)

    @property
    def robot_ids(self) -> frozenset[uuid.UUID] | None:
        """None: all."""
        return None if self.parts is None else frozenset[uuid.UUID]().union(*(part.robots for part in self.parts))

    @property
    def robots_at_all_tasks(self) -> frozenset[uuid.UUID]:
        """Those of which nothing is hidden. Not of WHOLE, which lists no robots."""
        return frozenset[uuid.UUID]().union(*(part.robots for part in self.parts or () if part.tasks is None))

    def robots(self, field: str = "id") -> Q:
        """Return the condition on rows whose `field` is a robot's id."""
        ids = self.robot_ids
        return Q() if ids is None else _among(field, ids)

    def robots_at(self, task_id: uuid.UUID) -> frozenset[uuid.UUID] | None:
        """Return the robots whose episodes of this task are covered; None: all, also those of no robot."""
        if self.parts is None:
            return None
        parts = (part for part in self.parts if part.tasks is None or task_id in part.tasks)
        return frozenset[uuid.UUID]().union(*(part.robots for part in parts))

    def tasks(self, field: str = "id") -> Q:
        """Return the condition on rows whose `field` is a task's id."""
        if self.has_all_tasks:
            return Q()
        return _among(field, frozenset[uuid.UUID]().union(*(part.tasks or () for part in self.parts or ())))

    def episodes(self, prefix: str = "") -> Q:
        """Return the condition on episodes, their sums, or what `prefix` ("episode__") leads to.

        Episodes without a robot (imports, demonstrations) are of no site: nobody sees them by a group.
        """
        if self.parts is None:
            return Q()
        by_tasks: dict[frozenset[uuid.UUID] | None, frozenset[uuid.UUID]] = {}
        for part in self.parts:  # one condition for all robots with the same tasks: an index takes it in one scan
            by_tasks[part.tasks] = by_tasks.get(part.tasks, frozenset()) | part.robots
        found = [_pairs(prefix, robots, tasks) for tasks, robots in by_tasks.items()]
        return reduce(or_, found) if found else _among(f"{prefix}robot_id", ())


WHOLE = Coverage()
NOWHERE = Coverage(frozenset())


def _pairs(prefix: str, robots: frozenset[uuid.UUID], tasks: frozenset[uuid.UUID] | None) -> Q:
    found = _among(f"{prefix}robot_id", robots)
    return found if tasks is None else found & _among(f"{prefix}task_id", tasks)


def _among(field: str, ids: Iterable[uuid.UUID]) -> Q:
    return Q(**{f"{field}__in": sorted(ids) or [NOTHING]})
