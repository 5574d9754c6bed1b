"""The object store: episodes, policy blobs, checkpoints. No Django here; used by the server and by learner.tasks."""

from fleet.storage.base import (
    ConfigurationInvalid,
    ObjectConflict,
    ObjectMissing,
    ObjectStore,
    SignedPut,
    StorageError,
    StoredObject,
    StoreFull,
    StoreUnavailable,
    StoreUnmounted,
)
from fleet.storage.factory import open_store

__all__ = [
    "ConfigurationInvalid",
    "ObjectConflict",
    "ObjectMissing",
    "ObjectStore",
    "SignedPut",
    "StorageError",
    "StoreFull",
    "StoreUnavailable",
    "StoreUnmounted",
    "StoredObject",
    "open_store",
]
