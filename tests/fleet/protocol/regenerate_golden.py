"""Write the golden files anew: `python -m tests.fleet.protocol.regenerate_golden`."""

from tests.fleet.protocol.test_codec import GOLDEN, KINDS


def main() -> None:
    """Replace every golden file by the bytes of today's codec."""
    for kind, (frame_type, sample, encode, _) in KINDS.items():
        suffix = "json" if kind.startswith("console") else "msgpack"
        for index, message in enumerate(sample):
            path = GOLDEN / f"{kind}-{type(message).__name__}.{suffix}"
            path.write_bytes(encode(frame_type(index + 1, message)))


if __name__ == "__main__":
    main()
