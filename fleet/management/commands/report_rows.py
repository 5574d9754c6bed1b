"""`manage.py report_rows --json [--since-ms N] [--spans]`: what the rows know of a run, for the demo's report."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleet.clock import from_ns
from fleet.selectors.latency import episode_spans, version_spans
from fleet.selectors.report import rows_report


class Command(BaseCommand):
    help = "Print counts, success and latencies of the online episodes and policy versions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of indented JSON")
        parser.add_argument("--since-ms", type=int, default=None, help="only what ended or was published since then")
        parser.add_argument("--spans", action="store_true", help="with the single spans behind the percentiles")

    def handle(self, *args: Any, **options: Any) -> None:
        since = from_ns(options["since_ms"] * 1_000_000) if options["since_ms"] is not None else None
        report = rows_report(since=since)
        if options["spans"]:
            report["spans_s"] = episode_spans(since=since) | version_spans(since=since)
        self.stdout.write(json.dumps(report, indent=None if options["json"] else 2))
