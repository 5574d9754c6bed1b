"""Versions of a dataset, frozen from the episodes of conftest.py."""

from __future__ import annotations

import uuid
from typing import Any

from fleet.models import Dataset, DatasetEpisode, DatasetVersion
from fleet.selectors.dataset_selection import Selection
from fleet.selectors.episode_filter import EpisodeFilter
from fleet.services.dataset_freeze import dataset_freeze

ALL = Selection(filter=EpisodeFilter())
SPLITS = {"train": 0.7, "val": 0.3}


def freeze(dataset: Dataset, user: Any, selection: Selection = ALL, **changes: Any) -> DatasetVersion:
    values: dict[str, Any] = {"splits": SPLITS, "seed": 3, **changes}
    return dataset_freeze(dataset_id=dataset.id, user=user, selection=selection, asked={"filter": {}}, **values)


def split_of(version: DatasetVersion) -> dict[uuid.UUID, str]:
    return dict(DatasetEpisode.objects.filter(version=version).values_list("episode_id", "split"))
