"""`python -m fleet.client`, the same as the command `sop`."""

import sys

from fleet.client.cli import main

sys.exit(main())
