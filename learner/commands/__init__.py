"""The subcommands of `python -m learner`, one module each: `add_parser` says what it takes, `run` does it."""
