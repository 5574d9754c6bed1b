"""Figures of people's help read a window of closed requests and of leases; both tables only grow."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # as CONCURRENTLY demands: leases are granted meanwhile

    dependencies = [
        ("fleet", "0036_note_refused_episodes"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="lease",
            index=models.Index(fields=["-granted_at"], name="lease_by_grant"),
        ),
        AddIndexConcurrently(
            model_name="helprequest",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False)), fields=["-closed_at"], name="help_by_close"
            ),
        ),
    ]
