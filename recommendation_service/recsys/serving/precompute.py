"""Every user's list as a Parquet file: for newsletters, caches, and where no service runs.

Each list is the one the service would give at this moment: from the live profiles and the live
catalogue, or without them from what the release knows, which the file then says (its metadata has a
`notice`). Somebody erased since the training gets no list. Users are scored together where that makes
no difference; the others, and what follows the scores, go the way of every answer. One batch is in
memory at a time, and the file appears when it is whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.artifacts.release import Release
from recsys.datasets.files import sync_file
from recsys.errors import ArtifactError, ConfigError
from recsys.progress import ignore_progress
from recsys.serving.answers import RankedList, join_reasons
from recsys.serving.filling import Filled, Places, why_not
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.live_state import LiveState, UserState, state_in_release
from recsys.serving.retrieval import BLIND_TO_NEIGHBOURS_OF_DISLIKES
from recsys.serving.router import Rules
from recsys.serving.served import Served, combine
from recsys.serving.steering import Narrowed, Steering, narrow
from recsys.types import ProgressCallback, ProgressReport

STAGE = "writing lists"
NOTHING_LIVE = "no live store was asked: acts, opt-outs and startups"
MASK_BYTES_AT_ONCE = 32 * 2**20  # a byte an item and user: what may be offered to whom
MOST_USERS_AT_ONCE = 1_024
PROFILES_AT_ONCE = 500  # in one round trip to Redis
_NOBODYS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Precomputed:
    """What was written, from which release, in how many seconds, and what the lists must admit to."""

    model_version: str
    users: int
    rows: int
    seconds: float
    notice: str | None


def precompute(
    release: Release,
    output: Path,
    *,
    live: LiveState | None = None,
    limit: int = 10,
    batch_size: int | None = None,
    with_reasons: bool = False,
    rules: Rules | None = None,
    now_s: float | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Precomputed:
    """Write `user_id, rank, startup_id, score, source, method_used[, reason]`, a row group a batch.

    Args:
        release: whose users get a list.
        output: the file; what lies there is replaced when the new one is whole.
        live: what happened since the release was made; without it nothing did.
        limit: startups a user, 1 to 100.
        batch_size: users scored at once; by default as many as a fixed share of memory allows.
        with_reasons: write reasons too; they cost more than the scores.
        rules: of the service; its defaults by default.
        now_s: UTC seconds; which startups are new depends on it.
        progress: told after every batch.

    Raises:
        ArtifactError: the release does not hold what its users did.
        ConfigError: the batch size is below 1.
        InvalidRequestError: the limit is out of range.
        UnavailableError: nothing in the release can answer.
    """
    import pyarrow.parquet as pq

    started_s = time.monotonic()
    asked, rules = Steering(limit=limit), rules or Rules()
    now_s = time.time() if now_s is None else now_s
    n_users, batch_size = len(release.user_mapping), _checked_batch_size(release, batch_size)
    served, catalogue_notice = _served(release, live)
    notices = dict.fromkeys([catalogue_notice, release.notice])
    aside = output.with_name(f".{output.name}.writing")
    n_listed = n_rows = 0
    try:
        with pq.ParquetWriter(aside, _schema(with_reasons)) as writer:
            for start in range(0, n_users, batch_size):
                users = range(start, min(start + batch_size, n_users))
                user_ids = [release.user_mapping.ids[user] for user in users]
                states = _states(served, live, user_ids, notices)
                lists = _lists(served, states, asked, rules, now_s=now_s, with_reasons=with_reasons)
                table = _as_table([state.user_id for state in states], lists, with_reasons)
                writer.write_table(table)
                n_listed += len(states)
                n_rows += table.num_rows
                done, seconds = start + len(user_ids), time.monotonic() - started_s
                progress(ProgressReport(STAGE, done / n_users, seconds * (n_users - done) / done))
            notice = join_reasons(*notices)
            writer.add_key_value_metadata({"model_version": release.version, "notice": notice or ""})
        sync_file(aside)
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    seconds = round(time.monotonic() - started_s, 3)
    return Precomputed(release.version, n_listed, n_rows, seconds, notice)


def _served(release: Release, live: LiveState | None) -> tuple[Served, str | None]:
    if live is not None:
        return live.of_catalogue(release)
    return combine(release, LiveCatalogue()), f"{NOTHING_LIVE} as of release {release.version}"


def _states(
    served: Served, live: LiveState | None, user_ids: Sequence[str], notices: dict[str | None, None]
) -> list[UserState]:
    """What is known of a batch of users; what must be admitted to is added to `notices`."""
    if live is None:
        return [state_in_release(served.release, user_id, "precomputed") for user_id in user_ids]
    states: list[UserState] = []
    for start in range(0, len(user_ids), PROFILES_AT_ONCE):
        known, notice = live.states_of(served, user_ids[start : start + PROFILES_AT_ONCE])
        notices[notice] = None
        states.extend(known.values())
    return states


def _checked_batch_size(release: Release, batch_size: int | None) -> int:
    if release.user_items is None:
        raise ArtifactError(
            f"Release {release.version} does not hold what its users did; train again and publish whole."
        )
    if batch_size is None:
        return min(max(MASK_BYTES_AT_ONCE // max(len(release.items), 1), 1), MOST_USERS_AT_ONCE)
    if batch_size < 1:
        raise ConfigError(f"The batch size is {batch_size}; score at least 1 user at once.")
    return batch_size


def _lists(
    served: Served,
    states: Sequence[UserState],
    asked: Steering,
    rules: Rules,
    *,
    now_s: float,
    with_reasons: bool,
) -> Iterator[RankedList]:
    """A list for each user, in order."""
    narrowed = [narrow(served, state, asked, seen=rules.seen, now_s=now_s) for state in states]
    together = _fill_together(served, states, narrowed, asked, rules)
    for state, of_state, filled in zip(states, narrowed, together, strict=True):
        if filled is None:
            filled = rules.fill_for(served, state, asked, of_state)
        reasons_of = None if with_reasons else _NOBODYS
        yield rules.finish(served, state, asked, of_state, filled, now_s=now_s, with_reasons_of=reasons_of)


def _fill_together(
    served: Served,
    states: Sequence[UserState],
    narrowed: Sequence[Narrowed],
    asked: Steering,
    rules: Rules,
) -> list[Filled | None]:
    """As `fill`, for many users at once; None for whoever must be asked for alone.

    That is who disliked something, where likeness to it lowers scores, and who is left with places
    for the next recommender to fill.
    """
    filled: list[Filled | None] = [None] * len(states)
    orders = [rules.order_for(served, state, asked.method) for state in states]
    refusals = [_refusals(served, state, order) for state, order in zip(states, orders, strict=True)]
    firsts = [
        order[len(refused)] if len(refused) < len(order) else None
        for order, refused in zip(orders, refusals, strict=True)
    ]
    for name in {first for first in firsts if first is not None}:
        alone = name in BLIND_TO_NEIGHBOURS_OF_DISLIKES
        chosen = [
            position
            for position, first in enumerate(firsts)
            if first == name and not (alone and len(states[position].asker.history.disliked))
        ]
        if not chosen:
            continue
        lists = served.recommenders[name].recommend_batch(
            [states[position].asker.history for position in chosen],
            asked.limit,
            exclude=[np.flatnonzero(~narrowed[position].allowed).astype(np.int32) for position in chosen],
        )
        for position, ranked in zip(chosen, lists, strict=True):
            if len(ranked.item_indices) == asked.limit:
                scores = served.release.scale(name, ranked.scores)
                places = Places.none().followed_by(ranked.item_indices, scores, name)
                filled[position] = Filled(places, name, refusals[position], (name,))
    return filled


def _refusals(served: Served, state: UserState, order: Sequence[str]) -> tuple[str, ...]:
    """Why those before the first that can answer cannot."""
    refused: list[str] = []
    for name in order:
        reason = why_not(served, name, state.asker.history)
        if reason is None:
            break
        refused.append(reason)
    return tuple(refused)


def _schema(with_reasons: bool) -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())  # few values, or each many times over
    columns = {
        "user_id": pa.string(),
        "rank": pa.int32(),
        "startup_id": pa.string(),
        "score": pa.float64(),
        "source": text,
        "method_used": text,
        **({"reason": pa.string()} if with_reasons else {}),
    }
    return pa.schema(list(columns.items()))


def _as_table(user_ids: Sequence[str], lists: Iterator[RankedList], with_reasons: bool) -> Any:
    import pyarrow as pa

    columns: dict[str, list[object]] = {name: [] for name in _schema(with_reasons).names}
    for user_id, made in zip(user_ids, lists, strict=True):
        for startup in made.startups:
            columns["user_id"].append(user_id)
            columns["rank"].append(startup.rank)
            columns["startup_id"].append(startup.id)
            columns["score"].append(startup.score)
            columns["source"].append(startup.source)
            columns["method_used"].append(made.method_used)
            if with_reasons:
                columns["reason"].append(startup.reason)
    return pa.table(columns, schema=_schema(with_reasons))
