"""Version 7 UUIDs."""

from __future__ import annotations

import time
from uuid import RFC_4122

from config.identifiers import uuid7


def test_it_is_a_version_7_uuid_of_now() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = uuid7()
    after_ms = time.time_ns() // 1_000_000

    assert (made.version, made.variant) == (7, RFC_4122)
    assert before_ms <= made.int >> 80 <= after_ms


def test_later_ones_sort_later_and_none_repeat() -> None:
    made = [uuid7() for _ in range(10_000)]

    assert len(set(made)) == len(made)
    milliseconds = [each.int >> 80 for each in made]
    assert milliseconds == sorted(milliseconds)
