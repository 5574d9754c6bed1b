"""Imports of datasets over HTTP: create and PUT the archive, check, map, run, cancel. Mappings have an ETag.

1. `POST imports` with the archive's size and SHA-256 answers where to PUT it (or name a folder of the server).
2. `POST imports/<id>/check` asks for a dry run; `GET imports/<id>` shows its progress, then `report`.
3. `GET`/`PUT imports/<id>/mapping`; `POST imports/<id>/mapping/check` says what does not fit and keeps nothing.
4. `POST imports/<id>/run`. The episodes have the tag that the import names, all at once when it is done.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_dataset_import_by_id, access_dataset_imports
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.errors import ImportNotNow, InvalidRequest
from fleet.imports.mapping import Mapping, misfits
from fleet.models import DatasetImport
from fleet.scopes import Needs, Scope
from fleet.services.dataset_import import (
    Upload,
    dataset_import_cancel,
    dataset_import_check,
    dataset_import_create,
    dataset_import_map,
    dataset_import_run,
    import_mapping,
    import_report,
)

NEEDS = Needs(read=Scope.IMPORTS_READ, write=Scope.IMPORTS_WRITE)


class ArchiveIn(serializers.Serializer[Any]):
    size = serializers.IntegerField(min_value=1, max_value=2**62, help_text="Bytes.")
    sha256 = serializers.CharField(min_length=64, max_length=64, help_text="Lower-case hex.")


class ImportIn(serializers.Serializer[Any]):
    """Either `archive`, a tar, tar.gz or zip that will be sent, or `folder`, below one of the server's roots."""

    name = serializers.CharField(max_length=200)
    archive = ArchiveIn(required=False)
    folder = serializers.CharField(max_length=1000, required=False)


class ImportOut(serializers.ModelSerializer[DatasetImport]):
    """`progress` of `progress_total` (0: not known) in bytes while unpacking and hashing, else in episodes.

    `registered`: new episodes, once it is done; `known`: those that an earlier import of the same data had registered.
    """

    tag = serializers.CharField(read_only=True)

    class Meta:
        model = DatasetImport
        fields = (
            "id",
            "name",
            "folder",
            "archive_bytes",
            "digest",
            "state",
            "phase",
            "progress",
            "progress_total",
            "converted",
            "left_out",
            "registered",
            "known",
            "tag",
            "mapping_revision",
            "error_code",
            "error_message",
            "requested_by_name",
            "created_at",
            "changed_at",
            "finished_at",
        )


class ImportDetailOut(ImportOut):
    """`report`: of the dry run, null before it (fleet/imports/report.py)."""

    report = serializers.JSONField(read_only=True, allow_null=True)

    class Meta(ImportOut.Meta):
        fields = (*ImportOut.Meta.fields, "report")  # type: ignore[assignment]


class UploadOut(serializers.Serializer[Any]):
    """Where to PUT the archive, with exactly these headers; a URL that begins with "/" is this server's."""

    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())


class ImportCreatedOut(ImportDetailOut):
    """`upload`: null for a folder."""

    upload = UploadOut(allow_null=True, read_only=True)

    class Meta(ImportDetailOut.Meta):
        fields = (*ImportDetailOut.Meta.fields, "upload")  # type: ignore[assignment]


class ImportOptionsOut(serializers.Serializer[Any]):
    roots = serializers.ListField(child=serializers.CharField())
    archive_bytes = serializers.IntegerField()


class MisfitOut(serializers.Serializer[Any]):
    field = serializers.CharField()
    message = serializers.CharField()


class MisfitsOut(serializers.Serializer[Any]):
    misfits = MisfitOut(many=True)


class MappingOut(MisfitsOut):
    """`revision` is the ETag. `mapping`: fleet/imports/mapping.py."""

    revision = serializers.IntegerField()
    mapping = serializers.JSONField()


class RunIn(serializers.Serializer[Any]):
    """`revision`: of the mapping that was looked at; without it, whatever mapping there is."""

    revision = serializers.IntegerField(min_value=0, max_value=2**31, required=False)


