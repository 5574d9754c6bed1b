"""SOP's loop in virtual time: N robots and a learner in one process, on any machine, without a server.

    python -m benchmarks.experiments.online --base DIR --episodes DIR --out DIR --robots 4 --minutes 15 --seed 0

Robots run at 10 control steps a second of virtual time plus the reset; the learner takes `--steps-per-minute` gradient
steps a virtual minute and robots take the newest EMA weights at each episode's start, as the fleet does. An episode
reaches the learner `--latency` virtual seconds after its end. Restartable: a finished run is not repeated, a killed one
begins again (minutes). Evaluation seeds are never used in training. Writes OUT/result.json and OUT/policy/.
"""

from __future__ import annotations

import argparse
import copy
import heapq
import json
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.experiments.rollout import MemoryEpisodes, Simulator, task_order
from fleet.protocol.policy import Policy
from fleet.protocol.recording import Outcome, is_human
from learner.config import RunConfig, from_mapping
from learner.data.index import folder_episodes
from learner.policies.base import HEAD, NetworkPolicy, PolicyNetwork
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import Trainer, build_trainer

EVALUATION_SEED = 9_000_000
ONLINE_SEED = 1_000_000


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a rate."""
    if n == 0:
        return 0.0, 1.0
    rate, square = successes / n, z * z
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * ((rate * (1 - rate) / n + square / (4 * n * n)) ** 0.5)
    return centre - half, centre + half


def evaluate(
    simulator: Simulator, policy: Policy, *, per_task: int, first_seed: int = EVALUATION_SEED
) -> dict[str, Any]:
    """Run `per_task` unassisted episodes of each task on fixed seeds."""
    by_task = {
        task: sum(simulator.unassisted(task, policy, seed=first_seed + k) for k in range(per_task))
        for task in simulator.instructions
    }
    successes, n = sum(by_task.values()), per_task * len(by_task)
    low, high = wilson(successes, n)
    return {"by_task": by_task, "successes": successes, "n": n, "low": round(low, 3), "high": round(high, 3)}


class Fleet:
    """Virtual robots, each with its own clock; the one that is furthest behind runs its next episode."""

    def __init__(self, arguments: argparse.Namespace, simulator: Simulator, trainer: Trainer, source: MemoryEpisodes):
        self._arguments = arguments
        self._simulator = simulator
        self._trainer = trainer
        self._source = source
        self._tasks = task_order(sorted(simulator.instructions), arguments.seed)
        self._arrivals: list[tuple[float, int, Any]] = []
        self._episodes: list[dict[str, Any]] = []
        self._learned_s = 0.0

    def run(self, actor: PolicyNetwork, report: Any) -> list[dict[str, Any]]:
        arguments = self._arguments
        clocks = [(0.0, robot) for robot in range(arguments.robots)]
        policy = NetworkPolicy(actor, device="cpu")
        next_report_s = arguments.report_minutes * 60.0
        while clocks[0][0] < arguments.minutes * 60.0:
            now_s, robot = clocks[0]
            self._learn_until(now_s)
            if now_s >= next_report_s:
                report(now_s / 60.0, self._trainer, self._episodes)
                next_report_s += arguments.report_minutes * 60.0
            _load(actor, self._trainer)
            ended_s = now_s + self._episode(policy, robot, now_s)
            heapq.heapreplace(clocks, (ended_s, robot))
        self._learn_until(arguments.minutes * 60.0)
        return self._episodes

    def _episode(self, policy: Policy, robot: int, now_s: float) -> float:
        """Run one episode; return how long it took in virtual seconds, reset included."""
        task, number = next(self._tasks), len(self._episodes)
        seed = ONLINE_SEED + 10_000 * self._arguments.seed + number
        recording = self._simulator.supervised(task, policy, seed=seed, robot=f"robot-{robot}")
        duration_s = recording.steps / 10.0 + self._arguments.reset_s
        manifest = self._source.put(recording)
        heapq.heappush(self._arrivals, (now_s + duration_s + self._arguments.latency, number, manifest))
        self._episodes.append(
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

    def _learn_until(self, now_s: float) -> None:
        while self._arrivals and self._arrivals[0][0] <= now_s:
            arrived_s, _, manifest = heapq.heappop(self._arrivals)
            self._steps_until(arrived_s)
            self._trainer.ingest([manifest])
        if not self._arrivals:
            self._source.drop_frames()
        self._steps_until(now_s)

    def _steps_until(self, now_s: float) -> None:
        if now_s <= self._learned_s:
            return
        for _ in range(round((now_s - self._learned_s) / 60.0 * self._arguments.steps_per_minute)):
            self._trainer.step()
        self._learned_s = now_s


def _load(actor: PolicyNetwork, trainer: Trainer) -> None:
    state, ema = actor.blob_state(HEAD), trainer.ema_head()
    for name, tensor in state.items():
        tensor.copy_(ema[name])


def _summary(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    steps, human = sum(e["steps"] for e in episodes), sum(e["human_steps"] for e in episodes)
    alone = sum(e["is_success"] and e["human_steps"] == 0 for e in episodes)
    return {
        "episodes": len(episodes),
        "robot_minutes": round(steps / 600, 1),
        "human_minutes": round(human / 600, 1),
        "successes": sum(e["is_success"] for e in episodes),
        "autonomous_successes": alone,
        "by_task": {
            task: [
                sum(e["is_success"] and e["human_steps"] == 0 for e in episodes if e["task"] == task),
                sum(e["is_success"] for e in episodes if e["task"] == task),
                sum(e["task"] == task for e in episodes),
            ]
            for task in sorted({e["task"] for e in episodes})
        },
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one experiment; return what is written to result.json."""
    torch.set_num_threads(1)
    began = time.monotonic()
    stored, manifests = folder_episodes(arguments.episodes)
    simulator = Simulator({m.task_slug: m.instruction for m in manifests}, json.loads(arguments.supervisor))
    config = from_mapping(RunConfig, json.loads(arguments.config) | {"seed": arguments.seed})
    _, network = read_policy_directory(arguments.base)
    source = MemoryEpisodes(stored)
    trainer = build_trainer(network, source, config)
    trainer.ingest(manifests)
    actor = copy.deepcopy(trainer.network)  # not the base: an algorithm may have given it further inputs
    points: list[dict[str, Any]] = []

    def report(minutes: float, trainer: Trainer, episodes: list[dict[str, Any]]) -> None:
        _load(actor, trainer)
        point = {"minutes": round(minutes, 1), "step": trainer.gradient_steps, **_summary(episodes)}
        point["evaluation"] = evaluate(
            simulator, NetworkPolicy(actor, device="cpu"), per_task=arguments.report_per_task
        )
        point["learner"] = trainer.summary().to_json()
        points.append(point)
        print(json.dumps({key: point[key] for key in ("minutes", "step", "episodes", "human_minutes", "evaluation")}))

    base = evaluate(simulator, NetworkPolicy(actor, device="cpu"), per_task=arguments.per_task)
    print("base", json.dumps(base), flush=True)
    episodes = Fleet(arguments, simulator, trainer, source).run(actor, report)
    _load(actor, trainer)
    final = evaluate(simulator, NetworkPolicy(actor, device="cpu"), per_task=arguments.per_task)
    write_policy_directory(trainer.artifact(run_id=None, parent_id=None), arguments.out / "policy")
    simulator.close()
    settings = {key: value for key, value in vars(arguments).items() if not isinstance(value, Path)}
    return {
        "settings": settings,
        "base": base,
        "final": final,
        "online": _summary(episodes),
        "points": points,
        "episodes": episodes,
        "steps": trainer.gradient_steps,
        "wall_s": round(time.monotonic() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="policy directory")
    parser.add_argument("--episodes", type=Path, required=True, help="folder of demonstrations")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--robots", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-per-minute", type=int, default=1200)
    parser.add_argument("--latency", type=float, default=10.0, help="virtual seconds from episode end to the learner")
    parser.add_argument("--reset-s", type=float, default=1.0)
    parser.add_argument("--config", default="{}", help="RunConfig, JSON")
    parser.add_argument("--supervisor", default="{}", help="options of the scripted supervisor, JSON")
    parser.add_argument("--per-task", type=int, default=60, help="evaluation episodes a task, base and final")
    parser.add_argument("--report-minutes", type=float, default=5.0)
    parser.add_argument("--report-per-task", type=int, default=20)
    arguments = parser.parse_args()
    path = arguments.out / "result.json"
    if path.is_file():
        print(f"{path} exists: nothing to do")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = run(arguments)
    path.write_text(json.dumps(result, indent=1))
    print("final", json.dumps(result["final"]), json.dumps(result["online"]), f"{result['wall_s']} s")


if __name__ == "__main__":
    main()
