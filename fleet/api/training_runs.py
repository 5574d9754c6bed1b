"""Training runs: the list with its trend of success, one run, what its charts and its episodes' sidecars say."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_episode_by_id, access_training_run_by_id, access_training_runs, coverage_of
from fleet.api.idempotency import idempotent
from fleet.api.sparse import SparseFields
from fleet.api.training_start import RunStartedOut, RunStartIn, run_start
from fleet.clock import to_ms
from fleet.models import PolicyVersion, TrainingRun
from fleet.scopes import Needs, Scope
from fleet.selectors.policy import policy_versions_newest
from fleet.selectors.run_metrics import MAX_NAMES, MAX_POINTS, run_metric_names, run_metric_series
from fleet.selectors.sidecar import run_sidecar_columns
from fleet.selectors.success import success_trends
from fleet.selectors.training import run_began_from, run_experience, steps_per_s


class RateOut(serializers.Serializer[Any]):
    successes = serializers.IntegerField()
    n = serializers.IntegerField()
    rate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class TrainingRunOut(serializers.ModelSerializer[TrainingRun]):
    """`newest_version`: number and time are null before the first. `success`: see `success_trends`, oldest first.

    `state` is what the learner has confirmed. `asked`: paused or stopped, from the end of the round that it works at;
    empty if nothing is asked.
    """

    newest_version = serializers.IntegerField(allow_null=True, read_only=True)
    newest_version_at = serializers.DateTimeField(allow_null=True, read_only=True)
    success = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields = (
            "id",
            "name",
            "algorithm",
            "state",
            "step",
            "target_steps",
            "failure_code",
            "created_at",
            "heartbeat_at",
            "newest_version",
            "newest_version_at",
            "success",
            "asked",
            "asked_at",
        )

    @extend_schema_field(RateOut(many=True))
    def get_success(self, run: TrainingRun) -> Any:
        return RateOut(self.context["trends"].get(run.id, []), many=True).data


class ExperienceOut(serializers.Serializer[Any]):
    usable = serializers.IntegerField()
    ingested = serializers.IntegerField()
    sampled = serializers.IntegerField()
    frames = serializers.IntegerField()
    human_frames = serializers.IntegerField()


class RunDatasetOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    split = serializers.CharField()


class RunNameOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class RunBaseOut(serializers.Serializer[Any]):
    """A version of another run."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    run = serializers.UUIDField(source="run_id")
    run_name = serializers.CharField(source="run.name")


class TrainingRunDetailOut(TrainingRunOut):
    """`config`: what was set for this run, in the learner's terms; what is missing has the learner's default.

    `revision` goes into If-Match, in quotes. `began_from`: null for an imported base.

    `dataset`: its offline source, null for all demonstrations; `split` empty: all of it.
    """

    tasks = serializers.SlugRelatedField[Any](slug_field="slug", many=True, read_only=True)
    steps_per_s = serializers.SerializerMethodField()
    experience = serializers.SerializerMethodField()
    dataset = serializers.SerializerMethodField()
    began_from = serializers.SerializerMethodField()
    copied_from = RunNameOut(allow_null=True, read_only=True)

    class Meta(TrainingRunOut.Meta):
        fields = (  # type: ignore[assignment]
            *TrainingRunOut.Meta.fields,
            "failure_message",
            "config",
            "seed",
            "tasks",
            "epoch",
            "steps_per_s",
            "experience",
            "dataset",
            "takes_online",
            "asked_by_name",
            "revision",
            "began_from",
            "copied_from",
        )

    def get_steps_per_s(self, run: TrainingRun) -> float:
        return steps_per_s(run=run)

    @extend_schema_field(RunDatasetOut(allow_null=True))
    def get_dataset(self, run: TrainingRun) -> Any:
        version = run.dataset_version
        if version is None:
            return None
        source = {"id": version.dataset_id, "name": version.dataset.name, "version": version.number}
        return RunDatasetOut(source | {"split": run.dataset_split}).data

    @extend_schema_field(RunBaseOut(allow_null=True))
    def get_began_from(self, run: TrainingRun) -> Any:
        base = run_began_from(run=run)
        return None if base is None else RunBaseOut(base).data

    @extend_schema_field(ExperienceOut)
    def get_experience(self, run: TrainingRun) -> Any:
        return ExperienceOut(run_experience(run=run, coverage=coverage_of(self.context["request"].user))).data


class SeriesIn(serializers.Serializer[Any]):
    name = serializers.ListField(
        child=serializers.CharField(max_length=200), min_length=1, max_length=MAX_NAMES, help_text="Repeated."
    )
    since_step = serializers.IntegerField(min_value=0, max_value=2**62, required=False, default=None)
    last_s = serializers.FloatField(min_value=1, max_value=366 * 86400, required=False, default=None)
    max_points = serializers.IntegerField(min_value=1, max_value=MAX_POINTS, default=300)


class OneSeriesOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    mean = serializers.ListField(child=serializers.FloatField(allow_null=True))
    low = serializers.ListField(child=serializers.FloatField(allow_null=True))
    high = serializers.ListField(child=serializers.FloatField(allow_null=True))


class RunSeriesOut(serializers.Serializer[Any]):
    width = serializers.IntegerField()
    last_step = serializers.IntegerField(allow_null=True)
    step = serializers.ListField(child=serializers.IntegerField())
    at_ms = serializers.ListField(child=serializers.IntegerField())
    series = OneSeriesOut(many=True)


class NamesOut(serializers.Serializer[Any]):
    names = serializers.ListField(child=serializers.CharField())


class RunVersionOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    step = serializers.IntegerField()
    published_ms = serializers.IntegerField()


class RunVersionsOut(serializers.Serializer[Any]):
    versions = RunVersionOut(many=True)


class SidecarOut(serializers.Serializer[Any]):
    """`columns`: by name, one number a frame, null where there is none. RECAP: return, value, advantage, indicator."""

    columns = serializers.DictField(child=serializers.ListField(child=serializers.FloatField(allow_null=True)))


def _runs_seen(user: Any) -> QuerySet[TrainingRun]:
    newest = PolicyVersion.objects.filter(run=OuterRef("pk")).order_by("-number")
    return access_training_runs(user).annotate(
        newest_version=Subquery(newest.values("number")[:1]),
        newest_version_at=Subquery(newest.values("published_at")[:1]),
    )


class TrainingRunList(SparseFields, generics.ListAPIView[TrainingRun]):
    needs = Needs(read=Scope.TRAINING_READ, write=Scope.TRAINING_WRITE)
    serializer_class = TrainingRunOut
    ordering = ("-created_at", "id")
    queryset = TrainingRun.objects.none()

    def get_queryset(self) -> QuerySet[TrainingRun]:
        return _runs_seen(self.request.user)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of runs, each with its trend of autonomous success."""
        page = self.paginate_queryset(self.get_queryset()) or []
        trends = success_trends(run_ids=[run.id for run in page], coverage=coverage_of(request.user))
        rows = [TrainingRunOut(run, context={"trends": trends}).data for run in page]
        return self.get_paginated_response(rows)

    @extend_schema(request=RunStartIn, responses={201: RunStartedOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a run from a version's weights. 422 with `problems` names every setting that is refused."""
        run = run_start(request)
        return Response(RunStartedOut(run).data, status=201)


class TrainingRunDetail(SparseFields, generics.RetrieveAPIView[TrainingRun]):
    needs = Needs(read=Scope.TRAINING_READ)
    serializer_class = TrainingRunDetailOut
    queryset = TrainingRun.objects.none()

    def get_queryset(self) -> QuerySet[TrainingRun]:
        return (
            _runs_seen(self.request.user)
            .select_related("dataset_version__dataset", "copied_from")
            .prefetch_related("tasks")
        )

    def get_serializer_context(self) -> dict[str, Any]:
        pk = self.kwargs.get("pk")  # none while the schema is generated
        trends = success_trends(run_ids=[pk], coverage=coverage_of(self.request.user)) if pk else {}
        return {**super().get_serializer_context(), "trends": trends}


class RunMetricsView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[SeriesIn], responses=RunSeriesOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the named series over at most `max_points` buckets of equally many gradient steps.

        `mean`, `low` and `high` align with `step` and `at_ms`, the last of each bucket; they are null where nothing was
        reported, and empty lists for a name without any value there. `since_step`: later rows only. `last_s`: only rows
        of so many seconds before the newest.
        """
        run = access_training_run_by_id(request.user, pk)
        query = SeriesIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        names = list(dict.fromkeys(asked.pop("name")))
        found = run_metric_series(run_id=run.id, names=names, **asked)
        # Not through RunSeriesOut: its fields would look at each of some ten thousand numbers.
        return Response({**vars(found), "series": [vars(series) for series in found.series]})


class RunMetricNamesView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(responses=NamesOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return every name that the run reported, sorted."""
        run = access_training_run_by_id(request.user, pk)
        return Response({"names": run_metric_names(run_id=run.id)})


class RunVersionsView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(responses=RunVersionsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the newest 500 versions of the run by number, as marks for its charts."""
        run = access_training_run_by_id(request.user, pk)
        marks = [
            {"number": version.number, "step": version.step, "published_ms": to_ms(version.published_at)}
            for version in policy_versions_newest(run=run)
        ]
        return Response({"versions": marks})


class RunSidecarView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(responses=SidecarOut)
    def get(self, request: Request, pk: uuid.UUID, episode_id: uuid.UUID) -> Response:
        """Return what the run's algorithm derived of an episode's frames; 404 until it has."""
        run, episode = access_training_run_by_id(request.user, pk), access_episode_by_id(request.user, episode_id)
        return Response({"columns": run_sidecar_columns(run_id=run.id, episode_id=episode.id)})
