"""A dataset of seven small episodes on disk, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.exports.base import Entry
from fleet.exports.objects import FolderEpisodes
from tests.fleet.exports.made import Made, write_episode

EPISODES = 7


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    for seed in range(1, EPISODES + 1):
        # The fifth comes from a recorder with another quality: its codec parameters differ.
        write_episode(root, seed, steps=8 + seed, cameras=("front", "wrist.left"), crf=30 if seed == 5 else 18)
    return root


@pytest.fixture
def episodes(recorded: Path) -> Made:
    """The last two are the validation split; the first has a person's label and tags."""
    found = list(FolderEpisodes(recorded))
    entries = [Entry(manifest=e.manifest, split="train" if k < 5 else "val") for k, e in enumerate(found)]
    first = entries[0]
    entries[0] = Entry(manifest=first.manifest, split="train", outcome=first.manifest.outcome, tags=("café", "a b"))
    return Made(recorded, entries)
