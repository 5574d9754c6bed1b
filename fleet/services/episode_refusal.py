"""What was refused for good is noted, so that people learn of it where they look, and forgotten once it is here."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from fleet.models import EpisodeRefusal
from fleet.services.text import storable

ID_LENGTH = 36  # what longer ids end in is cut: they are wrong in any case


@transaction.atomic
def episode_refusal_note(*, robot_id: str, episode_id: str, code: str, message: str) -> None:
    """Note that an episode was refused for good; of each robot the newest SOP_REFUSALS_KEPT stay."""
    values = {"code": code, "message": storable(message)[:2000], "refused_at": timezone.now()}
    EpisodeRefusal.objects.update_or_create(
        robot_id=robot_id, episode_id=storable(episode_id)[:ID_LENGTH], defaults=values
    )
    kept = EpisodeRefusal.objects.filter(robot_id=robot_id).values("id")[: settings.SOP_REFUSALS_KEPT]
    EpisodeRefusal.objects.filter(robot_id=robot_id).exclude(id__in=kept).delete()


def episode_refusal_forget(*, robot_id: str, episode_id: str) -> None:
    """It is registered after all."""
    EpisodeRefusal.objects.filter(robot_id=robot_id, episode_id=episode_id).delete()
