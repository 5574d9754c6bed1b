"""The console names the permissions that the server knows, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.permissions import Permission

CONSOLE = Path(__file__).parents[2] / "frontend" / "src" / "lib" / "permissions.ts"


def test_the_console_has_words_for_every_permission() -> None:
    table = CONSOLE.read_text().partition("const doing = {")[2].partition("}")[0]
    assert re.findall(r"^ {2}(\w+): ", table, re.MULTILINE) == [permission.value for permission in Permission]
