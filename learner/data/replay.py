"""Replay buffers: online and offline frames per task, from an index of manifests and features on the local disk.

The trainer adds manifests at the beginning of a round and samples rows at each step:

    replay.add(manifest)
    look = replay.look([Draw(task="box-close", is_online=True)], rng)  # also ahead of need: it changes nothing here
    rows = replay.take(look, rng)

`add` reads no payload: it indexes the frames and lets a background thread decode and encode the episode (`loader.py`)
into a bounded store (`feature_store.py`). A row whose episode is not there yet is waited for. Which rows come depends
only on the order of `add`, the learner's step and the generator, so a rebuilt buffer resumes exactly.

An episode that turns out unreadable (deleted, a truncated video, another robot's axes) is noticed when one of its rows
is drawn: it leaves its buffer, and the row is drawn again. `state` remembers it for the checkpoint.
"""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.errors import RecordingError, SopError
from fleet.protocol.recording import EpisodeManifest
from learner.config import DataConfig
from learner.data.buffers import PICK, FrameBuffer, carrying_runs
from learner.data.feature_store import FrameBatch, Payload
from learner.data.index import FrameClass, IndexedEpisode, index_episode
from learner.data.limits import Arrival, Leaving, Provenance, Retention, SampleToInsert
from learner.data.loader import EpisodeKey, FeatureLoader
from learner.data.masks import FrameRule, chunk_mask, class_weights

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

UNKNOWN_PROVENANCE = Provenance()
_KINDS = tuple(FrameClass)  # by value, and many times faster than the enumeration's own look-up
LEAVING_REASONS = ("capacity", "age", "policy_age", "unreadable")


class BufferEmpty(SopError):
    """The last episode of a buffer turned out unreadable while a row was drawn from it."""

    code = "buffer_empty"


class Draw(msgspec.Struct, frozen=True):
    """Which buffer one row of a batch comes from."""

    task: str
    is_online: bool


class BufferSize(msgspec.Struct, frozen=True):
    """Frames of one task that carry loss."""

    online: int
    offline: int


class Frame(msgspec.Struct, frozen=True):
    """One frame of the replay: number of its episode (0.. in the order of `add`), step, and class."""

    episode: int
    step: int
    kind: FrameClass


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """One row a draw (of those that are the caller's own), in their order. Arrays float32: features [B, F], state
    [B, P], actions [B, H, A], valid [B, H], weights [B]. `frames`: where each row comes from."""

    features_BF: Array
    state_BP: Array
    actions_BHA: Array
    valid_BH: Array
    weights_B: Array
    instructions: tuple[str, ...]
    frames: tuple[Frame, ...]


class Look(msgspec.Struct, frozen=True):
    """A batch that was drawn and read, until `Replay.take` makes it count.

    `picks_B`: PICK of all draws; `rows`: of those that are the caller's `own`, None if none of them could be read;
    `codes`: number of an unreadable episode -> error code.
    """

    draws: Sequence[Draw]
    own: slice
    picks_B: Array
    rows: Rows | None
    codes: Mapping[int, str]


class _Entry(msgspec.Struct, frozen=True):
    """What is kept of an episode: about a kilobyte, whatever its length."""

    key: EpisodeKey
    draw: Draw
    instruction: str


Agree = Callable[[set[int]], set[int]]
"""Episodes that this process could not read -> those that any process could not read."""


