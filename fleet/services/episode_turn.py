"""Registration of what robots announce: an episode whose check takes too long waits longer each time, and then ends.

Each check may hold one of the few threads for SOP_VIDEO_CHECK_S, and a video that is too long for it once is so again.
So it comes back after a minute, two, four, and what asks sooner is answered at once; after SOP_VIDEO_CHECK_TRIES it is
refused for good: the robot keeps it in `spool/refused/` with the code, and its log, which the console shows, says so.
The count is in the cache: losing it costs some tries.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.core.cache import cache

from fleet.errors import VideoCheckSlow, VideoUnchecked
from fleet.models import Episode
from fleet.protocol.recording import EpisodeManifest
from fleet.services.episode import episode_register

FIRST_WAIT_S = 60.0
KEPT_S = 86_400  # a count is forgotten after a day without a try


def episode_register_in_turn(*, robot_id: str, manifest: EpisodeManifest, uploaded_ns: int) -> Episode:
    """Register an episode that a robot announced.

    Raises: as `episode_register`; VideoCheckSlow also without a look, while its next try is not due; VideoUnchecked,
    which is final, after the last one.
    """
    key = f"episode-slow:{manifest.episode_id[:36]}"
    tries, due_s = cache.get(key, (0, 0.0))
    if time.time() < due_s:
        raise VideoCheckSlow(f"its check took too long {tries} times; the next try is in {due_s - time.time():.0f} s")
    try:
        row = episode_register(robot_id=robot_id, manifest=manifest, uploaded_ns=uploaded_ns)
    except VideoCheckSlow as error:
        tries += 1
        if tries >= settings.SOP_VIDEO_CHECK_TRIES:
            cache.delete(key)
            raise VideoUnchecked(f"{error.message}, {tries} times; it is not tried again") from None
        cache.set(key, (tries, time.time() + FIRST_WAIT_S * 2 ** (tries - 1)), timeout=KEPT_S)
        raise
    if tries:
        cache.delete(key)
    return row
