"""Any LeRobot `Robot` (lerobot 0.6.1) as ours. Created by `drivers/registry.py`; lerobot runs in a process of its own.

lerobot pins torch < 2.12, numpy < 2.3 and av < 16, the daemon newer ones: no environment holds both. So `host.py` runs
under lerobot's own Python 3.12, and the driver speaks with it over sockets that only the two have (`wire.py`). What
hangs or dies over there is seen here by its deadline, and never stops the control loop for longer.
"""
