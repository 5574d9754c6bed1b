"""`python -m sop_web.demo [run|reset] [options]`: what `make demo` and `make demo-reset` call."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from sop_web.demo.config import parse_arguments
from sop_web.demo.processes import DemoError
from sop_web.demo.reset import reset
from sop_web.demo.run import Demo
from sop_web.embedded.errors import EmbeddedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first signal unwinds and stops everything; later ones must not cut that short."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    action, config = parse_arguments(sys.argv[1:])
    for each in _SIGNALS:
        signal.signal(each, _interrupt)
    try:
        if action == "reset" or config.is_reset:
            is_cleared = reset(config.data_dir, is_confirmed=config.is_confirmed)
            if action == "reset" or not is_cleared:
                return 0 if is_cleared else 1
        Demo(config).run()
    except (DemoError, EmbeddedError) as error:
        print(f"\nThe demo cannot go on:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
