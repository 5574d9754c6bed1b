"""axe on the page that is open."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

SETTLED = "() => document.getAnimations().every((each) => !(each instanceof CSSTransition))"  # colours fade over


def violations_in_both_themes(page: Page) -> list[str]:
    """Return what axe finds in light and in dark, on the page as it stands; leaves it dark."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_function(SETTLED)
        found += [f"{scheme}: {each}" for each in violations(page)]
    return found


def violations(page: Page) -> list[str]:
    """Return what axe finds, each with the elements concerned."""
    page.evaluate(AXE.read_text())  # not a script tag: the page's own policy forbids foreign scripts
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{item['id']}: {json.dumps([node['html'][:200] for node in item['nodes']])}" for item in found]
