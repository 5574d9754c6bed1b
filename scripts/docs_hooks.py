"""Of mkdocs.yml: every decision (docs/adr) joins the navigation, and Swagger UI comes from pip instead of a CDN."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import drf_spectacular_sidecar

SWAGGER = Path(drf_spectacular_sidecar.__file__).parent / "static" / "drf_spectacular_sidecar" / "swagger-ui-dist"
FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
# Pages that may be there or not: written beside this one, and put where they belong.
LATER = {"reliability.md": "Reliability", "capacity.md": "Capacity", "real-robots.md": "Real robots"}


def on_config(config: Any) -> Any:
    docs = Path(config["docs_dir"])
    built = next(section["How it is built"] for section in config["nav"] if "How it is built" in section)
    built += [{title: name} for name, title in LATER.items() if (docs / name).is_file()]
    built.append({"Decisions": [f"adr/{path.name}" for path in sorted((docs / "adr").glob("*.md"))]})
    return config


def on_post_build(config: Any) -> None:
    target = Path(config["site_dir"]) / "assets" / "swagger"
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(SWAGGER / name, target / name)
