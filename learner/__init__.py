"""The learner: turns episodes into policy versions. Runs without Django; `tasks.py` alone knows the fleet."""
