"""Small pictures for the fleet page: the newest one, at most once a period, while the link is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fleet.daemon.config import ThumbnailConfig
from fleet.daemon.status import StatusBoard
from fleet.daemon.video import encode_jpeg
from fleet.protocol.messages import RobotMessage, Thumbnail

logger = logging.getLogger(__name__)

MAX_THUMBNAIL_BYTES = 64 * 1024


async def publish_thumbnails(
    board: StatusBoard, config: ThumbnailConfig, *, send: Callable[[RobotMessage], bool], is_open: Callable[[], bool]
) -> None:
    """Send until cancelled."""
    while True:
        await asyncio.sleep(config.period_s)
        picture = board.take_picture()
        if picture is None or not is_open():
            continue
        try:
            jpeg = await asyncio.to_thread(encode_jpeg, picture.pixels)
        except Exception:  # whatever the codec raises about a picture, the robot works on
            logger.exception("a picture could not be encoded")
            continue
        if len(jpeg) <= MAX_THUMBNAIL_BYTES:
            send(Thumbnail(camera="overview", captured_ns=picture.captured_ns, jpeg=jpeg))
