"""What a dry run found, grouped: each kind of problem of each feature once, with its count and its first examples."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

EXAMPLES = 100  # kept of one kind; the rest is counted


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """Where: episode and frame as the dataset counts them, None where it is not about one."""

    episode: int | None = None
    frame: int | None = None
    detail: str = ""


class Problem(msgspec.Struct, kw_only=True):
    """`feature`: the one it is about, "" for the dataset itself. Of a feature that is not mapped it is none."""

    code: str
    message: str
    feature: str = ""
    count: int = 0
    examples: list[Example] = []


class Problems:
    """Collects. `examples`: how many are kept of one kind."""

    def __init__(self, *, examples: int = EXAMPLES) -> None:
        self._examples = examples
        self._found: dict[tuple[str, str], Problem] = {}

    def add(
        self,
        code: str,
        *,
        feature: str = "",
        episode: int | None = None,
        frame: int | None = None,
        detail: str = "",
    ) -> None:
        problem = self._found.setdefault(
            (code, feature), Problem(code=code, message=MESSAGES[code], feature=feature, examples=[])
        )
        problem.count += 1
        if len(problem.examples) < self._examples:
            problem.examples.append(Example(episode=episode, frame=frame, detail=detail[:300]))

    def all(self) -> list[Problem]:
        return list(self._found.values())


def that_matter(problems: Iterable[Problem], features: Iterable[str]) -> list[Problem]:
    """Return the problems of the dataset itself and of these features."""
    used = {"", *features}
    return [problem for problem in problems if problem.feature in used]


MESSAGES = {
    "dtype_unknown": "the feature has a dtype that is not read",
    "shape_unsupported": "the feature has a shape that is not read",
    "file_missing": "a file that the dataset names is not there",
    "file_unreadable": "a file does not parse",
    "count_differs": "a count in info.json differs from what is there",
    "episode_missing": "there is a hole in episode_index",
    "episode_twice": "an episode_index is there twice",
    "episode_empty": "the episode has no frames",
    "episode_too_long": "the episode has more frames than an episode here may have",
    "length_differs": "the data has another number of rows than the episode's length says",
    "column_missing": "the data lacks the feature's column",
    "type_differs": "the column holds another type than info.json says",
    "shape_wrong": "the column has another shape than info.json says",
    "value_missing": "the column holds nulls",
    "value_not_finite": "the column holds NaN or infinity",
    "frame_index_wrong": "frame_index does not count 0, 1, 2, ...",
    "time_backwards": "timestamp does not rise",
    "fps_differs": "the frames are not 1 / fps apart",
    "task_out_of_range": "task_index names a task that is not there",
    "task_differs": "task_index and the episode's tasks differ",
    "several_tasks": "the episode has several instructions; one an episode is read",
    "instruction_invalid": "the instruction is empty, too long, or holds control characters",
    "video_frames": "the video has another number of frames than the data has rows",
    "video_time": "the video has no frame at the time of a row",
    "video_size": "the video has another size than info.json says",
    "video_fps": "the video has another frame rate than info.json says",
    "video_undecodable": "the video does not decode",
    "image_undecodable": "a picture in the data does not decode, or has another size",
    "provenance_invalid": "our own columns contradict one another",
    "value_out_of_range": "a value is beyond what a float32 column of an episode may hold",
}
