"""Where the score of one startup for one user comes from: parts that add up to it.

als: the user's own acts, exactly. two_tower: the acts and the interests. content: these and popularity,
and a second time the tags and words that carry the likeness. popularity: the users it counts. Any
other recommender: what it tells of acts and interests. `other` is what no part accounts for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.datasets.catalogue import CatalogueItem
from recsys.features.text import TAG_PREFIX, count_terms
from recsys.recommenders.base import Recommender, VectorRecommender
from recsys.recommenders.content import ContentRecommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.serving.explanations import Asker, closest_interests
from recsys.serving.retrieval import rank
from recsys.serving.served import Served
from recsys.types import BoolArray, Float32Array, History, Int32Array

MAX_ACTS = 50
MAX_DISLIKES_SHOWN = 20
MAX_TERMS = 10
SMALLEST_TERM = 0.02  # of all shared terms: below are the words every text has
STANDING_BATCH = 65_536  # contenders whose likeness to dislikes is in memory at once
SMALLEST_LOWERING = 1e-4  # of the score: below is what any startup has in common with another


@dataclass(frozen=True, slots=True)
class ActPart:
    """One startup the user acted on: its `share` of the score and what taking the act back would do.

    The score would fall by `effect`, or rise where that is below 0, as without a dislike. The two
    differ because without one act the others weigh more. `did` is the strongest type of act, None
    where that is not known.
    """

    startup_id: str
    name: str
    did: str | None
    weight: float
    share: float
    effect: float


@dataclass(frozen=True, slots=True)
class InterestPart:
    """The user's stated interests, the one most like the startup, and their share of the score."""

    stated: tuple[str, ...]
    closest: str
    share: float


@dataclass(frozen=True, slots=True)
class TermPart:
    """A tag or a word the startup has in common with what the user chose, and its share of the score."""

    term: str
    share: float


@dataclass(frozen=True, slots=True)
class PopularityPart:
    """How many users liked a startup, what they count each halved by age, and that one's share."""

    users: int
    recent_users: float
    half_life_days: float
    share: float


@dataclass(frozen=True, slots=True)
class LoweredPart:
    """The disliked startup most like this one, and how far the score was lowered for it."""

    startup_id: str
    name: str
    amount: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """`score`, the raw one a list is ordered by: the shares of `acts`, `interests`, `popularity` and
    `other`, less `lowered`.

    `acts` hold at most 50, the largest shares and the latest dislikes; the others are in `other`.
    `tags` and `words` tell the share of acts and interests a second time.
    """

    score: float
    acts: tuple[ActPart, ...] = ()
    interests: InterestPart | None = None
    tags: tuple[TermPart, ...] = ()
    words: tuple[TermPart, ...] = ()
    popularity: PopularityPart | None = None
    lowered: LoweredPart | None = None
    other: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """The `rank` of a startup among `n_candidates`, itself one of them."""

    rank: int
    n_candidates: int


def break_down(served: Served, recommender: Recommender, asker: Asker, item_index: int) -> Breakdown:
    """The parts of a recommender's score of one startup; it must know the startup."""
    history, asked = asker.history, np.array([item_index], np.int32)
    whole = float(recommender.score_items(history, asked)[0])
    score = _list_score(served, recommender, history, item_index)
    acts = _acts(served, recommender, asker, asked)
    interests, popularity = _interests(recommender, history, asked), None
    tags: tuple[TermPart, ...] = ()
    words: tuple[TermPart, ...] = ()
    if isinstance(recommender, ContentRecommender):
        tags, words = _terms(served, recommender, history, item_index)
        share = recommender.config.popularity_share * float(recommender.popularity[item_index])
        popularity = _popularity(served, recommender.config.half_life_days, item_index, share)
    elif isinstance(recommender, PopularityRecommender):
        popularity = _popularity(served, recommender.config.half_life_days, item_index, whole)
    lowered = None
    if whole - score > SMALLEST_LOWERING * abs(whole):
        lowered = _lowered(served, recommender, history, item_index, whole - score)
    parts = (*acts, *(part for part in (interests, popularity) if part is not None))
    return Breakdown(
        score,
        acts,
        interests,
        tags,
        words,
        popularity,
        lowered,
        score + (lowered.amount if lowered else 0.0) - sum(part.share for part in parts),
    )


def find_standing(
    recommender: Recommender, history: History, allowed: BoolArray, item_index: int, score: float
) -> Standing:
    """Where a startup stands among all that may be offered, as if it were one of them.

    Args:
        allowed: (n_items,) true where a startup may be offered.
        score: of the startup, as a list would be ordered by.
    """
    others = allowed[: recommender.n_items].copy()
    others[item_index] = False
    candidates = np.flatnonzero(others).astype(np.int32)
    # Dislikes only lower a score, so what is raw below the startup stays below; the last bits of a score
    # depend on how many are computed together.
    contenders = candidates[recommender.score_items(history, candidates) >= score - 1e-5 * abs(score)]
    n_above = 0
    for start in range(0, len(contenders), STANDING_BATCH):
        batch = np.zeros(len(allowed), np.bool_)
        batch[contenders[start : start + STANDING_BATCH]] = True
        ranked = rank(recommender, history, STANDING_BATCH, batch)
        is_first_of_equals = (ranked.scores == score) & (ranked.item_indices < item_index)
        n_above += int(np.count_nonzero((ranked.scores > score) | is_first_of_equals))
    return Standing(n_above + 1, len(candidates) + 1)


