"""Errors of the server's services, on top of the tree in `fleet.protocol.errors`.

    SopError
    ├── NotFound            not_found          missing, or not yours to see: the two are never told apart
    ├── Forbidden           permission_denied  none of the asker's roles allows this
    ├── LastAdmin           last_admin         nobody would be left who manages people
    ├── LinkInvalid         link_invalid       a one-time link is unknown, used or expired
    ├── SignInLocked        throttled          too many wrong tries; data["wait_s"] says how long to wait
    ├── SecondFactorNeeded  second_factor      the password is right; data["is_wrong"]: and the code is not
    ├── InvalidRequest      invalid_request    a value that a service refuses; data["field"] names it
    ├── TokenInvalid        token_invalid      enrolment token unknown, used or expired
    ├── ScopeMissing        scope_missing      the API token's scopes do not include what the request needs
    ├── SessionRequired     session_required   only a person signed in to the console may do this, no token
    ├── PreconditionFailed  precondition_failed       what is to be changed has changed since the asker read it
    ├── PreconditionRequired  precondition_required   a change is written only over the revision that was read
    ├── RateLimited         rate_limited              too many requests; wait as long as Retry-After says
    ├── IdempotencyKeyReused  idempotency_key_reused  the same Idempotency-Key came with another request
    ├── IdempotencyKeyBusy  idempotency_key_busy      the first under this key is being done; Retry-After says how long
    ├── NameTaken           name_taken
    ├── DuplicateEpisode    duplicate_id       an episode's id with other content
    ├── VideoCheckSlow      video_check_slow   an episode's videos were not read through in time; may be tried again
    ├── VideoUnchecked      video_unchecked    the same as often as it is tried; the robot keeps the episode
    ├── NothingToUndo      nothing_to_undo    the episode has no label, or none of this bulk change
    ├── SelectionChanged    selection_changed      other episodes are found, or other labels, than were shown
    ├── SelectionEmpty      selection_empty        there is no episode to freeze
    ├── SelectionTooLarge   selection_too_large    data["limit"]: episodes that a version may hold
    ├── SplitEmpty          split_empty            a split would get no episode; data["splits"] names them
    ├── DatasetArchived     dataset_archived       an archived dataset takes nothing new
    ├── ImportNotNow        import_not_now     the import is in a state that does not allow it
    ├── UploadMissing       upload_missing     the archive is not (wholly) there yet
    ├── ImportFenced        import_fenced      the import was cancelled or has a newer worker: this one must stop
    ├── UnknownReference    unknown_reference  a manifest names a task, robot or version that does not exist
    ├── LinkReplaced        link_replaced      the robot has a newer connection than this one
    ├── LeaseHeld           lease_held         someone drives from whom the asker may not take it like this
    ├── TakeForbidden       take_forbidden     taking from another person needs a manager or an admin
    ├── DriveForbidden      drive_forbidden    this user may not drive (any more)
    ├── ClearForbidden      clear_forbidden    only the lease's holder or an admin clears a stop
    ├── RobotOffline        robot_offline      the robot is not connected, so nobody can drive it
    ├── ConsoleReplaced     replaced           the same tab has a newer connection than this one
    ├── DownloadsBusy       downloads_busy     as many robots download as may at once; wait as long as Retry-After says
    ├── Busy                busy               too much waits already for this console or robot
    ├── TooManyPeers        too_many_peers     a console has as many video connections open as it may
    ├── PeerUnanswered      peer_unanswered    the robot did not answer an offer in time
    ├── PeerRevoked         peer_revoked       the server closed a video connection: who may watch has changed
    ├── OrderUnanswered     order_unanswered   the robot did not answer an order in time
    ├── StopUnrecorded      stop_unrecorded    the stop was sent to the robot, but its row could not be written
    ├── RobotRetired        robot_retired      a retired robot works at nothing and takes no changes
    ├── LogsUnknown         logs_unknown       the robot's daemon is too old to send its log
    ├── TaskArchived        task_archived      nobody is set to an archived task
    ├── CapabilityMissing   capability_missing the robot's driver does not offer the task
    ├── RunFenced           run_fenced         the training run has a newer epoch: this holder must stop
    ├── RunNotRunning       run_not_running
    ├── RunNotNow           run_not_now        not in this state of the run; data["state"]
    ├── UnknownAlgorithm    unknown_algorithm  the learner has no such algorithm
    ├── SettingsInvalid     settings_invalid   data["problems"] says what is wrong with which setting
    ├── RolloutClosed       rollout_closed     the rollout was promoted or rolled back already
    ├── RolloutOpen         rollout_open       another candidate of this run is being tried
    ├── CanaryTooSmall      canary_too_small   a canary needs robots in both groups
    ├── VersionUnusable     version_unusable   its weights are gone, or robots refused it
    ├── ShadowMismatch      shadow_mismatch    the version sees or does other things than the robot
    ├── ShadowSameVersion   shadow_same_version  a robot that drives with the version cannot shadow it
    ├── ShadowBusy          shadow_busy        the robot shadows another version
    ├── ShadowEnded         shadow_ended       this shadow is over
    ├── DatasetNotReady     dataset_not_ready  the version is still being described
    ├── ExportFenced        export_fenced      another worker has the export: this one must stop
    ├── ExportNotNow        export_not_now     not in this state of the export; data["state"]
    ├── ExportExpired       export_expired     its files are gone
    └── ExportElsewhere     export_elsewhere   its files are at a destination, not with this server

The edges translate: `api/errors.py` to problem details, `consumers/robot.py` to Fault and refusals.
"""

