"""Which startups are most like one: by who chose them, by what they say of themselves, or by both.

Every model that knows the startup gives cosines with all others. Cosines of two models cannot be
added, one model's are all high and another's all low, so each is taken in standard deviations from
its own mean, and the blend is their mean. A startup that few people acted on has factors which tell
those people's other tastes: for it the texts alone count, and a candidate like that has no say from
behaviour either. What one model does not know of a candidate counts as average; what
none knows anything of is like nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.datasets.weights import DEFAULT_WEIGHTS
from recsys.errors import InvalidRequestError, UnavailableError
from recsys.recommenders.base import NO_ITEMS, top_items
from recsys.serving.served import Served
from recsys.types import BoolArray, Float32Array, Float64Array, Int32Array, Recommendation

MIN_USERS = 5  # from here on behaviour has a say
BY_BEHAVIOUR = ("als", "two_tower")
BY_TEXT = "content"
BLEND = "blend"
METHODS = (*BY_BEHAVIOUR, BY_TEXT, BLEND)
MAX_SHARED_TAGS = 3
MIN_TOGETHER = 2  # who acted on both, so that they are "people"


@dataclass(frozen=True, slots=True)
class Likeness:
    """A list of startups like one.

    `method` is a model, or "blend" when several had a say; `scores` (n,) are between 0 and 1;
    `sources` name the model that lifted each startup most; `declined` says why others had no say.
    """

    method: str
    ranked: Recommendation
    scores: Float64Array
    sources: tuple[str, ...]
    declined: tuple[str, ...]


def find_similar(served: Served, item_index: int, limit: int, method: str = BLEND) -> Likeness:
    """The active startups most like one, without itself; ties by the lower item index.

    Args:
        served: what can be offered.
        item_index: the startup to compare with.
        limit: how many at most.
        method: ask this model alone, or "blend".

    Raises:
        InvalidRequestError: the model asked for cannot compare this startup.
        UnavailableError: no model can.
    """
    allowed = served.active.copy()
    allowed[item_index] = False
    if method != BLEND:
        why_not = _why_not(served, method, item_index)
        if why_not is not None:
            raise InvalidRequestError(f"{method} cannot compare this startup: {why_not}.", method=method)
        return _by_one(served, method, item_index, limit, allowed)
    names, declined = _who_has_a_say(served, item_index)
    if not names:
        return _nothing(served, item_index)
    if len(names) == 1:
        return _by_one(served, names[0], item_index, limit, allowed, declined)
    return _blended(served, names, item_index, limit, allowed, declined)


def explain_similar(
    served: Served, item_index: int, item_indices: Int32Array, sources: Sequence[str]
) -> list[str]:
    """What each startup of a list has in common with the one it was compared with."""
    together = _n_users_of_both(served, item_index, item_indices)
    reasons = []
    for other, source, n_both in zip(item_indices.tolist(), sources, together.tolist(), strict=True):
        tags, by_behaviour = _shared_tags(served, item_index, other), source in BY_BEHAVIOUR
        if by_behaviour and n_both >= MIN_TOGETHER:
            reasons.append("Chosen by the same people")
        elif tags:
            reasons.append(f"Also in {', '.join(tags[:MAX_SHARED_TAGS])}")
        elif by_behaviour and _n_users(served, other):
            reasons.append("Chosen by people with the same taste")
        else:
            reasons.append("Described in similar words")
    return reasons


def _who_has_a_say(served: Served, item_index: int) -> tuple[list[str], tuple[str, ...]]:
    """The models to blend, and why the usual ones are not among them.

    Behaviour and texts where enough people acted on the startup, else texts alone; what is left when
    those know nothing of it.
    """
    why_not = {name: _why_not(served, name, item_index) for name in (*BY_BEHAVIOUR, BY_TEXT)}
    able = [name for name, reason in why_not.items() if reason is None]
    usual = [*BY_BEHAVIOUR, BY_TEXT] if _n_users(served, item_index) >= MIN_USERS else [BY_TEXT]
    names = [name for name in usual if name in able] or able
    missed = [name for name in usual if name not in able and name != "two_tower"]
    return names, tuple(reason for name in missed if (reason := why_not[name]) is not None)


def _nothing(served: Served, item_index: int) -> Likeness:
    """The empty list of a model that knows the startup, but nothing of it.

    Raises:
        UnavailableError: no model so much as knows it.
    """
    why_not = {name: _why_not(served, name, item_index) for name in (BY_TEXT, "als")}
    declined = tuple(reason for reason in why_not.values() if reason is not None)
    for name in why_not:
        if name in served.recommenders and item_index < served.recommenders[name].n_items:
            return Likeness(name, NO_ITEMS, np.empty(0), (), declined)
    raise UnavailableError(
        f"Nothing in release {served.release.version} can compare this startup ({'; '.join(declined)}); "
        "train all models again."
    )


def _why_not(served: Served, name: str, item_index: int) -> str | None:
    recommender = served.recommenders.get(name)
    if recommender is None:
        return f"{name} not trained"
    if item_index >= recommender.n_items:
        return f"{name} does not know this startup"
    if not _vectors(served, name)[item_index].any():
        return f"{name} knows nothing of this startup"
    return None


def _by_one(
    served: Served,
    name: str,
    item_index: int,
    limit: int,
    allowed: BoolArray,
    declined: tuple[str, ...] = (),
) -> Likeness:
    cosines = _cosines(served, name, item_index)
    ranked = top_items(cosines, limit, allowed[: len(cosines)])
    # Half a cosine's size around a half is within (0, 1) whatever it rounds to.
    scores = 0.5 + 0.499 * ranked.scores.astype(np.float64)
    return Likeness(name, ranked, scores, (name,) * len(ranked.item_indices), declined)


def _blended(
    served: Served,
    names: Sequence[str],
    item_index: int,
    limit: int,
    allowed: BoolArray,
    declined: tuple[str, ...],
) -> Likeness:
    votes = np.full((len(names), len(served.items)), -np.inf, np.float32)
    for vote, name in zip(votes, names, strict=True):
        standardized = _standardized(served, name, item_index)
        vote[: len(standardized)] = standardized
    has_a_say = votes > -np.inf
    ranked = top_items(np.where(has_a_say, votes, 0.0).mean(axis=0), limit, allowed & has_a_say.any(axis=0))
    strongest = votes[:, ranked.item_indices].argmax(axis=0)
    z = ranked.scores.astype(np.float64)
    scores = 0.5 * (1.0 + z / (1.0 + np.abs(z)))
    return Likeness(BLEND, ranked, scores, tuple(names[n] for n in strongest), declined)


def _standardized(served: Served, name: str, item_index: int) -> Float32Array:
    """(n,) cosines as deviations from their mean; -inf where the model knows too little to have a say."""
    cosines = _cosines(served, name, item_index)
    known: BoolArray = np.asarray(_vectors(served, name).any(axis=1), np.bool_)
    if name in BY_BEHAVIOUR:
        known[served.n_acted_on :] = False
        known[: served.n_acted_on] &= served.n_users_of_item[: len(known)] >= MIN_USERS
    known[item_index] = False
    if not known.any():
        return np.full_like(cosines, -np.inf)
    mean, deviation = cosines[known].mean(), cosines[known].std()
    standardized: Float32Array = np.where(known, (cosines - mean) / max(deviation, 1e-6), -np.inf)
    return standardized.astype(np.float32)


def _cosines(served: Served, name: str, item_index: int) -> Float32Array:
    """(n_items of the model,) cosine of one item's vector with every item's."""
    vectors = _vectors(served, name)
    products = vectors @ vectors[item_index]
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    cosines: Float32Array = products / np.maximum(lengths * lengths[item_index], 1e-12)
    return cosines.astype(np.float32).clip(-1.0, 1.0)


def _vectors(served: Served, name: str) -> Float32Array:
    vectors = served.recommenders[name].item_vectors()
    if vectors is None:
        raise UnavailableError(f"{name} has no item vectors to compare; train it again.")
    return vectors


def _n_users(served: Served, item_index: int) -> int:
    return int(served.n_users_of_item[item_index]) if item_index < served.n_acted_on else 0


def _n_users_of_both(served: Served, item_index: int, item_indices: Int32Array) -> Int32Array:
    """(n,) how many users of the release acted on both startups by more than a view."""
    user_items = served.release.user_items
    if user_items is None or item_index >= served.n_acted_on:
        return np.zeros(len(item_indices), np.int32)
    view = _view_weight(served)
    cells = np.flatnonzero((user_items.indices == item_index) & (user_items.data > view))
    users = np.searchsorted(user_items.indptr, cells, side="right") - 1
    rows = user_items[users]
    counts = np.bincount(rows.indices[rows.data > view], minlength=len(served.items))
    return counts[item_indices].astype(np.int32)


def _view_weight(served: Served) -> float:
    """What one view was worth when the release was made."""
    manifest = served.release.manifest
    weights = (manifest.dataset.get("weights") if manifest is not None else None) or DEFAULT_WEIGHTS
    return float(weights["view"])


def _shared_tags(served: Served, one: int, other: int) -> list[str]:
    """Tags and industry both have, in the other's spelling and order."""
    first, second = served.startup(one), served.startup(other)
    if first is None or second is None:
        return []
    mine = {tag.lower() for tag in (*first.tags, first.industry)} - {""}
    theirs: dict[str, str] = {}
    for tag in (*second.tags, second.industry):
        theirs.setdefault(tag.lower(), tag)
    return [tag for lowered, tag in theirs.items() if lowered in mine]
