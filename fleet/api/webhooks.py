"""Webhooks over HTTP: admins make, change, rotate, test and remove them, and read what was sent."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_webhook_by_id, access_webhooks
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.models import Webhook, WebhookDelivery
from fleet.outbound.addresses import MAX_URL
from fleet.scopes import Needs, Scope
from fleet.services.webhook import (
    webhook_create,
    webhook_redeliver,
    webhook_remove,
    webhook_rotate,
    webhook_test,
    webhook_update,
)

ADMIN = Needs(read=Scope.ADMIN, write=Scope.ADMIN)


class WebhookOut(serializers.ModelSerializer[Webhook]):
    """`revision` is the ETag. `failing_since`: null while the last delivery arrived. `dropped`: events not kept, too
    many waited."""

    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = Webhook
        fields = (
            "id",
            "name",
            "url",
            "events",
            "is_active",
            "disabled_reason",
            "failing_since",
            "rotated_at",
            "dropped",
            "revision",
            "created_at",
            "created_by",
        )


class WebhookSecretOut(serializers.Serializer[Any]):
    """`secret` is shown this once."""

    webhook = WebhookOut()
    secret = serializers.CharField()


class WebhooksOut(serializers.Serializer[Any]):
    results = WebhookOut(many=True)


class WebhookIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    url = serializers.CharField(max_length=MAX_URL)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Webhook.Event.choices), min_length=1, max_length=len(Webhook.Event)
    )


class WebhookChange(serializers.Serializer[Any]):
    """What is left out stays."""

    name = serializers.CharField(max_length=100, required=False)
    url = serializers.CharField(max_length=MAX_URL, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Webhook.Event.choices),
        min_length=1,
        max_length=len(Webhook.Event),
        required=False,
    )
    is_active = serializers.BooleanField(required=False)


class DeliveryOut(serializers.ModelSerializer[WebhookDelivery]):
    """`event_id` without dashes is in the header webhook-id; `last_*` are of the newest attempt."""

    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "event_id",
            "event",
            "payload",
            "state",
            "attempts",
            "next_try_at",
            "last_status",
            "last_ms",
            "last_error",
            "last_at",
            "created_at",
        )


class WebhookList(APIView):
    needs = ADMIN
    idempotency_exempt = "its answer holds a secret, which must not be kept"

    @extend_schema(operation_id="webhooks_list", responses=WebhooksOut)
    def get(self, request: Request) -> Response:
        """Return all webhooks, at most 50, the oldest first."""
        return Response(WebhooksOut({"results": access_webhooks(request.user)}).data)

    @extend_schema(request=WebhookIn, responses={201: WebhookSecretOut})
    def post(self, request: Request) -> Response:
        """Make a webhook; the answer alone carries its secret."""
        body = WebhookIn(data=request.data)
        body.is_valid(raise_exception=True)
        webhook, secret = webhook_create(**body.validated_data, user=_person(request))
        return Response(_with_secret(webhook, secret), status=201, headers=etag_of(webhook.revision))


class WebhookDetail(APIView):
    needs = ADMIN

    @extend_schema(responses=WebhookOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one webhook, with its revision as ETag."""
        return _answer(access_webhook_by_id(request.user, pk))

    @extend_schema(request=WebhookChange, responses=WebhookOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change it over the revision in If-Match.

        Turning it on forgets why it was off, and sends what waited less than three days.
        """
        access_webhook_by_id(request.user, pk)
        revision, body = revision_read(request), WebhookChange(data=request.data)
        body.is_valid(raise_exception=True)
        return _answer(webhook_update(webhook_id=pk, revision=revision, **body.validated_data))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Remove it with its log, over the revision in If-Match."""
        access_webhook_by_id(request.user, pk)
        webhook_remove(webhook_id=pk, revision=revision_read(request))
        return Response(status=204)


class WebhookRotateView(APIView):
    needs = ADMIN
    idempotency_exempt = "its answer holds a secret, which must not be kept"

    @extend_schema(request=None, responses=WebhookSecretOut, parameters=[IF_MATCH])
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Make a new secret over the revision in If-Match; for 24 hours the old one signs as well."""
        access_webhook_by_id(request.user, pk)
        webhook, secret = webhook_rotate(webhook_id=pk, revision=revision_read(request))
        return Response(_with_secret(webhook, secret), headers=etag_of(webhook.revision))


class WebhookTestView(APIView):
    needs = ADMIN

    @extend_schema(request=None, responses={202: DeliveryOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Send a test message; the log tells what came of it."""
        access_webhook_by_id(request.user, pk)
        return Response(DeliveryOut(webhook_test(webhook_id=pk)).data, status=202)


class WebhookDeliveryList(generics.ListAPIView[WebhookDelivery]):
    """The messages of the last 30 days, the newest first."""

    needs = Needs(read=Scope.ADMIN)
    serializer_class = DeliveryOut
    ordering = ("-id",)
    queryset = WebhookDelivery.objects.none()

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return WebhookDelivery.objects.filter(webhook=access_webhook_by_id(self.request.user, self.kwargs["pk"]))


class WebhookRedeliverView(APIView):
    needs = ADMIN

    @extend_schema(request=None, responses={202: DeliveryOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID, event_id: uuid.UUID) -> Response:
        """Send a message again under its old id, whatever became of it."""
        access_webhook_by_id(request.user, pk)
        return Response(DeliveryOut(webhook_redeliver(webhook_id=pk, event_id=event_id)).data, status=202)


def _answer(webhook: Webhook) -> Response:
    return Response(WebhookOut(webhook).data, headers=etag_of(webhook.revision))


def _with_secret(webhook: Webhook, secret: str) -> dict[str, Any]:
    return dict(WebhookSecretOut({"webhook": webhook, "secret": secret}).data)


def _person(request: Request) -> AbstractBaseUser:
    if not isinstance(request.user, AbstractBaseUser):
        raise PermissionDenied
    return request.user
