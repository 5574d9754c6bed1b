"""The errors that may cross a process boundary, as one tree.

    SopError
    ├── ProtocolError            the link itself
    │   ├── MalformedFrame       malformed_frame       bytes that are no message of this version
    │   ├── FrameTooLarge        frame_too_large       over the size limit, refused before decoding
    │   ├── UnsupportedProtocol  unsupported_protocol  the peer speaks a version that is not spoken here
    │   ├── UnexpectedMessage    unexpected_message    a known message in a state that forbids it
    │   ├── PeerSilent           peer_silent           nothing was heard within the deadline
    │   └── OutboxFull           outbox_full           the peer reads too slowly; the link is closed
    ├── Unauthorised             unauthorised          wrong, revoked or missing credentials
    ├── AuthorityError           who drives
    │   ├── IllegalTransition    illegal_transition    an event that the current mode does not allow
    │   └── LeaseFenced          lease_fenced          an epoch older than the newest one seen
    ├── RecordingError           data at rest
    │   ├── InvalidEpisode       invalid_episode       NaN, wrong shapes, times that run backwards, ...
    │   │   └── InvalidVideo     invalid_video         no MP4 with one frame a step of the stated size and rate
    │   ├── InvalidManifest      invalid_manifest      a manifest that contradicts itself
    │   └── ObjectMismatch       object_mismatch       bytes whose size or SHA-256 differ from the manifest
    └── PolicyError              policy versions
        ├── UnknownArchitecture  unknown_architecture  this process cannot build the network
        ├── Untrusted            untrusted             no key that this robot trusts signed it
        ├── StaleOrder           stale_order           signed, but older than what was followed already
        ├── ArtifactMismatch     artifact_mismatch     blob whose size, hash or tensors differ from the manifest
        └── ProbeFailed          probe_failed          the loaded policy answers with the wrong shape or NaN

A peer gets `code` and `message`, never a traceback; the trace stays in the log of the process that raised.
"""

from __future__ import annotations

import msgspec

# What msgspec raises about bytes of others: also text that is no UTF-8, and nesting beyond the interpreter's stack.
UNPARSABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SopError(Exception):
    """Base of all errors with a code.

    `code` is stable and machine-readable; `message` is safe to show to a peer; `data` holds JSON-able details.
    """

    code = "internal"

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class ProtocolError(SopError):
    code = "protocol_error"


class MalformedFrame(ProtocolError):
    code = "malformed_frame"


class FrameTooLarge(ProtocolError):
    code = "frame_too_large"


class UnsupportedProtocol(ProtocolError):
    code = "unsupported_protocol"


class UnexpectedMessage(ProtocolError):
    code = "unexpected_message"


class PeerSilent(ProtocolError):
    code = "peer_silent"


class OutboxFull(ProtocolError):
    code = "outbox_full"


class Unauthorised(SopError):
    code = "unauthorised"


class AuthorityError(SopError):
    code = "authority_error"


class IllegalTransition(AuthorityError):
    code = "illegal_transition"


class LeaseFenced(AuthorityError):
    code = "lease_fenced"


class RecordingError(SopError):
    code = "recording_error"


class InvalidEpisode(RecordingError):
    code = "invalid_episode"


class InvalidVideo(InvalidEpisode):
    code = "invalid_video"


class InvalidManifest(RecordingError):
    code = "invalid_manifest"


class ObjectMismatch(RecordingError):
    code = "object_mismatch"


class PolicyError(SopError):
    code = "policy_error"


class UnknownArchitecture(PolicyError):
    code = "unknown_architecture"


class ArtifactMismatch(PolicyError):
    code = "artifact_mismatch"


class ProbeFailed(PolicyError):
    code = "probe_failed"


class Untrusted(PolicyError):
    code = "untrusted"


class StaleOrder(PolicyError):
    code = "stale_order"
