"""The documentation site's own rules; that it builds without a broken link is `make docs`, a step of `make check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts.docs import foreign

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<link rel=stylesheet href=//fonts.example/css>",
        '<img alt="x" src="http://images.example/a.png">',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(page: str) -> None:
    assert len(foreign(f"<p>{page}</p>")) == 1


@pytest.mark.parametrize(
    "page",
    ['<a href="https://example.org">x</a>', '<script src="assets/a.js"></script>',
     '<link rel="canonical" href="https://example.org/">'],
)  # fmt: skip
def test_what_a_person_follows_may_lead_anywhere(page: str) -> None:
    assert foreign(page) == []


def test_the_site_is_strict_and_asks_nobody() -> None:
    """No fonts of others, no analytics; every link that leads nowhere is a failure."""
    found = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert found["strict"] is True and found["theme"]["font"] is False
    assert "analytics" not in found.get("extra", {}) and not {"extra_css", "extra_javascript"} & set(found)
    links = found["validation"]["links"]
    assert all(links[name] == "warn" for name in ("not_found", "anchors", "absolute_links", "unrecognized_links"))
    assert found["validation"]["nav"]["omitted_files"] == "warn"
    makefile = (ROOT / "Makefile").read_text()
    assert "check-python" in makefile.split("\ncheck:")[1].split("##")[0].split()
    assert "$(BIN)/python scripts/docs.py" in makefile.split("\ncheck-python:")[1].split("\n\n")[0]


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(lines)):
        assert target.startswith("https://") or (ROOT / target).exists(), target
