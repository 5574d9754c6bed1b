"""Between checking that objects are stored and writing the row that names them, nobody may remove them.

The garbage collector (services/storage_gc.py) removes what no row names, under the registration lock, and counts each
batch. A writer notes the count before it looks at the objects; in its transaction it takes the lock and looks again if
the count has moved. So neither holds the lock while it reads objects, and no row ever names what is gone.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import F

from fleet.models import StorageState

REGISTRATION_LOCK = 0x50_50_01  # pg_advisory_xact_lock: registrations commit one after the other


def registration_lock() -> None:
    """Wait for the lock and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [REGISTRATION_LOCK])


def collections_counted() -> int:
    """Return how many batches were collected so far."""
    return StorageState.objects.filter(id=1).values_list("collections", flat=True).first() or 0


def collection_count() -> None:
    """Note one more batch. Within the transaction that holds the lock."""
    StorageState.objects.get_or_create(id=1)
    StorageState.objects.filter(id=1).update(collections=F("collections") + 1)
