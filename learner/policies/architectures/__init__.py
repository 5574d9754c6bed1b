"""One module an architecture. `registry.py` imports every module of this package; adding one is adding a file."""
