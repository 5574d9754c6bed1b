"""Tests: real PostgreSQL and Redis, quick password hashing, no connection pool.

Without the pool a connection closes with its thread's work, so the test database can be dropped at the end.
"""

from sop_web.settings.base import *  # noqa: F403
from sop_web.settings.base import DATABASES, REST_FRAMEWORK

DATABASES["default"]["OPTIONS"].pop("pool")
DATABASES["default"]["TEST"] = {"NAME": "test_sop"}
DATABASES["default"]["ENGINE"] = "tests.database"  # PostgreSQL that is emptied sooner
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# All tests come from one address within minutes; those about the limits set them.
SOP_RATE_TOKEN_PER_MIN = SOP_RATE_USER_PER_MIN = SOP_RATE_ADDRESS_PER_MIN = 1_000_000
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"login": None, "enrol": None, "welcome": None}
SOP_SIGN_IN_FAILURES = 1000  # all tests share one Redis
SOP_DEFAULT_ROLE = "operator"  # most tests are about people who drive and label; those about roles give them
