"""The Celery application: `celery -A sop_web.celery worker -Q fleet|learner`, `celery -A sop_web.celery beat`.

All settings, with their reasons, are in `settings/base.py` under CELERY_.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")

app = Celery("sop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()
