"""What can keep a dataset from coming in.

SopError
└── RecordingError
    └── ImportFailed             import_failed
        ├── InvalidDataset       invalid_dataset   not LeRobot v3.0 or v2.x, or it lacks what is needed of it
        ├── ArchiveRefused       archive_refused   a member or a size that no sound archive has; nothing is kept
        ├── FolderRefused        folder_refused    not below a configured root, or a link leads out of it
        ├── MappingInvalid       mapping_invalid   data["field"]: which feature, task or camera does not fit
        ├── ProblemsLeft         problems_left     the data has problems and the mapping does not leave them out
        └── DiskFull             disk_full         nothing is left behind
"""

from __future__ import annotations

from fleet.protocol.errors import RecordingError


class ImportFailed(RecordingError):
    code = "import_failed"


class InvalidDataset(ImportFailed):
    code = "invalid_dataset"


class ArchiveRefused(ImportFailed):
    code = "archive_refused"


class FolderRefused(ImportFailed):
    code = "folder_refused"


class MappingInvalid(ImportFailed):
    code = "mapping_invalid"


class ProblemsLeft(ImportFailed):
    code = "problems_left"


class DiskFull(ImportFailed):
    code = "disk_full"
