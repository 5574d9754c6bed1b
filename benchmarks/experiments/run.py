"""One run of an experiment: `python -m benchmarks.experiments.run SPEC.json --bases DIR --out DIR [--human-frames N]`.

A finished run is not repeated, a killed one begins again (minutes). Writes OUT/result.json, last, and OUT/policy/.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.experiments.rollout import MemoryEpisodes, Simulator
from benchmarks.experiments.spec import EVALUATION_SEED, RunSpec, read_spec
from benchmarks.experiments.statistics import wilson
from benchmarks.experiments.virtual_fleet import Published, VirtualFleet
from fleet.protocol.policy import Policy
from learner.checkpoint import write_checkpoint
from learner.config import RunConfig, from_mapping
from learner.data.index import folder_episodes
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import build_trainer

SUPERVISOR: dict[str, Any] = {}  # its defaults


def evaluate(simulator: Simulator, policy: Policy, tasks: tuple[str, ...], episodes: int) -> dict[str, Any]:
    """Run `episodes` unassisted episodes of each task on the evaluation seeds."""
    by_task = {
        task: sum(simulator.unassisted(task, policy, seed=EVALUATION_SEED + k) for k in range(episodes))
        for task in tasks
    }
    successes, n = sum(by_task.values()), episodes * len(tasks)
    low, high = wilson(successes, n)
    return {"by_task": by_task, "successes": successes, "n": n, "low": round(low, 3), "high": round(high, 3)}


def totals(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the fleet's episodes. Frames are control steps; robot minutes exclude resets."""
    return {
        "episodes": len(episodes),
        "frames": sum(e["steps"] for e in episodes),
        "human_frames": sum(e["human_steps"] for e in episodes),
        "interventions": sum(e["interventions"] for e in episodes),
        "successes": sum(e["is_success"] for e in episodes),
        "autonomous_successes": sum(e["is_success"] and e["human_steps"] == 0 for e in episodes),
    }


def run(spec: RunSpec, *, base: Path, out: Path, human_frames: int | None) -> dict[str, Any]:
    """Run one spec on the base policy and demonstrations in `base`; return what result.json will hold."""
    torch.set_num_threads(1)
    began = time.monotonic()
    stored, manifests = folder_episodes(base / "demonstrations")
    simulator = Simulator({m.task_slug: m.instruction for m in manifests}, SUPERVISOR)
    config = from_mapping(RunConfig, spec.config | {"seed": spec.seed})
    source = MemoryEpisodes(stored)
    trainer = build_trainer(read_policy_directory(base / "policy")[1], source, config)
    trainer.ingest([m for m in manifests if m.task_slug in spec.evaluated])
    # A copy of the trainer's network, not of the base: an algorithm may have given it further inputs.
    published = Published(copy.deepcopy(trainer.network), trainer.ema_head())
    points: list[dict[str, Any]] = []

    def at_point(minutes: float, episodes: list[dict[str, Any]]) -> None:
        found = evaluate(simulator, published.load(), spec.evaluated, spec.point_episodes)
        points.append({"minutes": minutes, "step": trainer.gradient_steps, **totals(episodes), "evaluation": found})
        print(json.dumps({"run": spec.name, "minutes": minutes, **found}), flush=True)

    fleet = VirtualFleet(spec, simulator, trainer, source, published, human_frames=human_frames, at_point=at_point)
    fleet.run()
    published.publish(trainer.ema_head())
    final = evaluate(simulator, published.load(), spec.evaluated, spec.episodes)
    write_policy_directory(trainer.artifact(run_id=None, parent_id=None), out / "policy")
    simulator.close()
    return {
        "spec": msgspec.to_builtins(spec),
        "final": final,
        "online": totals(fleet.episodes),
        "points": points,
        "learner": trainer.summary().to_json(),
        "episodes": fleet.episodes,
        "steps": trainer.gradient_steps,
        "wall_s": round(time.monotonic() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--bases", type=Path, required=True, help="folder of bases.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--human-frames", type=int, help="a batch ends when it has so many")
    arguments = parser.parse_args()
    spec = read_spec(arguments.spec.read_bytes())
    path = arguments.out / "result.json"
    if path.is_file():
        print(f"{path} exists: nothing to do")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    base = arguments.bases / spec.base
    result = run(spec, base=base, out=arguments.out, human_frames=arguments.human_frames)
    write_checkpoint(path, json.dumps(result, indent=1).encode())
    print(json.dumps({"run": spec.name, "final": result["final"], **result["online"], "wall_s": result["wall_s"]}))


if __name__ == "__main__":
    main()
