"""Live pictures and the data channels of the people who watch: one child process, started by `host.py`."""
