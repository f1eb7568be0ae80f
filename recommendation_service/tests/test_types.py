"""What a history remembers of what was worked out from it."""

from __future__ import annotations

import numpy as np

from recsys.types import History


def test_what_is_worked_out_of_a_history_is_worked_out_once_and_of_no_other() -> None:
    history = History(np.array([3, 1], np.int32), np.array([1.0, 2.0], np.float32))
    asked: list[str] = []

    def work_out() -> int:
        asked.append("asked")
        return len(asked)

    assert [history.once("a", work_out), history.once("a", work_out)] == [1, 1]
    assert history.once("b", work_out) == 2
    assert history.without(0).once("a", work_out) == 3
