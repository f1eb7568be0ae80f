"""Why each startup is in a list, in a few true words: the user's own act or interest that counted most.

An act is named only if the startup's score falls when it is taken back. The largest share does not
promise that: without the act the others weigh more, and they may be worth as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.weights import DISLIKE, SIGNALS
from recsys.recommenders.base import Recommender
from recsys.recommenders.content import ContentRecommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.serving.served import Served
from recsys.types import BoolArray, Float32Array, History, Int32Array, UInt8Array

# The strongest act of a cell says it best.
VERBS = {
    "interest": "showed interest in",
    "apply": "applied to",
    "favorite": "saved",
    "like": "liked",
    "click": "looked into",
    "view": "viewed",
}
STRONGEST = [  # for each mask of types done
    next((signal for signal in VERBS if mask >> SIGNALS.index(signal) & 1), None) for mask in range(256)
]
POPULAR_FROM = 0.5  # of the most popular, on a logarithmic scale
SIMILAR_TASTE = "Liked by people with a taste like yours"
LIKE_SEVERAL = "Like several startups you chose"
LITTLE_KNOWN = "Little known yet"
MAX_NAMED_TRIES = 3  # acts with the largest shares that are tried for an item
SMALLEST_LOSS = 1e-5  # of the sum of an item's shares; less than that is rounding
NO_ACT = -1


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom to explain to: a history and, aligned with it, the types of act done (None: not known)."""

    history: History
    type_masks: UInt8Array | None = None

    def type_done(self, position: int) -> str | None:
        """The strongest type of act on the startup at a position of the history, where known.

        A dislike only while it is active.
        """
        if self.history.weights[position] < 0:
            return SIGNALS[DISLIKE]
        if self.type_masks is None:
            return None
        return STRONGEST[int(self.type_masks[position])]

    def what_was_done(self, position: int) -> str:
        """What they did to the startup at a position of the history, as "of" or "you liked"."""
        verb = VERBS.get(self.type_done(position) or "")
        return f"you {verb}" if verb else "of"

    def own_act(self, position: int) -> str:
        """The same as a reason by itself, of that very startup: "You liked it before"."""
        done = self.type_done(position)
        if done == SIGNALS[DISLIKE]:
            return "You disliked it"
        return f"You {VERBS.get(done or '', 'acted on')} it before"


def explain(
    served: Served,
    recommender: Recommender,
    asker: Asker,
    item_indices: Int32Array,
    *,
    now_s: float,
    n_listed: int | None = None,
) -> list[str]:
    """One reason for each item of a recommender's list.

    Args:
        now_s: UTC seconds.
        n_listed: how long the list is; by default these items are all of it.
    """
    if len(item_indices) == 0:
        return []
    if isinstance(recommender, ContentRecommender):
        return _explain_content(
            served, recommender, asker, item_indices, now_s, n_listed or len(item_indices)
        )
    if isinstance(recommender, PopularityRecommender):
        levels = _levels(recommender.scores[item_indices], float(recommender.scores.max()))
        return _without_acts(served, item_indices, levels, now_s)
    return _explain_by_acts(served, recommender, asker, item_indices)


def name_acts(
    recommender: Recommender, history: History, shares: Float32Array, item_indices: Int32Array
) -> NDArray[np.intp]:
    """(n,) position in the history of the act to name for each item, NO_ACT where none would be true.

    Of the likes with the largest shares the first whose taking back lowers the item's score.

    Args:
        shares: (n_history, n) of the items' scores; see `Recommender.contributions`.
    """
    likes, places = np.flatnonzero(history.weights > 0), np.arange(len(item_indices))
    if len(likes) == 0 or len(places) == 0:
        return np.full(len(places), NO_ACT, np.intp)
    tried = likes[np.argsort(-shares[likes], axis=0, kind="stable")[:MAX_NAMED_TRIES]]
    row_of = {act: row for row, act in enumerate(dict.fromkeys(tried.ravel().tolist()))}
    rows = np.array([row_of[act] for act in tried.ravel().tolist()]).reshape(tried.shape)
    losses = recommender.losses(history, item_indices, list(row_of))[rows, places]
    least = SMALLEST_LOSS * np.abs(shares).sum(axis=0)
    is_true = (shares[tried, places] > 0) & (losses > least)
    named: NDArray[np.intp] = np.where(is_true.any(axis=0), tried[is_true.argmax(axis=0), places], NO_ACT)
    return named


