"""The demo's accounts: generated at the first start and kept in a file that only its owner may read."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from sop_web.embedded import system


@dataclass(frozen=True)
class Credentials:
    """Passwords by the names that `manage.py demo_seed` creates; `admin` may also open /admin/."""

    admin: str
    manager: str
    operator: str

    def environment(self) -> dict[str, str]:
        """Return the variables that `demo_seed` reads."""
        return {f"SOP_{name.upper()}_PASSWORD": password for name, password in asdict(self).items()}


def kept_credentials(data_dir: Path) -> Credentials:
    """Return the accounts of <data_dir>/demo/credentials.json, made at the first call."""
    path = data_dir / "demo" / "credentials.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Credentials(*(secrets.token_urlsafe(12) for _ in range(3)))
        system.write_secret(path, json.dumps(asdict(made), indent=2))
    return Credentials(**json.loads(path.read_text()))