from __future__ import annotations

from fleet.protocol.errors import AuthorityError, ProtocolError, RecordingError, SopError


class NotFound(SopError):
    code = "not_found"


class Forbidden(SopError):
    code = "permission_denied"


class LastAdmin(SopError):
    code = "last_admin"


class LinkInvalid(SopError):
    code = "link_invalid"


class SignInLocked(SopError):
    code = "throttled"


class SecondFactorNeeded(SopError):
    code = "second_factor"


class InvalidRequest(SopError):
    code = "invalid_request"


class TokenInvalid(SopError):
    code = "token_invalid"


class ScopeMissing(SopError):
    code = "scope_missing"


class SessionRequired(SopError):
    code = "session_required"


class PreconditionFailed(SopError):
    code = "precondition_failed"


class PreconditionRequired(SopError):
    code = "precondition_required"


class RateLimited(SopError):
    code = "rate_limited"


class IdempotencyKeyReused(SopError):
    code = "idempotency_key_reused"


class IdempotencyKeyBusy(SopError):
    code = "idempotency_key_busy"


class NameTaken(SopError):
    code = "name_taken"


class DuplicateEpisode(RecordingError):
    code = "duplicate_id"


class VideoCheckSlow(SopError):
    code = "video_check_slow"


class VideoUnchecked(SopError):
    code = "video_unchecked"


class NothingToUndo(SopError):
    code = "nothing_to_undo"


class SelectionChanged(SopError):
    code = "selection_changed"


class SelectionEmpty(SopError):
    code = "selection_empty"


class SelectionTooLarge(SopError):
    code = "selection_too_large"


class SplitEmpty(SopError):
    code = "split_empty"


class DatasetArchived(SopError):
    code = "dataset_archived"


class UnknownReference(RecordingError):
    code = "unknown_reference"


class ImportNotNow(SopError):
    code = "import_not_now"


class UploadMissing(SopError):
    code = "upload_missing"


class ImportFenced(SopError):
    code = "import_fenced"


class LinkReplaced(ProtocolError):
    code = "link_replaced"


class LeaseHeld(AuthorityError):
    code = "lease_held"


class TakeForbidden(AuthorityError):
    code = "take_forbidden"


class RobotOffline(AuthorityError):
    code = "robot_offline"


class DriveForbidden(AuthorityError):
    code = "drive_forbidden"


class ClearForbidden(AuthorityError):
    code = "clear_forbidden"


class ConsoleReplaced(ProtocolError):
    code = "replaced"


class Busy(SopError):
    code = "busy"


class DownloadsBusy(SopError):
    code = "downloads_busy"


class TooManyPeers(SopError):
    code = "too_many_peers"


class PeerUnanswered(SopError):
    code = "peer_unanswered"


class PeerRevoked(SopError):
    code = "peer_revoked"


class OrderUnanswered(SopError):
    code = "order_unanswered"


class StopUnrecorded(SopError):
    code = "stop_unrecorded"


class RobotRetired(SopError):
    code = "robot_retired"


class LogsUnknown(SopError):
    code = "logs_unknown"


class TaskArchived(SopError):
    code = "task_archived"


class CapabilityMissing(SopError):
    code = "capability_missing"


class RunFenced(SopError):
    code = "run_fenced"


class RunNotRunning(SopError):
    code = "run_not_running"


class RunNotNow(SopError):
    code = "run_not_now"


class UnknownAlgorithm(SopError):
    code = "unknown_algorithm"


class SettingsInvalid(SopError):
    code = "settings_invalid"


class RolloutClosed(SopError):
    code = "rollout_closed"


class RolloutOpen(SopError):
    code = "rollout_open"


class CanaryTooSmall(SopError):
    code = "canary_too_small"


class VersionUnusable(SopError):
    code = "version_unusable"


class ShadowMismatch(SopError):
    code = "shadow_mismatch"


class ShadowSameVersion(SopError):
    code = "shadow_same_version"


class ShadowBusy(SopError):
    code = "shadow_busy"


class ShadowEnded(SopError):
    code = "shadow_ended"


class DatasetNotReady(SopError):
    code = "dataset_not_ready"


class ExportFenced(SopError):
    code = "export_fenced"


class ExportNotNow(SopError):
    code = "export_not_now"


class ExportExpired(SopError):
    code = "export_expired"


class ExportElsewhere(SopError):
    code = "export_elsewhere"
