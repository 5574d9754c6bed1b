"""The command `sop`: a thin layer over `fleet.client`.

Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 130 stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fleet.client.cli.parser import build_parser
from fleet.client.errors import ClientError, Unauthorised


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; results go to stdout, everything else to stderr."""
    given = build_parser().parse_args(arguments)
    try:
        given.run(given)
    except Unauthorised as error:
        print(f"sop: {error}; `sop login URL` signs in anew", file=sys.stderr)
        return 1
    except (ClientError, OSError) as error:
        print(f"sop: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsop: stopped; the same command goes on with what broke off", file=sys.stderr)
        return 130
    return 0
