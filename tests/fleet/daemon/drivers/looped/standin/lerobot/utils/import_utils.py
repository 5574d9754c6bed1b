"""As lerobot.utils.import_utils: no plugins are installed."""


def register_third_party_plugins() -> None:
    pass
