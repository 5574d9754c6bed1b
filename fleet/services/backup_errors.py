"""What can go wrong with backups. Not of the API's tree: only the commands `backup` and `restore` raise them.

BackupError
├── BackupBusy         another backup of the same folder runs
├── BackupMisplaced    the folder is one of something else
├── BackupMissing      there is none, or none of this name
├── BackupDamaged      it lost something, or is not of a form that is read here
├── DatabaseFailed     PostgreSQL or its programs refused
├── DatabaseNotEmpty   restoring would mix with what is there
└── DatabaseInUse      server or workers still run
"""

from __future__ import annotations


class BackupError(Exception):
    """Base; the message says what to do."""


class BackupBusy(BackupError):
    pass


class BackupMisplaced(BackupError):
    pass


class BackupMissing(BackupError):
    pass


class BackupDamaged(BackupError):
    pass


class DatabaseFailed(BackupError):
    pass


class DatabaseNotEmpty(BackupError):
    pass


class DatabaseInUse(BackupError):
    pass
