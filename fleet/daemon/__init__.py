"""The program on the robot: `python -m fleet.daemon`.

Imports fleet.protocol and, lazily, learner.policies; nothing else of this project.
"""
