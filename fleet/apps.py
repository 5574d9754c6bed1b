"""The one Django app."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = "Fleet"

    def ready(self) -> None:
        """Register checks, watch Celery. Not above: the metrics' library is imported after the settings were read."""
        from fleet import checks  # noqa: F401
        from fleet.task_watch import connect

        connect()
