"""An episode's way from a robot's spool into the store, in both directions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.protocol.messages.common import Count, Message, Name, Part, RowId, Text
from fleet.protocol.recording import EpisodeManifest, ObjectRecord

PARTS_CAPABILITY = "parts"  # the daemon sends large objects in parts
MAX_PARTS = 1000  # of one object: a request with the hashes of some stays under its frame's limit


class ObjectParts(Part, frozen=True, kw_only=True):
    """How the robot cut an object: every part but the last has `part_bytes`; `sha256`: of each part, in order."""

    name: str
    part_bytes: Count
    sha256: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=MAX_PARTS)]


class PartTarget(Part, frozen=True, kw_only=True):
    """Where to PUT one part, `number` from 1 on."""

    number: Count
    url: Text
    headers: dict[str, str]


class UploadTarget(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Where to PUT one object. `is_stored`: it is there already with this hash, nothing to send.

    `part_bytes`: not 0 if it must come in parts of so many bytes, which `UploadRequest.parts` has to name first.
    `parts`: some of those that are missing; there may be more when these are stored. Neither is sent to a daemon that
    did not name PARTS_CAPABILITY.
    """

    name: str
    url: Text
    headers: dict[str, str]
    is_stored: bool
    part_bytes: Count = 0
    parts: tuple[PartTarget, ...] = ()


class UploadRequest(Message, frozen=True, tag="upload_request", kw_only=True, omit_defaults=True):
    """Ask where to put the objects of a closed episode, the manifest among them.

    `parts`: of the objects that a grant wanted in parts. Asked again when all parts that were granted are stored: the
    server puts the object together when none is missing.
    """

    episode_id: str
    objects: tuple[ObjectRecord, ...]
    parts: tuple[ObjectParts, ...] = ()


class Distances(Part, frozen=True, kw_only=True):
    """Distances of one episode's proposals to what was executed, in [0, 2]; see docs/rollout.md, "The distance"."""

    proposals: Count
    total: float  # their sum
    p50: float
    p95: float


class ShadowEpisode(Part, frozen=True, kw_only=True):
    """What the shadow proposed in one episode. `human` and `own` are of the same proposals: the candidate's and the
    executing version's distance to the person, or the scripted supervisor, who drove."""

    shadow_id: RowId
    instants: Count  # at which the executing policy planned anew
    asked: Count  # of them by the order's share
    answered: Count  # in time and finite; the others were skipped
    inference_ms: float  # mean of those answered
    policy: Distances
    human: Distances
    own: Distances


class EpisodeReady(Message, frozen=True, tag="episode_ready", kw_only=True):
    """All objects are stored. Sent again after every reconnect until EpisodeRegistered or a terminal refusal.

    `shadow`: only to a server whose state had ShadowWish.
    """

    episode_id: str
    uploaded_ns: int
    manifest: EpisodeManifest
    shadow: ShadowEpisode | msgspec.UnsetType = msgspec.UNSET


class UploadGrant(Message, frozen=True, tag="upload_grant", kw_only=True):
    episode_id: str
    targets: tuple[UploadTarget, ...]


class EpisodeRegistered(Message, frozen=True, tag="episode_registered", kw_only=True):
    """Registered, now or at an earlier try: the robot may drop its copy."""

    episode_id: str
    indexed_ns: int


class EpisodeRefused(Message, frozen=True, tag="episode_refused", kw_only=True):
    """Not registered. With `is_final` the robot sets the episode aside and never sends it again."""

    episode_id: str
    code: Name
    message: Text
    is_final: bool
