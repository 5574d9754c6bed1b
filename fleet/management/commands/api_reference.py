"""Writes openapi.yaml, api-errors.md and access.md in docs/ from the code; `--check` compares. `make openapi`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from fleet.api import error_catalog
from fleet.management.commands import access_matrix

DOCS = Path(__file__).resolve().parents[3] / "docs"


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail if a file differs from the code")

    def handle(self, *args: Any, **options: Any) -> None:
        files = {
            DOCS / "openapi.yaml": openapi_yaml(),
            DOCS / "api-errors.md": error_catalog.as_markdown(),
            DOCS / "access.md": access_matrix.as_markdown(),
        }
        if not options["check"]:
            for path, text in files.items():
                path.write_text(text)
            return
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
        if stale:
            raise CommandError(f"{' and '.join(stale)} differ from the code: run `make openapi` and commit them")


def openapi_yaml() -> str:
    """Return the schema. Raises: CommandError if drf-spectacular had to guess."""
    GENERATOR_STATS.reset()
    generator: Any = SchemaGenerator  # untyped, like the renderer
    schema = generator().get_schema(request=None, public=True)
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise CommandError("the schema has warnings, see above")
    renderer: Any = OpenApiYamlRenderer()
    rendered: bytes = renderer.render(schema, renderer_context={})
    return rendered.decode()
