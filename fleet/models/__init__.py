"""Rows: the truth of the system. Invariants live here as database constraints; writes go through `fleet.services`."""

from fleet.models.alert import Alert, AlertMail, AlertRule
from fleet.models.api_token import ApiToken
from fleet.models.audit import AuditEntry
from fleet.models.dataset import Dataset, DatasetCandidate, DatasetEpisode, DatasetVersion
from fleet.models.dataset_import import DatasetImport
from fleet.models.episode import Episode, Segment
from fleet.models.episode_label import EpisodeLabel, SavedFilter
from fleet.models.episode_refusal import EpisodeRefusal
from fleet.models.export import Export, ExportEpisode, ExportFile
from fleet.models.help import HelpRequest, HelpSettings
from fleet.models.idempotency import IdempotentRequest
from fleet.models.lease import Lease
from fleet.models.people_group import PeopleGroup
from fleet.models.person import Person, PersonLink, UserSession
from fleet.models.policy import PolicyDeployment, PolicyVersion
from fleet.models.retention import RetentionRule
from fleet.models.robot import EnrolmentToken, Robot, RobotKey
from fleet.models.robot_state import RobotStateInterval
from fleet.models.rollout import ReleaseTrack, Rollout, RolloutEvent
from fleet.models.rollup import EpisodeRollup
from fleet.models.shadow import Shadow, ShadowResult, ShadowRobot
from fleet.models.stop import RobotStop
from fleet.models.storage import StorageState
from fleet.models.task import Assignment, Task, TaskWording
from fleet.models.training import RunMetric, TrainingRound, TrainingRun
from fleet.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "Alert",
    "AlertMail",
    "AlertRule",
    "ApiToken",
    "Assignment",
    "AuditEntry",
    "Dataset",
    "DatasetCandidate",
    "DatasetEpisode",
    "DatasetImport",
    "DatasetVersion",
    "EnrolmentToken",
    "Episode",
    "EpisodeLabel",
    "EpisodeRefusal",
    "EpisodeRollup",
    "Export",
    "ExportEpisode",
    "ExportFile",
    "HelpRequest",
    "HelpSettings",
    "IdempotentRequest",
    "Lease",
    "PeopleGroup",
    "Person",
    "PersonLink",
    "PolicyDeployment",
    "PolicyVersion",
    "ReleaseTrack",
    "RetentionRule",
    "Robot",
    "RobotKey",
    "RobotStateInterval",
    "RobotStop",
    "Rollout",
    "RolloutEvent",
    "RunMetric",
    "SavedFilter",
    "Segment",
    "Shadow",
    "ShadowResult",
    "ShadowRobot",
    "StorageState",
    "Task",
    "TaskWording",
    "TrainingRound",
    "TrainingRun",
    "UserSession",
    "Webhook",
    "WebhookDelivery",
]