class ImportList(SparseFields, generics.ListAPIView[DatasetImport]):
    needs = NEEDS
    serializer_class = ImportOut
    ordering = ("-created_at", "id")
    queryset = DatasetImport.objects.none()

    def get_queryset(self) -> QuerySet[DatasetImport]:
        return access_dataset_imports(self.request.user)

    @extend_schema(operation_id="imports_create", request=ImportIn, responses={201: ImportCreatedOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Create an import; an archive is then PUT to `upload.url`."""
        body = ImportIn(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        upload = Upload(**given["archive"]) if "archive" in given else None
        row, signed = dataset_import_create(
            user=person_of(request), name=given["name"], upload=upload, folder=given.get("folder", "")
        )
        where = {"url": signed.url, "headers": signed.headers} if signed is not None else None
        return Response({**ImportDetailOut(row).data, "upload": where}, status=201)


class ImportOptions(APIView):
    needs = Needs(read=Scope.IMPORTS_READ)

    @extend_schema(operation_id="imports_options", responses=ImportOptionsOut)
    def get(self, request: Request) -> Response:
        """Return below which folders of the server a dataset may be named, and how large an archive may be."""
        bounds = settings.SOP_IMPORTS
        return Response({"roots": [str(root) for root in bounds.roots], "archive_bytes": bounds.archive_bytes})


class ImportDetail(SparseFields, generics.RetrieveAPIView[DatasetImport]):
    needs = Needs(read=Scope.IMPORTS_READ)
    serializer_class = ImportDetailOut
    queryset = DatasetImport.objects.none()

    def get_queryset(self) -> QuerySet[DatasetImport]:
        return access_dataset_imports(self.request.user)


class ImportCheck(APIView):
    needs = NEEDS

    @extend_schema(operation_id="imports_check", request=None, responses={202: ImportDetailOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Ask for a dry run: nothing is imported, every problem is named."""
        access_dataset_import_by_id(request.user, pk)
        return Response(ImportDetailOut(dataset_import_check(import_id=pk)).data, status=202)


class ImportMapping(APIView):
    needs = NEEDS

    @extend_schema(operation_id="imports_mapping", responses=MappingOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the mapping, at first the proposal of the dry run, with its revision as ETag."""
        return _mapping_answer(access_dataset_import_by_id(request.user, pk))

    @extend_schema(
        operation_id="imports_mapping_replace",
        request=OpenApiTypes.OBJECT,
        responses=MappingOut,
        parameters=[IF_MATCH],
    )
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        """Replace the mapping over the revision in If-Match; 412 if there is a newer one, 422 if it does not fit."""
        access_dataset_import_by_id(request.user, pk)
        revision = revision_read(request)
        return _mapping_answer(dataset_import_map(import_id=pk, mapping=_mapping(request.data), revision=revision))


class ImportMappingCheck(APIView):
    needs = NEEDS
    idempotency_exempt = "it checks, and changes nothing"

    @extend_schema(operation_id="imports_mapping_check", request=OpenApiTypes.OBJECT, responses=MisfitsOut)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Return what of a mapping does not fit; nothing is kept."""
        row = _checked(access_dataset_import_by_id(request.user, pk))
        found = misfits(_mapping(request.data), import_report(row))
        return Response({"misfits": msgspec.to_builtins(found)})


class ImportRun(APIView):
    needs = NEEDS

    @extend_schema(operation_id="imports_run", request=RunIn, responses={202: ImportDetailOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Ask for the import by its mapping. 422 `problems_left` if the data has problems that are not left out."""
        access_dataset_import_by_id(request.user, pk)
        body = RunIn(data=request.data)
        body.is_valid(raise_exception=True)
        row = dataset_import_run(import_id=pk, revision=body.validated_data.get("revision"))
        return Response(ImportDetailOut(row).data, status=202)


class ImportCancel(APIView):
    needs = NEEDS

    @extend_schema(operation_id="imports_cancel", request=None, responses=ImportDetailOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """End an import that is not done; nothing of it stays."""
        access_dataset_import_by_id(request.user, pk)
        return Response(ImportDetailOut(dataset_import_cancel(import_id=pk)).data)


def _checked(row: DatasetImport) -> DatasetImport:
    """Raises: ImportNotNow before the first dry run."""
    if row.report is None or row.mapping is None:
        raise ImportNotNow("the dataset has not been checked yet", state=row.state)
    return row


def _mapping_answer(row: DatasetImport) -> Response:
    _checked(row)
    found = misfits(import_mapping(row), import_report(row))
    body = {"revision": row.mapping_revision, "mapping": row.mapping, "misfits": msgspec.to_builtins(found)}
    return Response(body, headers=etag_of(row.mapping_revision))


def _mapping(data: Any) -> Mapping:
    """Raises: InvalidRequest."""
    try:
        return msgspec.convert(data, Mapping)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"no mapping: {error}", field="mapping") from None
