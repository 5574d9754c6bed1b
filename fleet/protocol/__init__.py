"""Every contract between the processes of SOP.

Installed on robots and mirrored in TypeScript, so it depends on the standard library, msgspec and numpy only
(`steps.py` adds pyarrow, imported by those who read or write episodes). It knows no socket, no web framework,
no database and no network library.
"""
