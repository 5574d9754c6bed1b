"""What a script reads and changes, one class a resource. `fields` of lists: see `Client`; filters are the API's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from fleet.client import types
from fleet.client.download import Progress, download
from fleet.client.errors import MalformedAnswer
from fleet.client.transport import Transport

Row = TypeVar("Row")
Found = TypeVar("Found")
_ROWS_A_PAGE = 200


def decoded(content: bytes, kind: type[Found]) -> Found:
    """Raises: MalformedAnswer."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise MalformedAnswer(f"the server's answer is not understood: {error}") from None


@dataclasses.dataclass(frozen=True)
class Listing(Generic[Row]):
    """A resource with a list, page by page by cursor, and details."""

    transport: Transport
    path: str
    row: type[Row]

    def page(self, *, cursor: str | None = None, page_size: int | None = None, **filters: Any) -> types.Page[Row]:
        """Return one page. `cursor`: of a page's `next` or `previous` URL."""
        params = {"cursor": cursor, "page_size": page_size, **filters}
        answer = self.transport.request("GET", self.path, params=params)
        return decoded(answer.content, types.Page[self.row])  # type: ignore[name-defined]

    def iterate(self, *, limit: int | None = None, **filters: Any) -> Iterator[Row]:
        """Yield rows of all pages, at most `limit`. Rows that come or go meanwhile are not seen twice."""
        left, cursor = limit, None
        while left is None or left > 0:
            size = _ROWS_A_PAGE if left is None else min(left, _ROWS_A_PAGE)
            page = self.page(cursor=cursor, page_size=size, **filters)
            rows = page.results if left is None else page.results[:left]
            yield from rows
            left = None if left is None else left - len(rows)
            cursor = cursor_of(page.next)
            if cursor is None:
                return

    def get(self, row_id: str) -> Row:
        return decoded(self.transport.request("GET", f"{self.path}/{row_id}").content, self.row)


def cursor_of(url: str | None) -> str | None:
    found = parse_qs(urlsplit(url).query).get("cursor") if url else None
    return found[0] if found else None


class Episodes(Listing[types.Episode]):
    def get(self, row_id: str) -> types.EpisodeDetail:
        return decoded(self.transport.request("GET", f"{self.path}/{row_id}").content, types.EpisodeDetail)

    def label(self, episode_id: str) -> types.Label:
        return decoded(self.transport.request("GET", f"{self.path}/{episode_id}/label").content, types.Label)

    def label_set(self, episode_id: str, *, over: int, **change: Any) -> types.Label:
        """Change the label over revision `over`. `change`: outcome, outcome_reason, tags, add_tags, comment, ...

        Raises: Changed if somebody was quicker.
        """
        headers = {"If-Match": f'"{over}"'}
        answer = self.transport.request("PATCH", f"{self.path}/{episode_id}/label", body=change, headers=headers)
        return decoded(answer.content, types.Label)

    def label_many(self, change: Mapping[str, Any], **chosen: Any) -> dict[str, Any]:
        """Change many labels: `ids=[...]` or `filter={...}`. Returns batch, changed, unchanged."""
        answer = self.transport.request("POST", f"{self.path}/labels", body={"change": dict(change), **chosen})
        return decoded(answer.content, dict[str, Any])

    def steps(self, episode_id: str, **asked: Any) -> dict[str, Any]:
        """Return plots' points: start, end, max_points."""
        answer = self.transport.request("GET", f"{self.path}/{episode_id}/steps", params=asked)
        return decoded(answer.content, dict[str, Any])

    def download(self, episode_id: str, folder: Path, *, progress: Progress | None = None) -> list[Path]:
        """Fetch the episode as recorded into `folder`, each file checked; what is there and right is not fetched.

        Raises: MalformedAnswer if the episode has no readable recording.
        """
        episode = self.get(episode_id)
        if episode.recording is None:
            problem = (episode.recording_problem or {}).get("detail", "no reason given")
            raise MalformedAnswer(f"the episode has no readable recording: {problem}")
        return [
            download(self.transport, file.url, folder / plain_name(file.name), sha256=file.sha256, progress=progress)
            for file in episode.recording.files
        ]


class Datasets(Listing[types.Dataset]):
    def create(self, name: str, *, description: str = "", **values: Any) -> types.Dataset:
        body = {"name": name, "description": description, **values}
        return decoded(self.transport.request("POST", self.path, body=body).content, types.Dataset)

    def change(self, dataset_id: str, *, over: int, **change: Any) -> types.Dataset:
        """Change name, description, licence, is_archived over revision `over`. Raises: Changed."""
        headers = {"If-Match": f'"{over}"'}
        answer = self.transport.request("PATCH", f"{self.path}/{dataset_id}", body=change, headers=headers)
        return decoded(answer.content, types.Dataset)

    def freeze(self, dataset_id: str, **asked: Any) -> types.DatasetVersion:
        """Freeze episodes as the next version: filter or ids, splits, seed, notes."""
        answer = self.transport.request("POST", f"{self.path}/{dataset_id}/versions", body=asked)
        return decoded(answer.content, types.DatasetVersion)

    def versions(self, dataset_id: str) -> Listing[types.DatasetVersion]:
        return Listing(self.transport, f"{self.path}/{dataset_id}/versions", types.DatasetVersion)

    def version(self, dataset_id: str, number: int) -> types.DatasetVersion:
        return self.versions(dataset_id).get(str(number))

    def find(self, name_or_id: str) -> types.Dataset:
        """Return the dataset of this id or exact name. Raises: NotFound."""
        for row in self.iterate(text=name_or_id):
            if row.name == name_or_id:
                return row
        return self.get(name_or_id)


class TrainingRuns(Listing[types.TrainingRun]):
    def metric_names(self, run_id: str) -> list[str]:
        answer = self.transport.request("GET", f"{self.path}/{run_id}/metrics/names")
        return list(decoded(answer.content, dict[str, list[str]])["names"])

    def metrics(self, run_id: str, names: list[str], **asked: Any) -> types.RunSeries:
        """Return the named series: since_step, last_s, max_points."""
        answer = self.transport.request("GET", f"{self.path}/{run_id}/metrics", params={"name": names, **asked})
        return decoded(answer.content, types.RunSeries)


@dataclasses.dataclass(frozen=True)
class Metrics:
    transport: Transport

    def success(self, *, window_s: int = 300, task: str | None = None, run: str | None = None) -> types.Success:
        """Return autonomous success over time, with n and interval."""
        params = {"window_s": window_s, "task": task, "run": run}
        return decoded(self.transport.request("GET", "/metrics/success", params=params).content, types.Success)


def plain_name(name: str) -> str:
    """Return a name of the server that may be joined to a folder. Raises: MalformedAnswer."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\\" in name or "\0" in name:
        raise MalformedAnswer(f"the server names a file outside of the folder: {name!r}")
    return name
