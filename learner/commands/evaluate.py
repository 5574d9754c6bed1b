"""`python -m learner evaluate`: how well a policy imitates episodes that it was not trained on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from learner.checkpoint import write_checkpoint
from learner.commands.episodes import add_episode_arguments, inputs_of
from learner.data.masks import FrameRule
from learner.data.sources import open_episodes
from learner.device import find_device
from learner.evaluation import EvaluationConfig, evaluate, format_scores
from learner.publisher import read_policy_directory


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="loss and action error of a policy on held-out episodes",
        description="Figures of imitation on recorded states, with 95 %% bootstrap intervals over episodes. "
        "Whether the policy succeeds is measured in closed loop: python -m fleet.daemon evaluate.",
    )
    defaults = EvaluationConfig()
    parser.add_argument("--policy", type=Path, required=True, help="policy directory")
    add_episode_arguments(parser)
    parser.add_argument("--rule", type=FrameRule, choices=list(FrameRule), default=defaults.rule, help="which frames")
    parser.add_argument("--seeds", type=int, default=defaults.seeds, help="draws of noise for each frame")
    parser.add_argument("--stride", type=int, default=defaults.stride, help="take every how many-th frame")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--out", type=Path, help="JSON file to write besides the table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, SopError, ValueError if nothing is left to evaluate on, OSError."""
    config = EvaluationConfig(rule=arguments.rule, seeds=arguments.seeds, stride=arguments.stride)
    manifest, network = read_policy_directory(arguments.policy)
    source, episodes = open_episodes(
        arguments.episodes, features=dict(arguments.camera), inputs=inputs_of(network.shapes)
    )
    scores = evaluate(network.to(find_device(arguments.device)), source, episodes, config)
    print(format_scores(scores))
    if arguments.out is not None:
        result = {
            "policy": manifest.version_id,
            "step": manifest.step,
            "rule": config.rule,
            "seeds": config.seeds,
            "stride": config.stride,
            "scores": msgspec.to_builtins(scores),
        }
        write_checkpoint(arguments.out, json.dumps(result, indent=1).encode())
    return 0
