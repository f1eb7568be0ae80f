"""Who is most likely to act on a startup next: every user of the release by their score for it.

Users are ordered by the raw als score, the inner product of their trained factors with the
startup's. Making users comparable by their own mean and deviation orders them worse, see
docs/decisions/0007-audience-by-raw-score.md. A startup als does not know is compared by its text with
what each user liked. Taste is as of the training; who acted on the startup since, opted out or is
gone is taken from the live profiles of those at the top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.errors import UnavailableError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import top_items
from recsys.recommenders.content import ContentRecommender
from recsys.serving.live_profile import LiveProfile
from recsys.serving.live_state import LiveState
from recsys.serving.served import Served
from recsys.types import BoolArray, Float32Array, Float64Array

FIRST_LOOK = 20  # users looked at beyond the limit: some will turn out to have acted since
MAX_LOOKED_AT = 2_000  # profiles fetched for one answer


@dataclass(frozen=True, slots=True)
class Audience:
    """User ids, the likeliest first, with scores between 0 and 1; `degraded` as in a RankedList."""

    user_ids: tuple[str, ...]
    scores: Float64Array
    method: str
    degraded: tuple[str, ...]


def find_audience(served: Served, live: LiveState, item_index: int, limit: int) -> Audience:
    """The `limit` users most likely to act on a startup, without those who did and its owner.

    Raises:
        UnavailableError: nothing in the release can score users for this startup.
    """
    method, raw = _score_users(served, item_index)
    allowed = _have_not_acted(served, item_index)
    chosen: list[int] = []
    scores: list[float] = []
    notes: dict[str, None] = {}
    looked_at = 0
    for users, their_scores in _best_first(raw, allowed, limit + FIRST_LOOK):
        ids = [served.release.user_mapping.ids[user] for user in users]
        profiles, degraded = live.of_users(ids, served.release)
        if degraded is not None:
            notes[degraded] = None
        for user, user_id, score in zip(users.tolist(), ids, their_scores.tolist(), strict=True):
            if _may_be_named(served, profiles, user_id, item_index):
                chosen.append(user)
                scores.append(score)
        looked_at += len(ids)
        if len(chosen) >= limit:
            break
        if looked_at >= MAX_LOOKED_AT:
            notes[f"only the {looked_at:,} likeliest users were looked at"] = None
            break
    named = tuple(served.release.user_mapping.ids[user] for user in chosen[:limit])
    return Audience(named, _between_0_and_1(served, method, scores[:limit]), method, tuple(notes))


def _score_users(served: Served, item_index: int) -> tuple[str, Float32Array]:
    """Who scores, and (n_users,) raw scores of every user of the release for a startup."""
    als, content = served.recommenders.get("als"), served.recommenders.get("content")
    if isinstance(als, ALSRecommender) and item_index < als.n_items:
        return als.name, als.user_factors @ als.item_factors[item_index]
    user_items = served.release.user_items
    if isinstance(content, ContentRecommender) and user_items is not None:
        return content.name, _mean_likeness(content, user_items, item_index)
    raise UnavailableError(
        f"Nothing in release {served.release.version} can tell who would like this startup; "
        "train als and content again."
    )


def _mean_likeness(content: ContentRecommender, user_items: csr_matrix, item_index: int) -> Float32Array:
    """(n_users,) mean likeness of a startup to what each user liked, less that to what they disliked."""
    vectors = content.item_vectors()
    likeness = (vectors[: user_items.shape[1]] @ vectors[item_index]).astype(np.float64)
    means = _weighted_means(user_items, user_items.data.clip(min=0), likeness)
    means -= content.config.dislike_weight * _weighted_means(
        user_items, -user_items.data.clip(max=0), likeness
    )
    return means.astype(np.float32)


def _weighted_means(user_items: csr_matrix, weights: Float32Array, values: Float64Array) -> Float64Array:
    matrix = csr_matrix((weights, user_items.indices, user_items.indptr), user_items.shape)
    totals = np.asarray(matrix.sum(axis=1), np.float64).ravel()
    means: Float64Array = (matrix @ values) / np.maximum(totals, 1e-12)
    return means


def _have_not_acted(served: Served, item_index: int) -> BoolArray:
    """(n_users,) false for whoever had acted on a startup by the time of the release."""
    allowed = np.ones(len(served.release.user_mapping), np.bool_)
    user_items = served.release.user_items
    if user_items is not None:
        cells = np.flatnonzero(user_items.indices == item_index)
        allowed[np.searchsorted(user_items.indptr, cells, side="right") - 1] = False
    return allowed


def _best_first(
    raw: Float32Array, allowed: BoolArray, first: int
) -> Iterator[tuple[NDArray[np.int32], Float32Array]]:
    """Users and their scores, the best first, in batches that grow fourfold."""
    done, n_users = 0, first
    while done < allowed.sum():
        best = top_items(raw, n_users, allowed)
        yield best.item_indices[done:], best.scores[done:]
        done, n_users = len(best.item_indices), n_users * 4


def _may_be_named(
    served: Served, profiles: Mapping[str, LiveProfile | None], user_id: str, item_index: int
) -> bool:
    if item_index in served.owned.get(user_id):
        return False
    if user_id not in profiles:
        return True  # nothing is known of them since the release
    profile = profiles[user_id]
    if profile is None or profile.opted_out:
        return False
    startup_id = served.items.ids[item_index]
    return startup_id not in profile.older and all(c.startup_id != startup_id for c in profile.cells)


def _between_0_and_1(served: Served, method: str, scores: list[float]) -> Float64Array:
    raw = np.array(scores, np.float32)
    if method == "als":
        return served.release.scale(method, raw)
    # Means of cosines less others: half of z / (1 + |z|) around a half keeps their order.
    likeness = raw.astype(np.float64)
    around_half: Float64Array = 0.5 * (1.0 + likeness / (1.0 + np.abs(likeness)))
    return around_half
