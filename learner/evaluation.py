"""How well a policy fits episodes that it was not trained on: without a robot, a simulator or a server.

Called by `python -m learner evaluate`, and by `train` for what it holds out. For each task and source, over the frames
that imitation learns from: the flow-matching loss, and the error of sampled chunks in the part that a robot would
execute. Both are figures of imitation. Whether the task succeeds is told by `python -m fleet.daemon evaluate` alone: a
policy that errs little on recorded states may fail on its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from fleet.protocol.errors import RecordingError
from fleet.protocol.recording import EpisodeManifest
from learner.config import ConfigError
from learner.data.index import EpisodeSource, FittingEpisodes, IndexedEpisode, index_episode
from learner.data.masks import FrameRule, carrying_frames, chunk_mask
from learner.device import send
from learner.metrics import source_name
from learner.policies.base import ChunkBatch, PolicyNetwork
from learner.trainer import encode_images

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
RESAMPLES = 2000
LEVEL = 0.95
ROWS = 256  # evaluated at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """`seeds`: how many draws of noise each frame gets. `stride`: every how many-th frame of an episode is taken.
    `rule`: which frames count (masks.py).
    """

    rule: FrameRule = FrameRule.INTERVENTION_AND_SUCCESS
    seeds: int = 4
    stride: int = 1

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.stride < 1:
            raise ConfigError("seeds and stride must be positive")


class EpisodeScore(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one episode: `losses` of all `actions` of its chunks, `squares` of the errors of executed `values`."""

    task: str
    source: str
    frames: int
    losses: float
    actions: float
    squares: float
    values: float


class Interval(msgspec.Struct, frozen=True):
    """A figure and its 95 % bootstrap interval over episodes; None where one episode gives none."""

    value: float
    low: float | None
    high: float | None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the result. `action_rmse`: in units of the action's range [-1, 1]."""

    task: str
    source: str
    episodes: int
    frames: int
    loss: Interval
    action_rmse: Interval


def evaluate(
    network: PolicyNetwork, source: EpisodeSource, manifests: Iterable[EpisodeManifest], config: EvaluationConfig
) -> list[Score]:
    """Score a policy, in order of task and source, and over all tasks last. What cannot be read is left out.

    Raises: ValueError if no frame is left.
    """
    shapes = network.shapes
    fitting = FittingEpisodes(
        source,
        proprio_dim=shapes.proprio_dim,
        action_dim=shapes.action_dim,
        cameras=shapes.cameras,
        is_whole=network.sees_whole_pictures,
    )
    scores = list(_episode_scores(network, fitting, manifests, config))
    if not scores:
        raise ValueError(f"there is no frame to evaluate on under the rule '{config.rule}'")
    groups: dict[tuple[str, str], list[EpisodeScore]] = {}
    for score in sorted(scores, key=lambda score: (score.task, score.source)):
        groups.setdefault((score.task, score.source), []).append(score)
    lines = [_summarise(task, part, group) for (task, part), group in groups.items()]
    return [*lines, _summarise("all", "all", scores)]


def flatten_scores(scores: Sequence[Score]) -> dict[str, float]:
    """Return the figures by name: held_out/<task>/<source>/{loss,action_rmse}."""
    values: dict[str, float] = {}
    for score in scores:
        values[f"held_out/{score.task}/{score.source}/loss"] = score.loss.value
        values[f"held_out/{score.task}/{score.source}/action_rmse"] = score.action_rmse.value
    return values


def format_scores(scores: Sequence[Score]) -> str:
    """Return the scores as a table."""
    width = max(len(name) for name in ("task", *(score.task for score in scores)))
    head = f"{'task':{width}} {'source':8} {'episodes':>8} {'frames':>7}  {'loss [95 %]':24}  {'action RMSE [95 %]':24}"
    lines = [
        f"{score.task:{width}} {score.source:8} {score.episodes:8} {score.frames:7}  "
        f"{_format(score.loss):24}  {_format(score.action_rmse):24}"
        for score in scores
    ]
    return "\n".join([head, *lines])


def _format(interval: Interval) -> str:
    if interval.low is None:
        return f"{interval.value:.4f}"
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def _episode_scores(
    network: PolicyNetwork,
    source: EpisodeSource,
    manifests: Iterable[EpisodeManifest],
    config: EvaluationConfig,
) -> Iterator[EpisodeScore]:
    for number, manifest in enumerate(manifests):
        episode = index_episode(manifest)
        frames_N = carrying_frames(episode.classes_T, config.rule)[:: config.stride]
        if not len(frames_N):
            continue
        try:
            yield _score(network, source, episode, frames_N, seed=number, seeds=config.seeds)
        except (RecordingError, OSError) as error:
            event = {"episode": manifest.episode_id, "error": str(error)}
            logger.warning("episode left out of the evaluation", extra={"event": event})


