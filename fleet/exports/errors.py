"""Errors of an export, on top of the tree in `fleet.protocol.errors`.

    SopError
    └── ExportError              export_error
        ├── UnknownFormat        unknown_format     no format of that name
        ├── OptionInvalid        option_invalid     data["option"]: one that the format lacks, or a value out of range
        ├── ExportEmpty          export_empty       there is no episode to export
        ├── ExportRefused        export_refused     data["problems"]: everything that stands in the way
        ├── NameInvalid          name_invalid       a file name that would leave the export's folder
        ├── ExportCancelled      export_cancelled   asked for; nothing is left behind
        ├── ExportBusy           export_busy        another process writes this export
        ├── TargetTaken          target_taken       something else is where the export is to go
        └── DiskFull             disk_full          nothing is left behind

Objects that differ from their manifest raise `ObjectMismatch`, `InvalidEpisode` or `InvalidManifest` of the protocol,
with `data["episode_id"]`.
"""

from __future__ import annotations

from fleet.protocol.errors import SopError


class ExportError(SopError):
    code = "export_error"


class UnknownFormat(ExportError):
    code = "unknown_format"


class OptionInvalid(ExportError):
    code = "option_invalid"


class ExportEmpty(ExportError):
    code = "export_empty"


class ExportRefused(ExportError):
    code = "export_refused"


class NameInvalid(ExportError):
    code = "name_invalid"


class ExportCancelled(ExportError):
    code = "export_cancelled"


class ExportBusy(ExportError):
    code = "export_busy"


class TargetTaken(ExportError):
    code = "target_taken"


class DiskFull(ExportError):
    code = "disk_full"
