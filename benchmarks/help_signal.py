"""How well the robot's own signs tell failing episodes from others: `python -m benchmarks.help_signal`.

Runs a policy alone on the simulated arm and looks at every episode with the rules of `fleet/daemon/help_gate.py`:
what measuring the disagreement of samples costs, how high each rule came in episodes that succeeded and that failed,
and how often each rule would have asked. The thresholds in `HelpConfig` were read off its output (docs/help.md).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.help_gate import HelpConfig, HelpGate, Situation
from fleet.protocol.authority import Mode
from fleet.protocol.policy import Policy, decode_policy_manifest
from learner.policies.registry import load_policy

CALLS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, required=True, help="folder with manifest.json and blobs")
    parser.add_argument("--tasks", nargs="+", default=["shelf-place", "box-close"])
    parser.add_argument("--episodes", type=int, default=20, help="of each task")
    parser.add_argument("--max-steps", type=int, default=250)
    options = parser.parse_args()
    policy = load(options.policy)
    driver = create_driver("metaworld", {"starts": "full", "renderer": "auto"})
    driver.connect()
    episodes = [
        episode(driver, policy, task, seed, options.max_steps)
        for task in options.tasks
        for seed in range(options.episodes)
    ]
    observation = driver.reset(options.tasks[0], seed=0)
    samples = HelpConfig().doubt_samples
    cost = {"infer": timed(lambda: policy.infer(observation))}
    cost[f"disagreement_{samples}"] = timed(lambda: policy.disagreement(observation, samples=samples))  # type: ignore[attr-defined]
    driver.close()
    print(json.dumps({"cost_ms": cost, "tasks": {task: summary(episodes, task) for task in options.tasks}}, indent=2))


def load(folder: Path) -> Policy:
    manifest = decode_policy_manifest((folder / "manifest.json").read_bytes())
    paths = {blob.sha256: folder / f"{blob.sha256}.safetensors" for blob in manifest.blobs}
    return load_policy(manifest, paths, device="cpu")


def timed(call: Any) -> dict[str, float]:
    durations_ms = []
    for _ in range(CALLS):
        began_s = time.perf_counter()
        call()
        durations_ms.append((time.perf_counter() - began_s) * 1e3)
    return {"p50": round(float(np.median(durations_ms)), 2), "p99": round(float(np.percentile(durations_ms, 99)), 2)}


def episode(driver: Any, policy: Any, task: str, seed: int, max_steps: int) -> dict[str, Any]:
    """Run one episode; return how high the rules came and which of them asked, in virtual time."""
    config = HelpConfig(late_share=1.0)  # asking late is right about every failure and says nothing
    gate, period_s = HelpGate(config), 1 / driver.info.control_rate_hz
    observation = driver.reset(task, seed=seed)
    policy.reset(instruction=driver.instructions[task], seed=seed)
    highest: dict[str, float] = {}
    asked: dict[str, int] = {}
    actions: list[Any] = []
    for step in range(max_steps):
        now_s = step * period_s
        is_due = step % round(config.doubt_period_s / period_s) == 0
        situation = Situation(
            mode=Mode.AUTONOMOUS,
            episode_id=str(seed),
            state=observation.state,
            step=step,
            max_steps=max_steps,
            doubt=policy.disagreement(observation, samples=config.doubt_samples) if is_due else None,
        )
        signal = gate.step(situation, now_s=now_s, now_ns=step)
        for name, level in gate.levels.items():
            highest[name] = max(highest.get(name, 0.0), level)
        if signal is not None:
            asked.setdefault(signal.reason, step)
        actions = actions or list(policy.infer(observation).actions[: policy.execute_steps])
        if driver.apply(actions.pop(0)).success:
            return {"task": task, "success": True, "highest": highest, "asked": asked}
        observation = driver.observe()
    return {"task": task, "success": False, "highest": highest, "asked": asked}


def summary(episodes: list[dict[str, Any]], task: str) -> dict[str, Any]:
    found = [item for item in episodes if item["task"] == task]
    wins, losses = ([item for item in found if item["success"] is won] for won in (True, False))
    rules = sorted({rule for item in found for rule in item["highest"]})
    return {
        "successes": len(wins),
        "failures": len(losses),
        "rules": {rule: _rule(rule, wins, losses) for rule in rules},
    }


def _rule(rule: str, wins: list[dict[str, Any]], losses: list[dict[str, Any]]) -> dict[str, Any]:
    """`level_*`: median of the episodes' highest levels. `auroc`: chance that a failure came higher than a success."""
    won, lost = (np.array([item["highest"][rule] for item in part]) for part in (wins, losses))
    higher = (lost[:, None] > won[None]) + 0.5 * (lost[:, None] == won[None])
    return {
        "level_success": round(float(np.median(won)), 3) if len(won) else None,
        "level_failure": round(float(np.median(lost)), 3) if len(lost) else None,
        "auroc": round(float(higher.mean()), 3) if higher.size else None,
        "asked_success": sum(rule in item["asked"] for item in wins),
        "asked_failure": sum(rule in item["asked"] for item in losses),
    }


if __name__ == "__main__":
    main()
