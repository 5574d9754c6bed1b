"""`manage.py store_cors [--origin URL] [--print]`: let the console's pages send archives straight to the bucket.

A browser asks the bucket first whether a page of the console may PUT there (CORS). Run once for a bucket, with
credentials in AWS_* that may change its CORS; the server itself needs none. Other rules of the bucket stay.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.protocol.errors import SopError
from fleet.selectors.objects import object_store
from fleet.storage.s3 import S3Store, cors_rule

_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")


class Command(BaseCommand):
    help = "Allow uploads by the browser in the CORS rules of the bucket."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--origin", action="append", type=_origin, metavar="URL",
            help="scheme, host and port of the console; may be repeated (default: SOP_PUBLIC_URL)",
        )  # fmt: skip
        parser.add_argument("--print", action="store_true", help="print the rule as JSON; nothing changes")

    def handle(self, *args: Any, **options: Any) -> None:
        origins = options["origin"] or [settings.SOP_PUBLIC_URL]
        if options["print"]:
            self.stdout.write(json.dumps({"CORSRules": [cors_rule(origins)]}, indent=2))
            return
        store = object_store()
        if not isinstance(store, S3Store):
            raise CommandError("OBJECT_STORE_URL is a folder: uploads go to this server, which needs no CORS")
        try:
            store.allow_uploads(origins)
        except SopError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        self.stdout.write(f"Pages of {', '.join(origins)} may PUT archives to the bucket.")


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise CommandError(f"--origin is scheme, host and port, as https://fleet.example, not '{text}'")
    return text
