"""N robots and a learner on one virtual clock. Used by `run.py`.

Robots run 10 control steps a second of virtual time, plus the reset. The learner takes `steps_per_minute` gradient
steps a virtual minute and publishes its EMA weights every `publish_steps`; robots take the newest at each episode's
start, as the fleet does. An episode reaches the learner `latency_s` after its end.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from torch import Tensor

from benchmarks.experiments.rollout import MemoryEpisodes, Simulator, task_order
from benchmarks.experiments.spec import ONLINE_SEED, RunSpec
from fleet.protocol.policy import Policy
from fleet.protocol.recording import EpisodeManifest, Outcome, is_human
from learner.policies.base import HEAD, NetworkPolicy, PolicyNetwork
from learner.trainer import Trainer


class Published:
    """The newest published weights, and the one network that acts with them."""

    def __init__(self, actor: PolicyNetwork, head: dict[str, Tensor]) -> None:
        self._actor = actor
        self._head = head
        self.policy: Policy = NetworkPolicy(actor, device="cpu")
        self.load()

    def publish(self, head: dict[str, Tensor]) -> None:
        self._head = head

    def load(self) -> Policy:
        """Put the newest weights into the acting network, as a robot does at an episode boundary."""
        for name, tensor in self._actor.blob_state(HEAD).items():
            tensor.copy_(self._head[name])
        return self.policy


class VirtualFleet:
    """The robot that is furthest behind runs its next episode whole; the learner catches up before it."""

    def __init__(
        self,
        spec: RunSpec,
        simulator: Simulator,
        trainer: Trainer,
        source: MemoryEpisodes,
        published: Published,
        *,
        human_frames: int | None,
        at_point: Callable[[float, list[dict[str, Any]]], None],
    ) -> None:
        self._spec = spec
        self._simulator = simulator
        self._trainer = trainer
        self._source = source
        self._published = published
        self._human_frames = human_frames
        self._at_point = at_point
        self._tasks = task_order(sorted(spec.tasks), spec.seed)
        self._arrivals: list[tuple[float, int, EpisodeManifest]] = []
        self.episodes: list[dict[str, Any]] = []

    def run(self) -> None:
        """Run the fleet for the spec's minutes, then the learner for what it has not done yet."""
        end_s = self._spec.minutes * 60.0
        clocks = [(0.0, robot) for robot in range(self._spec.robots)]
        points = sorted(self._spec.points)
        while clocks[0][0] < end_s and not self._has_enough():
            now_s, robot = clocks[0]
            while points and points[0] * 60.0 <= now_s:
                self._learn_until(points[0] * 60.0)
                self._at_point(points.pop(0), self.episodes)
            self._learn_until(now_s)
            heapq.heapreplace(clocks, (now_s + self._episode(robot, now_s), robot))
        self._learn_until(end_s, is_over=True)
        for point in points:
            self._at_point(point, self.episodes)

    def _has_enough(self) -> bool:
        taken = sum(episode["human_steps"] for episode in self.episodes)
        return self._human_frames is not None and taken >= self._human_frames

    def _episode(self, robot: int, now_s: float) -> float:
        """Run one episode; return how long it took in virtual seconds, reset included."""
        task, number = next(self._tasks), len(self.episodes)
        seed = ONLINE_SEED + 10_000 * self._spec.seed + number
        policy = self._published.load()
        recording = self._simulator.supervised(task, policy, seed=seed, robot=f"robot-{robot}")
        duration_s = recording.steps / 10.0 + self._spec.reset_s
        arrival_s = now_s + duration_s + self._spec.latency_s
        heapq.heappush(self._arrivals, (arrival_s, number, self._source.put(recording)))
        self.episodes.append(
            {
                "task": task,
                "steps": recording.steps,
                "human_steps": recording.human_steps,
                "interventions": sum(is_human(s.mode, s.source) for s in recording.segments),
                "is_success": recording.outcome is Outcome.SUCCESS,
                "ended_s": round(now_s + duration_s, 1),
            }
        )
        return duration_s

    def _learn_until(self, now_s: float, *, is_over: bool = False) -> None:
        """Take in what has arrived by `now_s` and step in between; a batch steps only when its rollouts are over."""
        while self._arrivals and (self._arrivals[0][0] <= now_s or self._spec.mode == "batch"):
            arrived_s, _, manifest = heapq.heappop(self._arrivals)
            if self._spec.mode == "online":
                self._steps_until(arrived_s)
            self._trainer.ingest([manifest])
        if not self._arrivals:
            self._trainer.replay.settle()  # the pictures are about to go
            self._source.drop_frames()
        if self._spec.mode == "online" or is_over:
            self._steps_until(now_s)

    def _steps_until(self, now_s: float) -> None:
        """Counted from the start, so that rounding does not add up over many short waits."""
        while self._trainer.gradient_steps < round(now_s / 60.0 * self._spec.steps_per_minute):
            self._trainer.step()
            if self._trainer.gradient_steps % self._spec.publish_steps == 0:
                self._published.publish(self._trainer.ema_head())
