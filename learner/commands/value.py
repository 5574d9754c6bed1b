"""`python -m learner value`: fit RECAP's value function to a folder of episodes, before any run.

Prints its figures on episodes that it was not fitted to, as JSON. A run uses the file by naming it: `value.file`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.fitted import encode_value, identity_of
from learner.algorithms.recap.offline import fit_offline
from learner.checkpoint import write_checkpoint
from learner.commands.episodes import add_episode_arguments, inputs_of
from learner.config import ConfigError, RunConfig, from_mapping, to_mapping
from learner.data.sources import open_episodes
from learner.publisher import read_policy_directory
from learner.trainer import build_trainer


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    value = commands.add_parser("value", help="fit RECAP's value function to episodes, and say how good it is")
    add_episode_arguments(value)
    value.add_argument("--policy", type=Path, required=True, help="policy directory whose backbone encodes them")
    value.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    value.add_argument("--config", type=Path, help="run configuration, JSON, of which algorithm_config is read")
    value.add_argument("--held-out", type=_share, default=0.2, help="share of episodes kept out of the fit")
    value.add_argument("--seed", type=int, default=0, help="of the fit and of which episodes are kept out")
    value.set_defaults(run=run)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("must be 0..1, below 1")
    return share


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, SopError, OSError."""
    values = json.loads(arguments.config.read_text()) if arguments.config else {}
    settings = from_mapping(RunConfig, values)
    config = from_mapping(RecapConfig, settings.algorithm_config, path="algorithm_config")
    if config.value.file is not None:
        raise ConfigError("value.file names a value function already; leave it out to fit one")
    _, network = read_policy_directory(arguments.policy)
    inputs = inputs_of(network.shapes)
    source, manifests = open_episodes(arguments.episodes, inputs=inputs, features=dict(arguments.camera))
    whole = RunConfig(algorithm="recap", algorithm_config=to_mapping(config), data=settings.data)
    trainer = build_trainer(network, source, whole)
    trainer.ingest(manifests)
    fitted, report = fit_offline(trainer.replay, config, held_out=arguments.held_out, seed=arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(arguments.out, encode_value(fitted, identity_of(network, config)))
    print(json.dumps({"file": str(arguments.out), **report}, indent=1))
    return 0
