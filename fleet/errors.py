"""Errors of the server's services, on top of the tree in `fleet.protocol.errors`.

    SopError
    ├── NotFound            not_found          missing, or not yours to see: the two are never told apart
    ├── InvalidRequest      invalid_request    a value that a service refuses; data["field"] names it
    ├── TokenInvalid        token_invalid      enrolment token unknown, used or expired
    ├── NameTaken           name_taken
    ├── DuplicateEpisode    duplicate_id       an episode's id with other content
    ├── UnknownReference    unknown_reference  a manifest names a task, robot or version that does not exist
    ├── LinkReplaced        link_replaced      the robot has a newer connection than this one
    ├── LeaseHeld           lease_held         someone drives from whom the asker may not take it like this
    ├── TakeForbidden       take_forbidden     taking from another person needs a manager
    ├── RobotOffline        robot_offline      the robot is not connected, so nobody can drive it
    ├── RunFenced           run_fenced         the training run has a newer epoch: this holder must stop
    └── RunNotRunning       run_not_running

The edges translate: `api/errors.py` to problem details, `consumers/robot.py` to Fault and refusals.
"""

from __future__ import annotations

from fleet.protocol.errors import AuthorityError, ProtocolError, RecordingError, SopError


class NotFound(SopError):
    code = "not_found"


class InvalidRequest(SopError):
    code = "invalid_request"


class TokenInvalid(SopError):
    code = "token_invalid"


class NameTaken(SopError):
    code = "name_taken"


class DuplicateEpisode(RecordingError):
    code = "duplicate_id"


class UnknownReference(RecordingError):
    code = "unknown_reference"


class LinkReplaced(ProtocolError):
    code = "link_replaced"


class LeaseHeld(AuthorityError):
    code = "lease_held"


class TakeForbidden(AuthorityError):
    code = "take_forbidden"


class RobotOffline(AuthorityError):
    code = "robot_offline"


class RunFenced(SopError):
    code = "run_fenced"


class RunNotRunning(SopError):
    code = "run_not_running"