def _score(
    network: PolicyNetwork, source: EpisodeSource, episode: IndexedEpisode, frames_N: Array, *, seed: int, seeds: int
) -> EpisodeScore:
    """Score the stated frames of an episode. The noise follows from `seed`."""
    manifest = episode.manifest
    steps = source.steps(manifest)
    images = {camera.name: source.frames(manifest, camera.name) for camera in network.shapes.cameras}
    features_TF = encode_images(network, images, manifest.instruction)
    generator = torch.Generator().manual_seed(seed)
    sums_4 = np.zeros(4)
    for part_B in np.array_split(frames_N, -(-len(frames_N) // ROWS)):
        batch = _batch(network, episode, features_TF, steps["observation.state"], steps["action"], part_B)
        for _ in range(seeds):
            sums_4 += _sums(network, batch, generator)
    losses, actions, squares, values = sums_4.tolist()
    return EpisodeScore(
        task=manifest.task_slug,
        source=source_name(is_online=episode.is_online),
        frames=len(frames_N),
        losses=losses,
        actions=actions,
        squares=squares,
        values=values,
    )


def _sums(network: PolicyNetwork, batch: ChunkBatch, generator: torch.Generator) -> Array:
    """Return the sums of `EpisodeScore` of one batch and one draw of noise, float64 [4]."""
    device = batch.features_BF.device
    noise = network.draw_noise(len(batch.features_BF), generator=generator)
    with torch.no_grad():
        losses_BH = network.chunk_losses(batch, {name: send(tensor, device) for name, tensor in noise.items()})
        sampled_BHA = network.sample_chunk(batch.features_BF, batch.state_BP, batch.language_BL, generator=generator)
    executed = slice(0, network.execute_steps)
    valid_BH1 = batch.valid_BH[:, executed, None]
    squares = ((sampled_BHA - batch.actions_BHA)[:, executed].square() * valid_BH1).sum()
    values = valid_BH1.sum() * sampled_BHA.shape[2]
    sums_4: Tensor = torch.stack([losses_BH.sum(), batch.valid_BH.sum(), squares, values])
    return sums_4.double().cpu().numpy()


def _batch(
    network: PolicyNetwork,
    episode: IndexedEpisode,
    features_TF: Array,
    state_TP: Array,
    action_TA: Array,
    part_B: Array,
) -> ChunkBatch:
    device = network.device
    horizon = network.shapes.horizon
    padded_TA = np.concatenate([action_TA, np.zeros((horizon, action_TA.shape[1]), dtype=np.float32)])
    language = network.embed(episode.manifest.instruction)
    return ChunkBatch(
        features_BF=send(torch.from_numpy(features_TF[part_B]), device),
        state_BP=send(torch.from_numpy(state_TP[part_B]), device),
        language_BL=send(torch.tensor(language).expand(len(part_B), -1).contiguous(), device),
        actions_BHA=send(torch.from_numpy(padded_TA[part_B[:, None] + np.arange(horizon)]), device),
        valid_BH=send(torch.from_numpy(chunk_mask(part_B, episode.run_end_T[part_B], horizon)), device),
    )


def _summarise(task: str, source: str, scores: Sequence[EpisodeScore]) -> Score:
    losses, actions, squares, values = (
        np.array([getattr(score, name) for score in scores]) for name in ("losses", "actions", "squares", "values")
    )
    return Score(
        task=task,
        source=source,
        episodes=len(scores),
        frames=sum(score.frames for score in scores),
        loss=_bootstrap(losses, actions, power=1.0),
        action_rmse=_bootstrap(squares, values, power=0.5),
    )


def _bootstrap(sums_N: Array, counts_N: Array, *, power: float) -> Interval:
    """Return (sum / count) ** power and its interval from episodes drawn with replacement, always the same ones."""
    value = float((sums_N.sum() / counts_N.sum()) ** power)
    if len(sums_N) < 2:
        return Interval(value, None, None)
    picked_RN = np.random.default_rng(0).integers(0, len(sums_N), (RESAMPLES, len(sums_N)))
    drawn_R = (sums_N[picked_RN].sum(axis=1) / counts_N[picked_RN].sum(axis=1)) ** power
    low, high = np.quantile(drawn_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
