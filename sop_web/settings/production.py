"""Production: HTTPS only, and no start with a value that is unsafe outside a developer's machine."""

from django.core.exceptions import ImproperlyConfigured

from sop_web.settings.base import *  # noqa: F403
from sop_web.settings.base import ALLOWED_HOSTS, ENVIRONMENT, REST_FRAMEWORK
from sop_web.unsafe import unsafe_values

_problems = unsafe_values(ENVIRONMENT)
if _problems:
    raise ImproperlyConfigured("refusing to start: " + "; ".join(_problems))

DEBUG = False
SOP_STORE_REQUIRE_MARKER = True
ALLOWED_HOSTS = list(ALLOWED_HOSTS)
REST_FRAMEWORK["NUM_PROXIES"] = 1  # the one in front
WHITENOISE_AUTOREFRESH = False
WHITENOISE_USE_FINDERS = False
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^readyz$"]  # supervisors on this machine ask past the proxy that has the certificate
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # set by the proxy in front, which drops the client's own
SECURE_HSTS_SECONDS = 31536000
# This server speaks for its own name: whether its subdomains have certificates, and whether browsers shall ship with
# the name, is for whoever owns the domain.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
