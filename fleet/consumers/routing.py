"""Websocket routes. Robots authenticate by key and send no Origin; browsers by cookie, so their Origin is checked."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from fleet.consumers.console import ConsoleConsumer
from fleet.consumers.robot import RobotConsumer

websocket_routes = [
    path("ws/robot", RobotConsumer.as_asgi()),
    path("ws/console", AllowedHostsOriginValidator(AuthMiddlewareStack(ConsoleConsumer.as_asgi()))),
]
