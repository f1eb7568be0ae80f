"""Which beats send tasks: each task names its sender, so two at once are seen for certain.

A worker notes the sender of the heartbeat it does. Two senders overlap when each was seen after the
other had begun; one that was restarted was not seen again once the next had begun.
"""

from __future__ import annotations

import time
from itertools import combinations
from typing import cast

from config.redis_client import redis_client
from recsys.serving.redis_client import redis_faults_as_unavailable

FIRST_KEY, LAST_KEY = "recs:beats:first", "recs:beats:last"
SEEN_WITHIN_S = 300.0
KEPT_S = 86_400


def note_beat(sender: str, *, now_s: float | None = None) -> None:
    """A task of this sender (`gen123@host`) arrived."""
    now_s = time.time() if now_s is None else now_s
    with redis_faults_as_unavailable("noting a beat"):
        pipeline = redis_client().pipeline(transaction=True)
        pipeline.hsetnx(FIRST_KEY, sender, now_s)
        pipeline.hset(LAST_KEY, sender, str(now_s))
        pipeline.expire(FIRST_KEY, KEPT_S)
        pipeline.expire(LAST_KEY, KEPT_S)
        pipeline.hgetall(LAST_KEY)
        seen = cast("dict[str, str]", pipeline.execute()[-1])
        gone = [name for name, last in seen.items() if now_s - float(last) > KEPT_S]
        if gone:
            redis_client().hdel(FIRST_KEY, *gone)
            redis_client().hdel(LAST_KEY, *gone)


def beats_at_once(*, now_s: float | None = None) -> list[str]:
    """The senders that overlap; none when there is one beat, or one was restarted."""
    now_s = time.time() if now_s is None else now_s
    with redis_faults_as_unavailable("reading the beats"):
        first = cast("dict[str, str]", redis_client().hgetall(FIRST_KEY))
        last = cast("dict[str, str]", redis_client().hgetall(LAST_KEY))
    recent = [name for name in last if name in first and now_s - float(last[name]) <= SEEN_WITHIN_S]
    overlapping = {
        name
        for one, other in combinations(recent, 2)
        if float(last[one]) > float(first[other]) and float(last[other]) > float(first[one])
        for name in (one, other)
    }
    return sorted(overlapping)
