"""Subcommands of `python -m learner` that have a module of their own."""
