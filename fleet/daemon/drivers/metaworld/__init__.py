"""Simulated robots: Meta-World 3.1.1 (MuJoCo, Sawyer arm). Created by `drivers/registry.py`; imports stay lazy."""
