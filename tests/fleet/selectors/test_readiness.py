"""The question of readiness itself: one thread a part, whoever asks, however long the part hangs."""

from __future__ import annotations

import threading

from fleet.selectors.readiness import ReadinessReader


def test_a_part_that_hangs_is_asked_by_one_thread() -> None:
    """20 askers in turn and 8 at once find it hung, and it was asked once; when it goes on it is asked anew."""
    asked, go_on = [], threading.Event()

    def hang() -> None:
        asked.append(threading.current_thread())
        assert go_on.wait(30)

    reader = ReadinessReader({"hung": hang, "sound": lambda: None})

    def read() -> dict[str, str]:
        return {part.name: part.code for part in reader.read(timeout_s=0.01, keep_s=0.0).parts}

    try:
        assert {read()["hung"] for _ in range(20)} == {"timeout"}
        askers = [threading.Thread(target=read) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(10)
        assert len(asked) == 1
        assert sum(thread.name == "ready-hung" for thread in threading.enumerate()) == 1
    finally:
        go_on.set()
    asked[0].join(10)
    assert reader.read(timeout_s=10, keep_s=0.0).is_ready
    assert len(asked) == 2
