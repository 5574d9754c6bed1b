"""Traces of the learner's rounds: which episodes a round drew first, and the version that came of it.

An episode's trace ends with `learner.first_draw`, linked to the round; the version's publish is linked to the episodes
that were drawn for the first time since the version before. Without Django and Celery; called by `tasks.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager

from fleet.protocol import tracing
from fleet.protocol.recording import EpisodeManifest


class Draws:
    """Of one training run, in the process that trains it."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}  # of episodes not drawn yet: id -> traceparent
        self._fresh: list[str] = []  # drawn since the last publish

    def known(self, manifest: EpisodeManifest) -> None:
        """An episode may be drawn from now on; one whose robot did not trace costs nothing."""
        if tracing.is_on() and manifest.traceparent:
            self._waiting[manifest.episode_id] = manifest.traceparent

    def drawn(self, episode_ids: Iterable[str]) -> None:
        """These were drawn for the first time, a flush ago at most (FLUSH_S of tasks.py)."""
        now_ns, round_ = time.time_ns(), tracing.current()
        for episode_id in episode_ids:
            parent = self._waiting.pop(episode_id, "")
            if parent:
                about = {"sop.episode": episode_id}
                tracing.record(
                    "learner.first_draw",
                    start_ns=now_ns,
                    end_ns=now_ns,
                    parent=parent,
                    links=(round_,),
                    attributes=about,
                )
                self._fresh.append(parent)

    def published(self, step: int) -> AbstractContextManager[tracing.Work]:
        """Trace the publish of a version that learned from what was drawn."""
        fresh, self._fresh = self._fresh, []
        newest = fresh[-tracing.LINKS :]
        about = {"sop.step": step, "sop.episodes": len(fresh)}
        return tracing.span("learner.publish", links=newest, attributes=about)
