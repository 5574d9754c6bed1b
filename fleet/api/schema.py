"""The API's own description, OpenAPI made by drf-spectacular from the views."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView

from fleet.api.permissions import MatrixAllows
from fleet.scopes import PUBLIC


class SchemaView(SpectacularAPIView):
    needs = PUBLIC
    permission_classes = (MatrixAllows,)
