"""`python -m sop_web.embedded [--data-dir DIR] COMMAND ...`: run a command with its own PostgreSQL and Redis.

The command gets DATABASE_URL and REDIS_URL (and SOP_DATA_DIR); without --data-dir everything is thrown away afterwards.
For benchmarks and for work on one part: `python -m sop_web.embedded --data-dir var/dev bash`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from sop_web.embedded import start_services
from sop_web.embedded.errors import EmbeddedError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sop_web.embedded", description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if not given.command:
        parser.error("a command is missing")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with contextlib.ExitStack() as stack:
        data_dir = given.data_dir
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sop-")))
            data_dir.chmod(0o711)  # PostgreSQL's own OS user must get through
        try:
            services = stack.enter_context(start_services(data_dir))
        except EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
        urls = {"DATABASE_URL": services.database_url, "REDIS_URL": services.redis_url}
        with contextlib.suppress(KeyboardInterrupt):
            return subprocess.call(given.command, env={**os.environ, **urls, "SOP_DATA_DIR": str(data_dir)})
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