class Replay:
    """See the module. `look` may run in one thread while another uses the rest: what changes the buffers waits."""

    def __init__(self, loader: FeatureLoader, *, horizon: int, rule: FrameRule, config: DataConfig) -> None:
        self._lock = threading.RLock()  # held by `look` and by all that changes what it reads
        self._changes = 0
        self._loader = loader
        self._horizon = horizon
        self._rule = rule
        self._entries: list[_Entry] = []
        self._numbers: dict[str, int] = {}  # by episode id
        self._buffers: dict[Draw, FrameBuffer] = {}
        self._retention = Retention(config)
        self._limit = SampleToInsert(config)
        self._gone: set[int] = set()  # numbers that left their buffers
        self._unreadable: dict[str, str] = {}  # episode id -> error code
        self._left: collections.Counter[str] = collections.Counter()
        self._counts: collections.Counter[FrameClass] = collections.Counter()
        self._weights = class_weights(rule, self._counts)
        self._unseen: set[int] = set()
        self._first_sampled: list[int] = []

    def add(self, manifest: EpisodeManifest, provenance: Provenance = UNKNOWN_PROVENANCE) -> bool:
        """Index an episode and have it loaded in the background; False if it is there already (ingest is idempotent).

        Reads nothing and raises nothing: what cannot be read is noticed when it is drawn.
        """
        with self._lock:
            if manifest.episode_id in self._numbers:
                return False
            number, episode = len(self._entries), index_episode(manifest)
            entry = _Entry(
                key=self._loader.key(manifest),
                draw=Draw(task=manifest.task_slug, is_online=episode.is_online and not provenance.is_frozen),
                instruction=manifest.instruction,
            )
            self._entries.append(entry)
            self._numbers[manifest.episode_id] = number
            self._count(episode, 1)
            runs_R = carrying_runs(number, episode, self._rule)
            if len(runs_R):
                self._buffers.setdefault(entry.draw, FrameBuffer()).extend(runs_R)
                self._unseen.add(number)
                if entry.draw.is_online:
                    self._admit(number, manifest, int(runs_R["frames"].sum()), provenance)
            if manifest.episode_id in self._unreadable:
                self._leave([Leaving(number, "unreadable")])
            elif len(runs_R) and number not in self._gone:
                self._loader.prefetch(entry.key)
            return True

    def prefetch(self, manifest: EpisodeManifest) -> None:
        """Load an episode in the background that will be added later. It changes nothing but the time that takes."""
        if manifest.episode_id not in self._numbers:
            self._loader.prefetch(self._loader.key(manifest))

    def settle(self) -> None:
        """Return when all background loading is done. For callers whose source is about to forget its episodes."""
        self._loader.settle()

    def advance(self, step: int) -> None:
        """Let the episodes go whose policy is too old for a learner at `step`."""
        self._leave(self._retention.advance(step))

    def sizes(self) -> dict[str, BufferSize]:
        """Return the buffer sizes of every task that has frames, ordered by task."""
        tasks = sorted({draw.task for draw in self._buffers})
        return {task: BufferSize(self._length(task, True), self._length(task, False)) for task in tasks}

    def class_counts(self) -> dict[str, int]:
        """Return how many frames of each class the present episodes have, carrying loss or not."""
        return {kind.name.lower(): self._counts[kind] for kind in FrameClass}

    @property
    def episodes(self) -> int:
        """How many episodes were added, whether or not they are still learned from."""
        return len(self._entries)

    @property
    def is_drawn_enough(self) -> bool:
        """Whether `samples_per_insert` says to wait for new online frames."""
        return self._limit.is_drawn_enough

    def episode(self, number: int) -> IndexedEpisode:
        """Return the metadata of an episode, numbered 0.. in the order of `add`."""
        return index_episode(self._entries[number].key.manifest)

    def payload(self, number: int) -> Payload | None:
        """Return an episode's arrays, None if it is unreadable: then it is in no buffer any more.

        Raises: OSError, StorageError if the source does not answer.
        """
        if self._is_unreadable(number):
            return None
        try:
            return self._loader.payload(self._entries[number].key)
        except (RecordingError, FileNotFoundError) as error:
            self._forget_unreadable({number: _code_of(error)})
            return None

    @property
    def changes(self) -> int:
        """How often the buffers have changed: while it is the same, equal generators draw equal batches."""
        return self._changes

    def look(self, draws: Sequence[Draw], rng: np.random.Generator, *, own: slice = slice(None)) -> Look:
        """Draw one frame uniformly from each draw's buffer, and read the rows `own` of them. Changes `rng` alone.

        Raises: BufferEmpty if one of the buffers is; OSError, StorageError if the source does not answer.
        """
        with self._lock:
            return self._look(draws, self._pick(draws, np.arange(len(draws)), rng), own)

    def take(self, look: Look, rng: np.random.Generator, *, agree: Agree = lambda unreadable: unreadable) -> Rows:
        """Return the rows of a look; draws on unreadable episodes, which leave their buffers, are drawn again.

        Processes that share a batch look at all of it, with equal generators, and read a part each; `agree` tells each
        of them what the others could not read.
        Raises: BufferEmpty, with its unreadable episodes gone; OSError, StorageError if the source does not answer.
        """
        while lost := agree(set(look.codes)):
            # Rare enough to read the other rows once more.
            self._forget_unreadable({number: look.codes.get(number, "unreadable") for number in lost})
            again = np.flatnonzero(np.isin(look.picks_B["episode"], list(lost)))
            look.picks_B[again] = self._pick(look.draws, again, rng)
            look = self._look(look.draws, look.picks_B, look.own)
        assert look.rows is not None  # or all of it would be lost
        self._limit.drawn_rows += sum(draw.is_online for draw in look.draws)
        self._note_first_sampled(look.picks_B["episode"].tolist())
        return look.rows

    def take_first_sampled(self) -> list[str]:
        """Return ids of episodes sampled for the first time since the last call."""
        found, self._first_sampled = self._first_sampled, []
        return [self._entries[number].key.manifest.episode_id for number in found]

    def metrics(self) -> dict[str, float]:
        """Return present figures by name: episodes that left by reason, the measured sample-to-insert ratio, cache."""
        values = {f"episodes/left/{reason}": float(self._left[reason]) for reason in LEAVING_REASONS}
        values["episodes/indexed"] = float(len(self._entries))
        values["samples_per_insert"] = self._limit.ratio
        return values | self._loader.metrics()

    def state(self) -> dict[str, Any]:
        """Return as JSON values what does not follow from the episodes added and the learner's step."""
        return {"unreadable": dict(self._unreadable), "drawn_rows": self._limit.drawn_rows}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned, before or after the episodes are added. Nothing is read."""
        self._limit.drawn_rows = int(state.get("drawn_rows", 0))
        self._unreadable |= state.get("unreadable", {})
        found = [self._numbers[name] for name in self._unreadable if name in self._numbers]
        self._leave([Leaving(number, "unreadable") for number in found])

    def _admit(self, number: int, manifest: EpisodeManifest, frames: int, provenance: Provenance) -> None:
        self._limit.inserted_frames += frames
        added_s = provenance.added_s
        arrival = Arrival(
            number=number,
            task=manifest.task_slug,
            frames=frames,
            time_s=manifest.ended_ns / 1e9 if added_s is None else added_s,
            policy_step=provenance.policy_step,
        )
        self._leave(self._retention.admit(arrival))

    def _leave(self, leaving: Sequence[Leaving]) -> None:
        """Take episodes out of their buffers; what has left already is passed over."""
        with self._lock:
            new = {one.number: one.reason for one in reversed(leaving) if one.number not in self._gone}
            self._gone |= set(new)
            self._left.update(new.values())
            for draw in {self._entries[number].draw for number in new} & set(self._buffers):
                self._buffers[draw].remove(new)
                if not len(self._buffers[draw]):
                    del self._buffers[draw]
            for number in new:
                self._count(self.episode(number), -1)

    def _forget_unreadable(self, codes: Mapping[int, str]) -> None:
        for number, code in sorted(codes.items()):
            manifest = self._entries[number].key.manifest
            self._unreadable[manifest.episode_id] = code
            event = {"episode": manifest.episode_id, "code": code}
            logger.warning("episode left out of training", extra={"event": event})
        self._leave([Leaving(number, "unreadable") for number in codes])

    def _is_unreadable(self, number: int) -> bool:
        return bool(self._unreadable) and self._entries[number].key.manifest.episode_id in self._unreadable

    def _count(self, episode: IndexedEpisode, sign: int) -> None:
        kinds, counts = np.unique(episode.classes_T, return_counts=True)
        self._counts.update({FrameClass(int(kind)): sign * int(n) for kind, n in zip(kinds, counts, strict=True)})
        self._weights = class_weights(self._rule, self._counts)
        self._changes += 1

    def _length(self, task: str, is_online: bool) -> int:
        buffer = self._buffers.get(Draw(task, is_online))
        return len(buffer) if buffer is not None else 0

    def _pick(self, draws: Sequence[Draw], rows: Array, rng: np.random.Generator) -> Array:
        """Draw frames for some rows of a batch, PICK [len(rows)]. Raises: BufferEmpty."""
        uniform_B = rng.random(len(rows))
        picks_B = np.empty(len(rows), dtype=PICK)
        wanted: dict[Draw, list[int]] = {}
        for position, row in enumerate(rows.tolist()):
            wanted.setdefault(draws[row], []).append(position)
        for draw, positions in wanted.items():
            buffer = self._buffers.get(draw)
            if buffer is None:
                raise BufferEmpty(f"no readable frame is left of task '{draw.task}', online {draw.is_online}")
            picks_B[positions] = buffer.pick(uniform_B[positions])
        return picks_B

    def _look(self, draws: Sequence[Draw], picks_B: Array, own: slice) -> Look:
        """Read the drawn frames that are the caller's own."""
        own_B = picks_B[own]
        numbers_B = own_B["episode"].tolist()
        keys = [self._entries[number].key for number in numbers_B]
        batch, failed = self._loader.rows(keys, own_B["step"].tolist(), self._horizon)
        codes = {numbers_B[row]: _code_of(error) for row, error in failed.items()}
        rows = self._rows(own_B, batch) if batch is not None else None
        return Look(draws, own, picks_B, rows, codes)

    def _rows(self, picks_B: Array, batch: FrameBatch) -> Rows:
        numbers_B = picks_B["episode"].tolist()
        kinds = [_KINDS[kind] for kind in picks_B["kind"].tolist()]
        return Rows(
            features_BF=batch.features_BF,
            state_BP=batch.state_BP,
            actions_BHA=batch.actions_BHA,
            valid_BH=chunk_mask(picks_B["step"], picks_B["gate_end"], self._horizon),
            weights_B=np.array([self._weights[kind] for kind in kinds], dtype=np.float32),
            instructions=tuple(self._entries[number].instruction for number in numbers_B),
            frames=tuple(map(Frame, numbers_B, picks_B["step"].tolist(), kinds)),
        )

    def _note_first_sampled(self, numbers: Sequence[int]) -> None:
        found = self._unseen.intersection(numbers)
        self._unseen -= found
        self._first_sampled += found


def _code_of(error: RecordingError | FileNotFoundError) -> str:
    return error.code if isinstance(error, RecordingError) else "object_missing"
