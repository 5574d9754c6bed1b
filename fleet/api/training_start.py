"""Start a training run: the body that is asked for, and the rows that it names."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from fleet.access import access_dataset_version, access_policy_versions, access_training_run_by_id
from fleet.api.dataset_query import Strict
from fleet.errors import InvalidRequest, NotFound
from fleet.models import DatasetVersion, PolicyVersion, TrainingRun
from fleet.services.training_launch import RunWish, training_run_launch

MAX_TASKS = 500


class RunDatasetIn(Strict):
    """A frozen version of a dataset. `split`: empty for all of it."""

    id = serializers.UUIDField()
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    split = serializers.CharField(max_length=32, allow_blank=True, default="")


class RunStartIn(Strict):
    """`base`: id of the policy version whose weights the run begins from. `tasks`: slugs, none for all.

    `dataset`: its offline source in place of all demonstrations. `takes_online`: new episodes of robots come to it, and
    robots get its versions; without it the run needs a dataset and `target_steps`. `config`: as `training-settings`
    describes it, nested by the paths' points; what is left out has the learner's default. `copied_from`: id of the run
    whose settings these were.
    """

    name = serializers.CharField(max_length=200)
    base = serializers.UUIDField()
    algorithm = serializers.CharField(max_length=100, default="hg_dagger")
    config = serializers.DictField(required=False)
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    tasks = serializers.ListField(child=serializers.SlugField(max_length=100), max_length=MAX_TASKS, default=list)
    dataset = RunDatasetIn(required=False, allow_null=True)
    takes_online = serializers.BooleanField(default=True)
    target_steps = serializers.IntegerField(min_value=1, max_value=2**62, required=False, allow_null=True)
    copied_from = serializers.UUIDField(required=False, allow_null=True)


class RunStartedOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


def run_start(request: Request) -> TrainingRun:
    """Start the run that the body describes. Raises: InvalidRequest, and as `training_run_launch`."""
    body = RunStartIn(data=request.data)
    body.is_valid(raise_exception=True)
    asked = body.validated_data
    frozen, copied_from = asked.get("dataset"), asked.get("copied_from")
    wish = RunWish(
        name=asked["name"],
        algorithm=asked["algorithm"],
        base=_base(request, asked["base"]),
        config=asked.get("config", {}),
        seed=asked["seed"],
        task_slugs=tuple(asked["tasks"]),
        dataset_version=_dataset_version(request, frozen) if frozen else None,
        dataset_split=frozen["split"] if frozen else "",
        takes_online=asked["takes_online"],
        target_steps=asked.get("target_steps"),
        copied_from=_copied_from(request, copied_from) if copied_from else None,
    )
    return training_run_launch(wish=wish)


def _base(request: Request, version_id: Any) -> PolicyVersion:
    base = access_policy_versions(request.user).filter(id=version_id).first()
    if base is None:
        raise InvalidRequest("there is no such policy version", field="base")
    return base


def _dataset_version(request: Request, asked: Any) -> DatasetVersion:
    try:
        return access_dataset_version(request.user, asked["id"], asked["version"])
    except NotFound:
        raise InvalidRequest("there is no such version of a dataset", field="dataset") from None


def _copied_from(request: Request, run_id: Any) -> TrainingRun:
    try:
        return access_training_run_by_id(request.user, run_id)
    except NotFound:
        raise InvalidRequest("there is no such training run", field="copied_from") from None