def _explain_by_acts(
    served: Served, recommender: Recommender, asker: Asker, item_indices: Int32Array
) -> list[str]:
    history = asker.history
    shares = recommender.contributions(history, item_indices)
    reasons = [SIMILAR_TASTE] * len(item_indices)
    if shares is None:
        return reasons
    by_acts = shares[history.weights > 0].sum(axis=0)
    by_interests = recommender.interest_share(history, item_indices)
    is_interest = by_interests > by_acts.clip(min=0)  # acts may add less than nothing
    _name_acts_in(reasons, served, recommender, asker, shares, item_indices, ~is_interest)
    _name_interests_in(reasons, recommender, history, item_indices, is_interest)
    return reasons


def _name_acts_in(
    reasons: list[str],
    served: Served,
    recommender: Recommender,
    asker: Asker,
    shares: Float32Array,
    item_indices: Int32Array,
    wanted: BoolArray,
) -> None:
    """Put the act to name in the wanted places, where there is one."""
    places = np.flatnonzero(wanted)
    named = name_acts(recommender, asker.history, shares[:, places], item_indices[places]).tolist()
    said = {act: _because_of(served, asker, act) for act in dict.fromkeys(named) if act != NO_ACT}
    for place, act in zip(places.tolist(), named, strict=True):
        reasons[place] = said.get(act, reasons[place])


def _name_interests_in(
    reasons: list[str],
    recommender: Recommender,
    history: History,
    item_indices: Int32Array,
    wanted: BoolArray,
) -> None:
    """Put the closest interest in the wanted places."""
    places = np.flatnonzero(wanted)
    for place, interest in zip(
        places.tolist(), closest_interests(recommender, history.interests, item_indices[places]), strict=True
    ):
        reasons[place] = f"Matches your interest in {interest}"


def _explain_content(
    served: Served,
    content: ContentRecommender,
    asker: Asker,
    item_indices: Int32Array,
    now_s: float,
    n_listed: int,
) -> list[str]:
    """The act or interest that counted most, unless popularity alone would have put the item here."""
    history = asker.history
    shares = content.contributions(history, item_indices)
    by_acts = shares[history.weights > 0].sum(axis=0)
    by_interests = content.interest_share(history, item_indices)
    levels = content.popularity[item_indices]
    is_personal = np.maximum(by_acts, by_interests) > _popularity_alone(content, levels, n_listed)
    reasons = _without_acts(served, item_indices, levels, now_s)
    by_act, by_interest = is_personal & (by_acts >= by_interests), is_personal & (by_acts < by_interests)
    for place in np.flatnonzero(by_act).tolist():
        reasons[place] = LIKE_SEVERAL
    _name_acts_in(reasons, served, content, asker, shares, item_indices, by_act)
    _name_interests_in(reasons, content, history, item_indices, by_interest)
    return reasons


def _popularity_alone(content: ContentRecommender, levels: Float32Array, n_listed: int) -> Float32Array:
    """(n,) popularity's share of a score; 0 where it would not reach a list of this length."""
    as_many = min(n_listed, content.n_items)
    lowest_in_list = np.partition(content.popularity, -as_many)[-as_many]
    shares: Float32Array = np.where(levels >= lowest_in_list, content.config.popularity_share * levels, 0.0)
    return shares


def closest_interests(
    recommender: Recommender, interests: Sequence[str], item_indices: Int32Array
) -> list[str]:
    """For each item the stated interest that alone would add most to its score."""
    if len(item_indices) == 0:
        return []
    alone = [recommender.interest_share(History.empty((interest,)), item_indices) for interest in interests]
    return [interests[interest] for interest in np.stack(alone).argmax(axis=0)]


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
