"""A developer's machine and the demo: loopback, plain HTTP, no debug pages unless SOP_DEBUG=1."""

from sop_web.settings.base import *  # noqa: F403
