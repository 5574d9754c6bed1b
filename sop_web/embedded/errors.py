"""What can go wrong when PostgreSQL and Redis are started from pip's packages, each with what to do about it.

EmbeddedError
├── PackageMissing      package_missing      pip's package with the server's binaries is not installed
├── LibraryMissing      library_missing      the binary is there but does not run on this system
├── FolderUnreachable   folder_unreachable   the OS user of PostgreSQL may not enter the data folder
├── DataFolderLocked    data_folder_locked   another demo or test run works on the same folder
└── ServiceFailed       service_failed       the server stopped or did not answer in time; its log's end follows
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """Base: `code` is stable, the message says what is wrong and what to do."""

    code = "embedded_error"


class PackageMissing(EmbeddedError):
    code = "package_missing"


class LibraryMissing(EmbeddedError):
    code = "library_missing"


class FolderUnreachable(EmbeddedError):
    code = "folder_unreachable"


class DataFolderLocked(EmbeddedError):
    code = "data_folder_locked"


class PortTaken(EmbeddedError):
    code = "port_taken"


class ServiceFailed(EmbeddedError):
    code = "service_failed"
