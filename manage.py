#!/usr/bin/env python
"""Django's command line. Settings default to development; deployments set DJANGO_SETTINGS_MODULE."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
    os.environ.pop("SOP_METRICS_DIR", None)  # a command of seconds would leave files that the exporter reads for ever
    execute_from_command_line(sys.argv)
