"""Settings that hold everywhere. Known traps of the parts are settled here once, each with its reason.

`dev`, `test` and `production` import this and change what differs. Values come from `sop_web.env`.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

import sop_web.celery  # noqa: F401  # every Django process enqueues through this app, not Celery's amqp default
from sop_web.env import REPOSITORY, database_settings, read_environment
from sop_web.logs import logging_config
from sop_web.mail import mail_settings
from sop_web.metrics import keep_in

ENVIRONMENT = read_environment()
keep_in(ENVIRONMENT.metrics_dir)  # before anything imports prometheus_client

SECRET_KEY = ENVIRONMENT.secret_key
DEBUG = ENVIRONMENT.is_debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
ROOT_URLCONF = "sop_web.urls"
ASGI_APPLICATION = "sop_web.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "fleet",
]

MIDDLEWARE = [
    "sop_web.metrics.RequestMetrics",
    "django.middleware.security.SecurityMiddleware",
    "sop_web.loop_middleware.StaticFiles",
    "sop_web.middleware.ContentSecurityPolicy",
    "fleet.api.acting.RequestActor",
    "fleet.api.middleware.ApiHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database ---------------------------------------------------------------------------------------------------------
# Under ASGI each request has its own thread, so CONN_MAX_AGE would leak a connection a thread (Django's documentation);
# the driver's pool is shared by all of them. `check` costs one round trip and survives a restarted server.
DATABASES: dict[str, dict[str, Any]] = {"default": database_settings(ENVIRONMENT.database_url)}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 16, "timeout": 10}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Redis: channel layer and cache -----------------------------------------------------------------------------------
# The pub/sub layer costs 4-8 times less CPU a broadcast than the core layer (limits.md 6). redis-py 8 caps the pool at
# 100 connections; group_discard was lost when many sockets left at once (machine.md 2), hence 5000.
# It delivers at most once, so nothing depends on it: every message is a hint to read the rows again.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": ENVIRONMENT.redis_url, "max_connections": 5000}]},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": ENVIRONMENT.redis_url,
        "KEY_PREFIX": "sop-cache",
        "OPTIONS": {"socket_timeout": 5, "socket_connect_timeout": 5},
    }
}

# --- Celery -----------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = ENVIRONMENT.redis_url
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # rows are the truth; nobody reads results
CELERY_IMPORTS = ["fleet.tasks", "learner.tasks"]  # by name: the web side never imports the learner
CELERY_TASK_DEFAULT_QUEUE = "fleet"
CELERY_TASK_ROUTES = {
    "learner.*": {"queue": "learner"},
    "fleet.webhook*": {"queue": "hooks"},  # receivers may be slow: a queue of their own, before the pattern below
    "fleet.alert_mail": {"queue": "hooks"},
    "fleet.dataset_import*": {"queue": "data"},
    "fleet.storage_*": {"queue": "data"},
    "fleet.retention_*": {"queue": "data"},
    "fleet.export_*": {"queue": "data"},  # long work on files; its own worker, so that the clock on `fleet` never waits
    "fleet.*": {"queue": "fleet"},
}
# Redis has no acknowledgement: what is unacknowledged after this time is delivered again, even if it still runs, so it
# lies above the longest task (limits.md 7). The default scan looks every 10 x 10 s; this one every 5 s (machine.md 6).
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 10,
    "max_connections": 100,
}
SOP_LEARNER_QUEUES = ENVIRONMENT.learner_queues
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # with late acknowledgement a worker must not sit on tasks that others could run
# Cancelling on connection loss lost the task for good in 3 of 3 runs (machine.md 6).
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Short, idempotent tasks are acknowledged after they ran, also when their process was killed.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
# A train round is acknowledged at once: a killed one comes back through fleet.reap with a new epoch, which is quicker
# than the visibility timeout and fences the old holder. Redelivery would only bring messages of dead epochs. So is an
# export, which may take hours: cut at its limit it goes on, as its next attempt, after the last file it finished.
CELERY_TASK_ANNOTATIONS = {
    "learner.train_round": {
        "acks_late": False,
        "reject_on_worker_lost": False,
        "soft_time_limit": 1500,
        "time_limit": 1800,
    },
    "fleet.export_run": {
        "acks_late": False,
        "reject_on_worker_lost": False,
        "soft_time_limit": 6 * 3600,
        "time_limit": 6 * 3600 + 300,
    },
    # As an export; it goes on after the last episode that it staged.
    "fleet.dataset_import": {
        "acks_late": False,
        "reject_on_worker_lost": False,
        "soft_time_limit": 6 * 3600,
        "time_limit": 6 * 3600 + 300,
    },
    # Removing some 100,000 objects of a bucket; below the visibility timeout, and repeated if it is cut.
    "fleet.export_clean": {"soft_time_limit": 2700, "time_limit": 3000},
    "fleet.dataset_import_clean": {"soft_time_limit": 2700, "time_limit": 3000},
}
CELERY_BEAT_SCHEDULE = {
    "reap": {"task": "fleet.reap", "schedule": 5.0, "options": {"expires": 10}},
    "idempotency": {"task": "fleet.idempotency_sweep", "schedule": 300.0, "options": {"expires": 300}},
    "rollups": {"task": "fleet.rollups_compact", "schedule": 60.0, "options": {"expires": 60}},
    "retention": {"task": "fleet.retention_run", "schedule": crontab(hour=3, minute=30), "options": {"expires": 3600}},
    "alerts": {
        "task": "fleet.alerts_evaluate",
        "schedule": ENVIRONMENT.alert_period_s,
        "options": {"expires": ENVIRONMENT.alert_period_s},
    },
    "alert_mail": {"task": "fleet.alert_mail", "schedule": 30.0, "options": {"expires": 30}},
    "webhooks": {"task": "fleet.webhooks_sweep", "schedule": 5.0, "options": {"expires": 10}},
}
CELERY_BEAT_SCHEDULER = "sop_web.beat:Scheduler"  # Celery's own waits for hours after a wall clock that was set back
CELERY_BEAT_SCHEDULE_FILENAME = str(ENVIRONMENT.data_dir / "celerybeat-schedule")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- HTTP -------------------------------------------------------------------------------------------------------------
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "fleet.api.errors.csrf_failure"
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_url]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # of JSON bodies; objects are streamed and limited by their signature
# Bodies above this go to a temporary file instead of memory before the view runs (Django under ASGI, machine.md 3).
FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

# The console is built into frontend/dist; the admin's static files come straight from the packages.
STATIC_URL = "/static/"
STATIC_ROOT = ENVIRONMENT.data_dir / "static"
SOP_FEATURES_DIR = ENVIRONMENT.data_dir / "features"  # the learner's cache of encoded episodes
SOP_TENSORBOARD_DIR = ENVIRONMENT.data_dir / "tensorboard"  # a folder a training run, see learner/tensorboard.py
CONSOLE_DIST = REPOSITORY / "frontend" / "dist"
WHITENOISE_ROOT = CONSOLE_DIST
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # finds a console that is built after the server started; production turns it off

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fleet.api.authentication.BearerAuthentication",
        "fleet.api.authentication.SessionNoted",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["fleet.api.throttling.RateLimit"],
    "DEFAULT_PERMISSION_CLASSES": ["fleet.api.permissions.MatrixAllows"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "fleet.api.schema.Schema",
    "DEFAULT_PAGINATION_CLASS": "fleet.api.pagination.NewestFirst",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "fleet.api.errors.problem_handler",
    # How many proxies may be believed about a client's address; else X-Forwarded-For would get round every throttle.
    "NUM_PROXIES": 0,
    "DEFAULT_THROTTLE_RATES": {"login": "30/min", "enrol": "60/min", "welcome": "30/min"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SOP",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # Choices stay where they are used: as components of their own they need names, and many fields are called "state".
    "POSTPROCESSING_HOOKS": ["fleet.api.schema_hooks.complete"],
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "DESCRIPTION": "Robots, episodes, datasets, training and policy versions of a fleet. docs/api.md is the guide.",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
}

LOGGING = logging_config(ENVIRONMENT.log_format)

# --- Fleet ------------------------------------------------------------------------------------------------------------
SOP_OBJECT_STORE_URL = ENVIRONMENT.object_store_url
SOP_STORE_REQUIRE_MARKER = ENVIRONMENT.is_store_marker_required
SOP_REDIS_URL = ENVIRONMENT.redis_url
SOP_PUBLIC_URL = ENVIRONMENT.public_url
SOP_HEARTBEAT_S = ENVIRONMENT.heartbeat_s
SOP_LEASE_S = ENVIRONMENT.lease_s
SOP_TOKEN_LIFE_S = ENVIRONMENT.token_life_s
SOP_RATE_TOKEN_PER_MIN = ENVIRONMENT.rate_token_per_min
SOP_RATE_USER_PER_MIN = ENVIRONMENT.rate_user_per_min
SOP_RATE_ADDRESS_PER_MIN = ENVIRONMENT.rate_address_per_min
SOP_ICE_SERVERS = ENVIRONMENT.ice_servers
SOP_TURN_SECRET = ENVIRONMENT.turn_secret
SOP_TURN_TTL_S = ENVIRONMENT.turn_ttl_s
SOP_SIGNING_KEYS_FILE = ENVIRONMENT.data_dir / "signing_keys"  # hex seeds, newest first; `manage.py signing_key`
SOP_RUN_STALE_S = ENVIRONMENT.run_stale_s
SOP_RUN_METRIC_ROWS = ENVIRONMENT.run_metric_rows
_MAIL = mail_settings(ENVIRONMENT.smtp_url)
SOP_MAIL_FROM = _MAIL.sender  # empty: nothing is mailed
EMAIL_HOST, EMAIL_PORT = _MAIL.host, _MAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL.user, _MAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL.tls == "starttls", _MAIL.tls == "implicit"
EMAIL_TIMEOUT = 10
SOP_TOTP_ROLES = ENVIRONMENT.totp_roles
SOP_LINK_LIFE_S = ENVIRONMENT.link_life_s
SOP_SIGN_IN_FAILURES = ENVIRONMENT.sign_in_failures
SOP_SIGN_IN_LOCK_S = ENVIRONMENT.sign_in_lock_s
SOP_DEFAULT_ROLE = ENVIRONMENT.default_role
SOP_HELP_PIN_S = ENVIRONMENT.help_pin_s
SOP_HELP_RANKING = ENVIRONMENT.help_ranking
SOP_HELP_RISK_WEIGHT = ENVIRONMENT.help_risk_weight
SOP_RESET_MAX_S = ENVIRONMENT.reset_max_s
SOP_VIDEO_CHECK_S = ENVIRONMENT.video_check_s
SOP_VIDEO_CHECK_TRIES = ENVIRONMENT.video_check_tries
SOP_REFUSALS_KEPT = 200  # episodes a robot that are noted as refused for good
SOP_PARTS_ABOVE_BYTES = ENVIRONMENT.parts_above_bytes
SOP_PART_BYTES = ENVIRONMENT.part_bytes
SOP_IMPORTS = ENVIRONMENT.imports
SOP_IMPORT_SCRATCH_DIR = ENVIRONMENT.data_dir / "imports"  # datasets while they are unpacked and converted
SOP_DATASET_EPISODES = ENVIRONMENT.dataset_episodes
SOP_WEBHOOK_ALLOW = ENVIRONMENT.webhook_allow
SOP_WEBHOOK_TIMEOUT_S = ENVIRONMENT.webhook_timeout_s
SOP_WEBHOOK_DISABLE_DAYS = ENVIRONMENT.webhook_disable_days
SOP_EXPORT_DESTINATIONS = ENVIRONMENT.export_destinations
SOP_EXPORT_KEEP_DAYS = ENVIRONMENT.export_keep_days
SOP_EXPORT_MOST = ENVIRONMENT.export_most
SOP_EXPORT_CHECK_EPISODES = ENVIRONMENT.export_check_episodes
SOP_EXPORT_WORK_DIR = ENVIRONMENT.data_dir / "exports"  # of exports to a bucket: the journal and the file under way
SOP_LOGS_PER_MIN = ENVIRONMENT.logs_per_min
SOP_ALERT_DAYS = ENVIRONMENT.alert_days
SOP_METRICS_DIR = ENVIRONMENT.metrics_dir
SOP_METRICS_ADDRESS = ENVIRONMENT.metrics_address
SOP_METRICS_PORT = ENVIRONMENT.metrics_port
SOP_METRICS_TOKEN = ENVIRONMENT.metrics_token
SOP_READY_TIMEOUT_S = ENVIRONMENT.ready_timeout_s
SOP_READY_CACHE_S = ENVIRONMENT.ready_cache_s
SOP_ROBOT_STATE_DAYS = ENVIRONMENT.robot_state_days
SOP_POSTGRES_PROGRAMS = ENVIRONMENT.postgres_programs  # of pg_dump and pg_restore
SOP_PATCH_VERSIONS = ENVIRONMENT.patch_versions
SOP_SHADOW_MAX_S = ENVIRONMENT.shadow_max_s
SOP_SHADOW_MAX_EPISODES = ENVIRONMENT.shadow_max_episodes
SOP_EGRESS_DOWNLOADS = ENVIRONMENT.egress_downloads
SOP_EGRESS_BYTES_S = ENVIRONMENT.egress_bytes_s
SOP_EGRESS_RETRY_S = ENVIRONMENT.egress_retry_s
