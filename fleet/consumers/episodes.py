"""Answers to a robot's uploads: services called, their errors turned into refusals."""

from __future__ import annotations

import logging

from fleet.clock import to_ns
from fleet.errors import VideoCheckSlow
from fleet.protocol import tracing
from fleet.protocol.errors import InvalidManifest, SopError
from fleet.protocol.messages import (
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    ShadowEpisode,
    UploadGrant,
    UploadRequest,
)
from fleet.services.episode_check import ObjectAbsent
from fleet.services.episode_refusal import episode_refusal_forget, episode_refusal_note
from fleet.services.episode_turn import episode_register_in_turn
from fleet.services.episode_upload import episode_upload_grant
from fleet.services.shadow import shadow_episode_note
from fleet.storage import ConfigurationInvalid, StoreUnavailable
from fleet.telemetry import episode_registered, upload_refused

logger = logging.getLogger(__name__)


def answer_upload(robot_id: str, request: UploadRequest, *, takes_parts: bool = False) -> UploadGrant | EpisodeRefused:
    """Return where to PUT the objects, or why not. `takes_parts`: the daemon named PARTS_CAPABILITY."""
    try:
        targets = episode_upload_grant(
            episode_id=request.episode_id, objects=request.objects, parts=request.parts, takes_parts=takes_parts
        )
    except Exception as error:  # each kind is told apart in _refusal
        return _refusal(robot_id, request.episode_id, error)
    return UploadGrant(episode_id=request.episode_id, targets=targets)


def answer_ready(robot_id: str, ready: EpisodeReady) -> EpisodeRegistered | EpisodeRefused:
    """Register the episode, or say why not and whether it is worth trying again."""
    parent, about = ready.manifest.traceparent or "", {"sop.episode": ready.episode_id, "sop.robot": robot_id}
    try:
        if ready.episode_id != ready.manifest.episode_id:
            raise InvalidManifest("the ids differ", field="episode_id")
        with tracing.span("server.register", parent=parent, kind="SERVER", attributes=about):
            row = episode_register_in_turn(robot_id=robot_id, manifest=ready.manifest, uploaded_ns=ready.uploaded_ns)
        episode_refusal_forget(robot_id=robot_id, episode_id=ready.episode_id)
    except Exception as error:  # each kind is told apart in _refusal
        return _refusal(robot_id, ready.episode_id, error)
    episode_registered(row.size_bytes)
    if isinstance(ready.shadow, ShadowEpisode):
        _note_shadow(robot_id, ready.episode_id, ready.shadow)
    return EpisodeRegistered(episode_id=ready.episode_id, indexed_ns=to_ns(row.indexed_at))


def _note_shadow(robot_id: str, episode_id: str, found: ShadowEpisode) -> None:
    """Keep what a candidate proposed. What cannot be kept costs nobody the episode, which is registered."""
    try:
        shadow_episode_note(robot_id=robot_id, episode_id=episode_id, found=found)
    except SopError as error:
        event = {"robot": robot_id, "episode": episode_id, "code": error.code, "text": error.message}
        logger.warning("shadow not kept", extra={"event": event})
    except Exception:  # a defect here, too
        logger.exception("shadow failed", extra={"event": {"robot": robot_id, "episode": episode_id}})


def _refusal(robot_id: str, episode_id: str, error: Exception) -> EpisodeRefused:
    """What the robot did wrong is final. A missing object, a slow check, a failure of ours or our store's is not."""
    upload_refused(error.code if isinstance(error, SopError) else "internal")
    if not isinstance(error, SopError):
        logger.error("episode failed", extra={"event": {"episode": episode_id[:36]}}, exc_info=error)
        return EpisodeRefused(
            episode_id=episode_id, code="internal", message="the server failed on this episode", is_final=False
        )
    event = {"episode": episode_id[:36], "code": error.code, "text": error.message}
    logger.warning("episode refused", extra={"event": event})
    is_final = not isinstance(error, ObjectAbsent | VideoCheckSlow | StoreUnavailable | ConfigurationInvalid)
    if is_final:
        _note_refusal(robot_id, episode_id, error)
    return EpisodeRefused(episode_id=episode_id, code=error.code, message=error.message[:2000], is_final=is_final)


def _note_refusal(robot_id: str, episode_id: str, error: SopError) -> None:
    """For people. Without the note the robot is told all the same, and its own log says so."""
    try:
        episode_refusal_note(robot_id=robot_id, episode_id=episode_id, code=error.code, message=error.message)
    except Exception:
        logger.exception("refusal not noted", extra={"event": {"robot": robot_id, "episode": episode_id[:36]}})
