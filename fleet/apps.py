"""The one Django app."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = "Fleet"

    def ready(self) -> None:
        """Watch Celery; here, because the metrics' library must be imported after the settings were read."""
        from fleet.task_watch import connect

        connect()
