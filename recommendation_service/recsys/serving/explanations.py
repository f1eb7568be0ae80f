"""Why each startup is in a list, in a few true words: the user's own act or interest that counted most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.weights import SIGNALS
from recsys.recommenders.base import Recommender
from recsys.recommenders.content import ContentRecommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.serving.served import Served
from recsys.types import Float32Array, History, Int32Array, UInt8Array

# The strongest act of a cell says it best.
VERBS = (
    ("interest", "showed interest in"),
    ("apply", "applied to"),
    ("favorite", "saved"),
    ("like", "liked"),
    ("click", "looked into"),
    ("view", "viewed"),
)
POPULAR_FROM = 0.5  # of the most popular, on a logarithmic scale
SIMILAR_TASTE = "Liked by people with a taste like yours"
LITTLE_KNOWN = "Little known yet"


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom to explain to: a history and, aligned with it, the types of act done (None: not known)."""

    history: History
    type_masks: UInt8Array | None = None

    def what_was_done(self, position: int) -> str:
        """What they did to the startup at a position of the history, as "of" or "you liked"."""
        mask = 0 if self.type_masks is None else int(self.type_masks[position])
        return next((f"you {verb}" for signal, verb in VERBS if mask >> SIGNALS.index(signal) & 1), "of")


def explain(
    served: Served, recommender: Recommender, asker: Asker, item_indices: Int32Array, *, now_s: float
) -> list[str]:
    """One reason for each item of a recommender's list; `now_s` is UTC seconds."""
    if len(item_indices) == 0:
        return []
    if isinstance(recommender, ContentRecommender):
        return _explain_content(served, recommender, asker, item_indices, now_s)
    if isinstance(recommender, PopularityRecommender):
        levels = _levels(recommender.scores[item_indices], float(recommender.scores.max()))
        return _without_acts(served, item_indices, levels, now_s)
    return _explain_by_acts(served, recommender, asker, item_indices)


def explain_similar(served: Served, item_index: int, item_indices: Int32Array) -> list[str]:
    """One reason for each item of a list of items like one."""
    return [f"Similar to {served.name_of(item_index)}"] * len(item_indices)


def _explain_by_acts(
    served: Served, recommender: Recommender, asker: Asker, item_indices: Int32Array
) -> list[str]:
    shares = recommender.contributions(asker.history, item_indices)
    if shares is None or len(shares) == 0:
        return [SIMILAR_TASTE] * len(item_indices)
    acts, amounts = _strongest_likes(asker.history, shares)
    return [
        _because_of(served, asker, act) if amount > 0 else SIMILAR_TASTE
        for act, amount in zip(acts, amounts, strict=True)
    ]


def _explain_content(
    served: Served,
    content: ContentRecommender,
    asker: Asker,
    item_indices: Int32Array,
    now_s: float,
) -> list[str]:
    """The act or interest that counted most, unless popularity alone would have put the item here."""
    history = asker.history
    shares = content.contributions(history, item_indices)
    acts, _ = _strongest_likes(history, shares)
    by_acts = shares[history.weights > 0].sum(axis=0)
    by_interests = content.interest_share(history, item_indices)
    levels = content.popularity[item_indices]
    is_personal = np.maximum(by_acts, by_interests) > _popularity_alone(content, levels)
    reasons = _without_acts(served, item_indices, levels, now_s)
    for place in np.flatnonzero(is_personal & (by_acts >= by_interests)):
        reasons[place] = _because_of(served, asker, int(acts[place]))
    matching = np.flatnonzero(is_personal & (by_acts < by_interests))
    interests = _closest_interests(content, history.interests, item_indices[matching])
    for place, interest in zip(matching, interests, strict=True):
        reasons[place] = f"Matches your interest in {interest}"
    return reasons


def _popularity_alone(content: ContentRecommender, levels: Float32Array) -> Float32Array:
    """(n,) popularity's share of a score; 0 where it would not reach a list as long as this one."""
    as_many = min(len(levels), content.n_items)
    lowest_in_list = np.partition(content.popularity, -as_many)[-as_many]
    shares: Float32Array = np.where(levels >= lowest_in_list, content.config.popularity_share * levels, 0.0)
    return shares


def _strongest_likes(history: History, shares: Float32Array) -> tuple[NDArray[np.intp], Float32Array]:
    """(n,) position in the history of the like that adds most to each item, and what it adds.

    0 is added where nothing was liked.
    """
    likes = np.flatnonzero(history.weights > 0)
    if len(likes) == 0:
        return np.zeros(shares.shape[1], np.intp), np.zeros(shares.shape[1], np.float32)
    strongest = shares[likes].argmax(axis=0)
    return likes[strongest], shares[likes[strongest], np.arange(shares.shape[1])]


def _closest_interests(
    content: ContentRecommender, interests: Sequence[str], item_indices: Int32Array
) -> list[str]:
    """For each item the stated interest it is most like."""
    if len(item_indices) == 0:
        return []
    vectors = np.stack([content.text_model.interest_vector((interest,)) for interest in interests])
    closest = (vectors @ content.vectors[item_indices].T).argmax(axis=0)
    return [interests[interest] for interest in closest]


def _because_of(served: Served, asker: Asker, position: int) -> str:
    name = served.name_of(int(asker.history.item_indices[position]))
    return f"Because {asker.what_was_done(position)} {name}"


def _without_acts(served: Served, item_indices: Int32Array, levels: Float32Array, now_s: float) -> list[str]:
    """What can be said of startups without the user: new, popular, or neither."""
    new = served.is_new(now_s)
    popular = "Popular lately" if served.has_recent_acts(now_s) else "Popular"
    reasons = []
    for item_index, level in zip(item_indices, levels, strict=True):
        startup = served.startup(int(item_index))
        if new[item_index]:
            reasons.append(f"New in {startup.industry}" if startup and startup.industry else "New here")
        elif level >= POPULAR_FROM:
            reasons.append(popular)
        else:
            reasons.append("Liked by some" if level > 0 else LITTLE_KNOWN)
    return reasons


def _levels(counts: Float32Array, highest: float) -> Float32Array:
    """Counts on a logarithmic scale, the highest of all at 1."""
    return (np.log1p(counts) / max(float(np.log1p(highest)), 1e-12)).astype(np.float32)
