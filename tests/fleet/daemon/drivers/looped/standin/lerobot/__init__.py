"""A stand-in for lerobot 0.6.1: what the driver's host imports of it. `make verify-robot` uses the real one."""
