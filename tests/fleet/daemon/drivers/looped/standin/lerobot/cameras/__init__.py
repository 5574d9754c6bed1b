"""As lerobot.cameras: no types of its own."""
