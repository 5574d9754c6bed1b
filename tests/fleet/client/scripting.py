"""What tests of scripts do before the script runs."""

from __future__ import annotations

from fleet.client import Client
from fleet.services.dataset_describe import dataset_describe


def dataset_frozen(sop: Client) -> None:
    """Make the dataset "demo" with one version of every episode, described."""
    dataset = sop.datasets.create("demo")
    version = sop.datasets.freeze(dataset.id, filter={})
    for _ in range(20):
        if sop.datasets.version(dataset.id, 1).state == "ready":
            return
        dataset_describe(version_id=version.id)
    raise AssertionError("the version is not described")