def _list_score(served: Served, recommender: Recommender, history: History, item_index: int) -> float:
    """The score a list would be ordered by: of a list in which nothing else is allowed."""
    alone = np.zeros(len(served.items), np.bool_)
    alone[item_index] = True
    return float(rank(recommender, history, 1, alone).scores[0])


def _acts(served: Served, recommender: Recommender, asker: Asker, asked: Int32Array) -> tuple[ActPart, ...]:
    """The largest effects first."""
    history = asker.history
    told = recommender.contributions(history, asked)
    if told is None and isinstance(recommender, PopularityRecommender):
        return ()
    shares = np.zeros(len(history.item_indices), np.float32) if told is None else told[:, 0]
    shown = acts_to_show(history, shares)
    effects = recommender.losses(history, asked, shown.tolist())[:, 0]
    order = np.argsort(-np.abs(effects), kind="stable")
    return tuple(
        ActPart(
            served.items.ids[index := int(history.item_indices[position])],
            served.name_of(index),
            asker.type_done(position),
            float(history.weights[position]),
            float(shares[position]),
            float(effect),
        )
        for position, effect in zip(shown[order].tolist(), effects[order], strict=True)
    )


def acts_to_show(history: History, shares: Float32Array) -> NDArray[np.intp]:
    """(n,) positions: all of a short history, else the first dislikes and the largest shares."""
    if len(shares) <= MAX_ACTS:
        return np.arange(len(shares))
    dislikes = np.flatnonzero(history.weights < 0)[:MAX_DISLIKES_SHOWN]
    others = np.setdiff1d(np.argsort(-np.abs(shares), kind="stable")[:MAX_ACTS], dislikes, assume_unique=True)
    return np.concatenate((dislikes, others))[:MAX_ACTS]


def _interests(recommender: Recommender, history: History, asked: Int32Array) -> InterestPart | None:
    (share,) = recommender.interest_share(history, asked).tolist()
    if share == 0:
        return None
    (closest,) = closest_interests(recommender, history.interests, asked)
    return InterestPart(tuple(history.interests), closest, share)


def _terms(
    served: Served, content: ContentRecommender, history: History, item_index: int
) -> tuple[tuple[TermPart, ...], tuple[TermPart, ...]]:
    """The tags and the words of a startup that the user's likes or interests have too, by share.

    A startup's vector is a sum over its terms, and so is the likeness. Terms that are only related,
    not shared, are left out.
    """
    startup, model = served.startup(item_index), content.text_model
    if startup is None:
        return (), ()
    terms, loadings = model.term_loadings(startup)
    shares = (1 - content.config.popularity_share) * (loadings @ content.user_vector(history))
    chosen = _terms_chosen(served, content, history)
    by_share = sorted(zip(terms, shares.tolist(), strict=True), key=lambda part: -part[1])
    positive = [(term, share) for term, share in by_share if share > 0 and term in chosen]
    least = SMALLEST_TERM * sum(share for _, share in positive)
    shared = [(term, share) for term, share in positive if share >= least]
    tags = [TermPart(t.removeprefix(TAG_PREFIX), s) for t, s in shared if t.startswith(TAG_PREFIX)]
    words = [TermPart(t, s) for t, s in shared if not t.startswith(TAG_PREFIX)]
    return tuple(tags[:MAX_TERMS]), tuple(words[:MAX_TERMS])


def _terms_chosen(served: Served, content: ContentRecommender, history: History) -> set[str]:
    """The terms of what the user liked and of their interests."""
    liked = (served.startup(int(index)) for index in history.liked)
    items: Iterable[CatalogueItem] = (startup for startup in liked if startup is not None)
    stated = CatalogueItem("-", "", " ".join(history.interests), tags=tuple(history.interests))
    weight = content.text_model.tag_weight
    return {term for item in (*items, stated) for term in count_terms(item, weight)}


def _popularity(served: Served, half_life_days: float, item_index: int, share: float) -> PopularityPart:
    """Counted again from the release's own acts."""
    release = served.release
    if release.user_items is None:
        return PopularityPart(0, 0.0, half_life_days, share)
    cells = (release.user_items.indices == item_index) & (release.user_items.data > 0)
    users = int(np.count_nonzero(cells))
    if release.last_event_at is None or users == 0:
        return PopularityPart(users, float(users), half_life_days, share)
    ages_s = release.last_event_at.max() - release.last_event_at[cells]
    recent = float((0.5 ** (ages_s / 86_400.0 / half_life_days)).sum())
    return PopularityPart(users, recent, half_life_days, share)


def _lowered(
    served: Served, recommender: Recommender, history: History, item_index: int, amount: float
) -> LoweredPart | None:
    """Because of which dislike: the one whose vector is most like the startup's."""
    disliked = history.disliked[history.disliked < recommender.n_items]
    if not isinstance(recommender, VectorRecommender) or len(disliked) == 0:
        return None
    most = int(disliked[recommender.likeness(np.array([item_index], np.int32), disliked)[0].argmax()])
    return LoweredPart(served.items.ids[most], served.name_of(most), amount)
