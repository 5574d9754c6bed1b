"""Loads a real site with thousands of robots and hundreds of consoles: `python -m benchmarks.fleet_load`."""
