"""The server: `uvicorn sop_web.asgi:application`. HTTP by Django, websockets by Channels."""

from __future__ import annotations

import os
import warnings

from django.core.asgi import get_asgi_application

from fleet.protocol import tracing
from sop_web.metrics import show_alive

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django_application = get_asgi_application()
show_alive()
tracing.start("sop-web")

# These import models, so Django must be set up first.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import get_resolver  # noqa: E402

import sop_web.celery  # noqa: E402, F401  (queue.py enqueues through the default app)
from fleet.api.body_limit import BodyLimit  # noqa: E402
from fleet.api.health import Health  # noqa: E402
from fleet.consumers.routing import websocket_routes  # noqa: E402
from sop_web.garbage import collect_seldom  # noqa: E402
from sop_web.loop_middleware import keep_on_loop  # noqa: E402

# WhiteNoise answers with a synchronous iterator, which Django reads whole under ASGI and warns about: fine for the
# console's files of some hundred kB. Large objects go through fleet/api/objects.py, which streams.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

http_application = Health(BodyLimit(django_application))
application = ProtocolTypeRouter({"http": http_application, "websocket": URLRouter(websocket_routes)})
keep_on_loop()
get_resolver().url_patterns  # noqa: B018  (imports all views: 0.3 s, cold 1.8 s, in which a first request would hold the loop)
collect_seldom()
