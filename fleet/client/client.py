"""The client's front: one object with a resource each."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from fleet.client import types
from fleet.client.resources import Datasets, Episodes, Listing, Metrics, TrainingRuns
from fleet.client.transfers import Exports, Imports
from fleet.client.transport import Retries, Transport


class Client:
    """Use as a context, or call `close`. `timeout_s`: of each connect, read and write, not of a whole transfer.

    `url`: of the server, as in the browser. `token`: of its page /settings/tokens.
    """

    def __init__(
        self, url: str, *, token: str, timeout_s: float = 30.0, retries: Retries | None = None, **testing: Any
    ) -> None:
        self._transport = Transport(url, token=token, timeout_s=timeout_s, retries=retries, **testing)
        self.episodes = Episodes(self._transport, "/episodes", types.Episode)
        self.datasets = Datasets(self._transport, "/datasets", types.Dataset)
        self.exports = Exports(self._transport, "/exports", types.Export)
        self.imports = Imports(self._transport, "/imports", types.Import)
        self.policy_versions = Listing(self._transport, "/policy-versions", types.PolicyVersion)
        self.training_runs = TrainingRuns(self._transport, "/training-runs", types.TrainingRun)
        self.robots = Listing(self._transport, "/robots", types.Robot)
        self.tasks = Listing(self._transport, "/tasks", types.Task)
        self.metrics = Metrics(self._transport)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
