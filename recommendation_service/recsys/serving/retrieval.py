"""From a recommender's scores to a list: what may be offered, dislikes."""

from __future__ import annotations

import numpy as np

from recsys.recommenders.base import Recommender, VectorRecommender
from recsys.types import BoolArray, Float32Array, History, Int32Array, Recommendation

# ALS gives a disliked startup no preference, so it only pulls what is like it towards zero; content and
# two_tower subtract dislikes in the user's vector.
BLIND_TO_NEIGHBOURS_OF_DISLIKES = frozenset({"als", "ensemble"})
# A score loses the cosine with a dislike to this power: twins fall to nothing, while what is half
# alike keeps 94 %. Lower powers cost people what they do like.
LIKENESS_POWER = 4
MAX_DISLIKES = 50  # the latest say what somebody is tired of
SHORTLIST_PER_PLACE = 4


def rank(recommender: Recommender, history: History, limit: int, allowed: BoolArray) -> Recommendation:
    """The best items for a history, those like a disliked one lowered; `allowed` is (n_items or more,)."""
    disliked = _latest_dislikes(history, recommender.n_items)
    is_blind = recommender.name in BLIND_TO_NEIGHBOURS_OF_DISLIKES
    if len(disliked) == 0 or not is_blind or not isinstance(recommender, VectorRecommender):
        return recommender.recommend(history, limit, candidates=allowed)
    return _rank_lowered(recommender, history, limit, allowed, disliked)


def _latest_dislikes(history: History, n_items: int) -> Int32Array:
    known = (history.weights < 0) & (history.item_indices < n_items)
    disliked = history.item_indices[known]
    if history.last_event_at is not None:
        disliked = disliked[np.argsort(-history.last_event_at[known], kind="stable")]
    return disliked[:MAX_DISLIKES]


def _rank_lowered(
    recommender: VectorRecommender,
    history: History,
    limit: int,
    allowed: BoolArray,
    disliked: Int32Array,
) -> Recommendation:
    """A positive score loses a power of the cosine with the most alike dislike.

    Lowering needs the vectors of a shortlist only: once the last place beats every raw score left
    out, no longer shortlist can change the list.
    """
    user, search = recommender.user_vector(history), recommender.search
    allowed = allowed[: recommender.n_items]
    n_candidates = limit * SHORTLIST_PER_PLACE
    while True:
        shortlist = search.top(user, n_candidates, allowed)
        indices = shortlist.item_indices
        alike = recommender.likeness(indices, disliked).max(axis=1, initial=0.0).clip(0.0, 1.0)
        lowered = np.where(
            shortlist.scores > 0, shortlist.scores * (1.0 - alike**LIKENESS_POWER), shortlist.scores
        )
        best = _in_order(indices, lowered.astype(np.float32), limit)
        is_whole = len(indices) < n_candidates
        if is_whole or best.scores[-1] >= shortlist.scores[-1]:
            return best
        n_candidates *= SHORTLIST_PER_PLACE


def _in_order(indices: Int32Array, scores: Float32Array, limit: int) -> Recommendation:
    order = np.lexsort((indices, -scores))[:limit]
    return Recommendation(indices[order].astype(np.int32), scores[order].astype(np.float32))
