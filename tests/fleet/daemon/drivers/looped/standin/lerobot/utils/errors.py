"""As lerobot.utils.errors."""


class DeviceNotConnectedError(ConnectionError):
    pass
