"""As lerobot.utils."""
