"""What the server wants of a robot: one whole DesiredState, of which the newest alone matters."""

from __future__ import annotations

import msgspec

from fleet.protocol.authority import Source
from fleet.protocol.messages.common import Count, Name, Part, RowId, StopInfo, Text
from fleet.protocol.recording import Traceparent

SHADOW_CAPABILITY = "shadow"


class AssignedTask(Part, frozen=True, kw_only=True):
    """A task this robot shall work at; the daemon draws among them by weight."""

    task_id: str
    slug: Name
    instruction: Text
    driver_task: Name
    max_steps: Count
    weight: float


class PolicyPatch(Part, frozen=True, kw_only=True):
    """What makes a blob of another one that the robot may hold (protocol/patch.py); `size` bytes with this hash."""

    base: str  # SHA-256 of the blob it is applied to
    url: Text
    size: Count
    sha256: str


class PolicyTarget(Part, frozen=True, kw_only=True):
    """The version this robot shall run from its next episode on. URLs are absolute or relative to the server.

    key, signature: hex of Ed25519 over `policy.policy_statement`, "" where the server does not sign. `epoch` is signed
    with it and only ever grows for one robot: a robot follows no order that is older than one it followed.
    """

    version_id: str
    number: Count
    manifest_url: Text
    manifest_sha256: str
    blob_urls: dict[str, str]  # SHA-256 -> URL
    published_ns: int
    patches: dict[str, PolicyPatch] = {}  # SHA-256 of a blob -> how to make it of an earlier one
    epoch: Count = 0
    key: str = ""
    signature: str = ""
    traceparent: Traceparent | msgspec.UnsetType = msgspec.UNSET  # of the publish, where the learner traces


class PolicyKey(Part, frozen=True, kw_only=True):
    """A public key that signs versions, hex; `endorsement`: signature of `endorsed_by` over `policy.key_statement`."""

    public: str
    endorsed_by: str = ""
    endorsement: str = ""


class LeaseInfo(Part, frozen=True, kw_only=True):
    """The lease in force on this robot. `expires_ns`: server clock."""

    epoch: Count
    source: Source
    operator: Text
    expires_ns: int
    connection: str = ""  # of the console that holds it; commands of other peers are refused


class ShadowOrder(Part, frozen=True, kw_only=True):
    """A version that proposes beside the one that drives and is never executed.

    `policy` is signed over `policy.shadow_statement`, which is no order to drive. `share` of the replanning instants,
    in (0, 1]; until `max_episodes` of this robot have proposals, or its clock has passed `ends_ns`.
    """

    shadow_id: RowId
    policy: PolicyTarget
    share: float = 1.0
    max_episodes: Count
    ends_ns: int


class ShadowWish(Part, frozen=True, kw_only=True):
    """What a robot shall shadow; nothing with `order` None. That it is there at all says that the server takes reports
    of shadows."""

    order: ShadowOrder | None = None


class DesiredState(Part, frozen=True, kw_only=True):
    """Everything the server wants of a robot. `revision` grows with every change of the rows behind it."""

    revision: Count
    robot_id: str
    robot_name: Name
    is_paused: bool
    assignments: tuple[AssignedTask, ...]
    policy: PolicyTarget | None
    lease: LeaseInfo | None
    handed_back_epoch: Count = 0  # of the newest person's lease, if they gave it back; 0 if it ran out or there is none
    stop: StopInfo | None = None  # in force; the robot latches it even if StopRobot was lost
    cleared_stop_id: RowId | None = None  # the newest stop that a person cleared
    policy_keys: tuple[PolicyKey, ...] = ()
    lifted_hold_id: RowId | None = None  # the hold that a person lifted at the console
    shadow: ShadowWish | msgspec.UnsetType = msgspec.UNSET  # only to daemons that named SHADOW_CAPABILITY
