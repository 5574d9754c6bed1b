"""A robot that plays recordings: episodes of ours or a LeRobot dataset v3.0. Created by `drivers/registry.py`."""
