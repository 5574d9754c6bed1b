"""`python scripts/docs.py`: build the documentation site; fail on a broken link or a page that loads from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "var" / "site"
# What a browser fetches by itself; links that a person follows may lead anywhere.
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", re.I
)
_CANONICAL = re.compile(r"""rel=["']?(?:canonical|alternate|next|prev)""")


def foreign(page: str) -> list[str]:
    """Return what a page loads from another host."""
    return [match[1] for match in _LOADED.finditer(page) if not _CANONICAL.search(match[0])]


def main() -> int:
    began = time.monotonic()
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's, on every build
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean"]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    if done.returncode:
        return done.returncode
    pages = sorted(SITE.rglob("*.html"))
    found = [(page.relative_to(SITE), url) for page in pages for url in foreign(page.read_text())]
    for page, url in found:
        print(f"{page} loads {url}", file=sys.stderr)
    print(f"{len(pages)} pages in {SITE.relative_to(ROOT)}, {time.monotonic() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
