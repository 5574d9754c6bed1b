"""One candidate that proposes beside the version that drives. Its proposals go to a summary, and nowhere else.

The control thread hands over what the executing policy was asked about (`begin`, `look`) and gets nothing back, by
type: whatever the candidate says, or however long it takes, no action can come of it. A thread of its own asks the
shadow process, one question at a time; one more may wait, and what comes while one waits is skipped and counted. The
writer's thread asks for the summary of a closed episode.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fleet.daemon import shadow_wire as wire
from fleet.daemon.config_report import ShadowConfig
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.shadow_distance import Proposed, episode_distances
from fleet.daemon.shadow_process import ShadowDied, ShadowProcess, ShadowRefused
from fleet.protocol.messages import ShadowEpisode, ShadowOrder, ShadowState
from fleet.protocol.policy import Observation

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
KEPT_TRACES = 3  # the episode that runs, the one that is written, and the one that waits for it
RESTART_S = 2.0
LOOK_S = 0.2  # how often a thread without a question looks whether it shall end


class Onlooker(Protocol):
    """Sees what the executing policy is asked about. Neither answers nor waits: the control loop goes on as if nobody
    looked."""

    def begin(self, spec: EpisodeSpec, *, is_free: bool) -> None:
        """An episode begins. `is_free`: nobody drives across its beginning; else no shadow begins with it."""

    def look(self, step: int, observation: Observation) -> None:
        """At this step the executing policy planned anew, from this observation. Its arrays are not changed later."""


@dataclass
class _Trace:
    """One episode's proposals. Guarded by ShadowRun's lock but for `spec`."""

    spec: EpisodeSpec
    instants: list[int] = field(default_factory=list)
    asked: int = 0
    waiting: int = 0
    answers: dict[int, Array] = field(default_factory=dict)
    inference_ms: float = 0.0


@dataclass(frozen=True)
class _Question:
    trace: _Trace
    step: int
    observation: Observation


class ShadowRun:
    """One order carried out: `start` and `stop` belong to the event loop, `begin` and `look` to the control thread,
    `summary` to the writer's."""

    def __init__(
        self,
        order: ShadowOrder,
        load: wire.Load,
        config: ShadowConfig,
        report: Callable[[ShadowState, str, str], None],
    ) -> None:
        """`report` is called from the shadow's thread: RUNNING when loaded, REFUSED with code and message."""
        self._order = order
        self._load = load
        self._config = config
        self._report = report
        self._changed = threading.Condition()
        self._traces: dict[str, _Trace] = {}
        self._trace: _Trace | None = None  # of the running episode; the control thread's
        self._questions: queue.Queue[_Question] = queue.Queue(maxsize=1)
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._process: ShadowProcess | None = None
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no more questions; the process ends by itself within moments. Nothing waits for it."""
        self._ending.set()
        process = self._process
        if process is not None:
            process.hang_up()

    def join(self) -> None:
        """Wait until thread and process are gone."""
        self._thread.join()

    # --- Control thread: never waits ---------------------------------------------------------------------------------

    def begin(self, spec: EpisodeSpec, *, is_free: bool) -> None:
        """See Onlooker. The version that drives is no shadow of itself."""
        was_looking, self._trace = self._trace is not None, None
        is_ready = self._ready.is_set() and not self._ending.is_set()
        is_over = time.time_ns() >= self._order.ends_ns
        if not is_ready or is_over or not (is_free or was_looking):
            return
        if spec.policy_version_id == self._order.policy.version_id:
            return
        trace = _Trace(spec)
        with self._changed:
            self._traces[spec.episode_id] = trace
            for episode_id in list(self._traces)[:-KEPT_TRACES]:
                del self._traces[episode_id]
        self._trace = trace

    def look(self, step: int, observation: Observation) -> None:
        """See Onlooker."""
        trace = self._trace
        if trace is None:
            return
        with self._changed:
            trace.instants.append(step)
            count = len(trace.instants)
            if int(count * self._order.share) == int((count - 1) * self._order.share):
                return
            trace.asked += 1
            try:
                self._questions.put_nowait(_Question(trace, step, observation))
            except queue.Full:
                return
            trace.waiting += 1

    # --- Writer's thread ---------------------------------------------------------------------------------------------

    def summary(self, recording: EpisodeRecording) -> ShadowEpisode | None:
        """Return what was proposed in a closed episode, None if it was not shadowed. Asked once an episode."""
        with self._changed:
            trace = self._traces.pop(recording.spec.episode_id, None)
            if trace is None or not trace.asked:
                return None
            self._changed.wait_for(lambda: trace.waiting == 0 or self._ending.is_set(), self._config.drain_s)
            ends = [*trace.instants[1:], recording.steps]
            proposals = [
                Proposed(step, end, trace.answers[step])
                for step, end in zip(trace.instants, ends, strict=True)
                if step in trace.answers
            ]
            asked, instants, inference_ms = trace.asked, len(trace.instants), trace.inference_ms
        found = episode_distances(proposals, recording.arrays)
        return ShadowEpisode(
            shadow_id=self._order.shadow_id,
            instants=instants,
            asked=asked,
            answered=len(proposals),
            inference_ms=inference_ms / max(1, len(proposals)),
            policy=found.policy,
            human=found.human,
            own=found.own,
        )

    # --- The shadow's own thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        problem = ""
        for _ in range(self._config.restart_limit):
            if self._ending.is_set():
                return
            try:
                with ShadowProcess(self._config) as self._process:
                    process = self._process
                    process.load(self._load)
                    self._ready.set()
                    self._report(ShadowState.RUNNING, "", "")
                    self._answer(process)
                return
            except ShadowRefused as error:
                self._refuse(error.code, error.message)
                return
            except ShadowDied as error:
                problem = error.message
                logger.warning("the shadow process is gone: %s", problem)
            finally:
                self._process = None
                self._ready.clear()
                self._drop_questions()
            self._ending.wait(RESTART_S)
        self._refuse(ShadowDied.code, f"its process ended {self._config.restart_limit} times: {problem}")

    def _refuse(self, code: str, message: str) -> None:
        if self._ending.is_set():  # it was hung up on
            return
        logger.error("shadow of version %d refused: %s: %s", self._order.policy.number, code, message)
        self._report(ShadowState.REFUSED, code, message)

    def _answer(self, process: ShadowProcess) -> None:
        while not self._ending.is_set():
            try:
                question = self._questions.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            answer = None
            try:
                answer = process.ask(self._look_of(question))
            finally:
                self._note(question, answer)

    def _look_of(self, question: _Question) -> wire.Look:
        spec = question.trace.spec
        named = {"episode_id": spec.episode_id, "instruction": spec.instruction, "seed": spec.seed}
        return wire.look_of(question.observation, **named)  # type: ignore[arg-type]

    def _note(self, question: _Question, answer: wire.Answer | None) -> None:
        actions = wire.unpacked(answer.actions) if answer is not None and answer.actions is not None else None
        with self._changed:
            question.trace.waiting -= 1
            if answer is not None and actions is not None:
                question.trace.answers[question.step] = actions
                question.trace.inference_ms += answer.inference_ms
            self._changed.notify_all()

    def _drop_questions(self) -> None:
        while True:
            try:
                question = self._questions.get_nowait()
            except queue.Empty:
                return
            self._note(question, None)
