"""What a run's algorithm derived of an episode's frames, as the learner stored it beside the episode."""

from __future__ import annotations

import math
import uuid

from safetensors import SafetensorError
from safetensors.numpy import load

from fleet.errors import NotFound
from fleet.models import Episode
from fleet.selectors.objects import object_store
from fleet.storage import keys
from fleet.storage.base import ObjectMissing, StorageError, StoreUnavailable


def episode_has_sidecar(*, episode: Episode) -> bool:
    """Whether the run whose version drove this episode stored one of it; not while the store does not answer."""
    version = episode.policy_version
    if version is None:
        return False
    try:
        return object_store().exists(keys.run_sidecar(str(version.run_id), str(episode.id)))
    except StoreUnavailable:
        return False


def run_sidecar_columns(*, run_id: uuid.UUID, episode_id: uuid.UUID) -> dict[str, list[float | None]]:
    """Return each column by name, one number a frame, six digits; None where the learner had none (NaN).

    Raises: NotFound while the run has not looked at the episode, StorageError if the object cannot be read.
    """
    try:
        data = object_store().get(keys.run_sidecar(str(run_id), str(episode_id)))
        columns = load(data)
    except ObjectMissing:
        raise NotFound("this run has derived nothing of that episode") from None
    except SafetensorError as error:
        raise StorageError(f"the sidecar cannot be read: {error}") from None
    return {name: [_number(value) for value in columns[name].tolist()] for name in sorted(columns)}


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
