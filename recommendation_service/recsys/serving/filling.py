"""A list place by place: who filled each, the next recommender where one knows too few, new startups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ConfigError, UnavailableError
from recsys.recommenders.base import top_items
from recsys.recommenders.content import ContentRecommender
from recsys.serving.answers import RankedList, RankedStartup, join_reasons, make_recommendation_id
from recsys.serving.diversity import most_diverse
from recsys.serving.explanations import Asker, explain
from recsys.serving.retrieval import rank
from recsys.serving.served import Served
from recsys.types import BoolArray, Float64Array, History, Int32Array

NEW = "new"  # the source of a place kept for a new startup
NEW_STARTUP_SHARE = 0.2  # of a list for somebody without a history


@dataclass(frozen=True, slots=True)
class Places:
    """Filled places of a list, best first.

    `item_indices` (n,) int32; `scores` (n,) between 0 and 1; `sources` the recommender that filled
    each, or NEW.
    """

    item_indices: Int32Array
    scores: Float64Array
    sources: tuple[str, ...]

    @classmethod
    def none(cls) -> Self:
        """A list with nothing in it yet."""
        return cls(np.empty(0, np.int32), np.empty(0), ())

    def __len__(self) -> int:
        return len(self.item_indices)

    def take(self, order: NDArray[np.intp]) -> Places:
        """The places at these positions, in this order."""
        sources = tuple(self.sources[place] for place in order.tolist())
        return Places(self.item_indices[order], self.scores[order], sources)

    def followed_by(self, item_indices: Int32Array, scores: Float64Array, source: str) -> Places:
        """These places and then those of another source.

        Scores of two recommenders do not compare, so those that follow become shares of the lowest
        before them: the order within the source stays, and the whole list falls.
        """
        sources = (source,) * len(item_indices)
        if len(self) == 0:
            return Places(item_indices, scores, sources)
        return Places(
            np.concatenate((self.item_indices, item_indices)),
            np.concatenate((self.scores, self.scores.min() * scores)),
            self.sources + sources,
        )


@dataclass(frozen=True, slots=True)
class Filled:
    """A list, who filled its first part, why those asked before did not, and all who were asked."""

    places: Places
    method: str
    declined: tuple[str, ...]
    asked: tuple[str, ...]


def fill(served: Served, history: History, allowed: BoolArray, n_places: int, order: Sequence[str]) -> Filled:
    """Ask one recommender after the other until every place is filled.

    Args:
        allowed: (n_items,) true where a startup may be offered.
        n_places: at most so many; fewer only when no recommender of `order` knows more.
        order: names of recommenders.

    Raises:
        UnavailableError: none of them can answer.
    """
    places, left = Places.none(), allowed
    declined: list[str] = []
    asked: list[str] = []
    method: str | None = None
    for name in order:
        refusal = why_not(served, name, history)
        if refusal is None:
            asked.append(name)
            if not left.any():
                break
            recommender, n_missing = served.recommenders[name], n_places - len(places)
            ranked = rank(recommender, history, n_missing, left)
            if len(ranked.item_indices) > 0:
                method = method or name
                scores = served.release.scale(name, ranked.scores)
                places = places.followed_by(ranked.item_indices, scores, name)
                if len(places) == n_places:
                    break
                left = left.copy()
                left[ranked.item_indices] = False
            elif method is None:
                declined.append(f"{name} has nothing left to offer")
        elif method is None:
            declined.append(refusal)
    if not asked:
        raise UnavailableError(
            f"Nothing in release {served.release.version} can answer ({'; '.join(declined)}); "
            "train all models again."
        )
    return Filled(places, method or asked[0], tuple(declined), tuple(asked))


def diversify(served: Served, shortlist: Places, limit: int, diversity: float) -> tuple[Places, str | None]:
    """The `limit` places of a shortlist that suit and are not alike, and why they are not diverse, if so.

    Likeness is the cosine of the content vectors; see `most_diverse`. 0 is the list as it is.
    """
    if diversity == 0 and len(shortlist) <= limit:
        return shortlist, None
    first = np.arange(min(limit, len(shortlist)))
    content = served.recommenders.get("content")
    if diversity == 0:
        return shortlist.take(first), None
    if not isinstance(content, ContentRecommender):
        return shortlist.take(first), f"{not_trained(served, 'content')}: nothing tells what is alike"
    # What content does not know is like nothing.
    vectors = np.zeros((len(shortlist), content.vectors.shape[1]), np.float32)
    known = shortlist.item_indices < content.n_items
    vectors[known] = content.vectors[shortlist.item_indices[known]]
    return shortlist.take(most_diverse(shortlist.scores, vectors, limit, diversity=diversity)), None


@dataclass(frozen=True, slots=True)
class NewStartupShare:
    """Which share of a list is kept for new startups.

    `share` for somebody without a history, of whom there is little else to go by; half of it for
    everybody else. Rounded down: a short list keeps none.
    """

    share: float = NEW_STARTUP_SHARE

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(
                f"NEW_STARTUP_SHARE is {self.share}; give a share from 0 (no place is kept) to 1."
            )

    def n_places(self, limit: int, history: History) -> int:
        """How many of `limit` places are kept.

        >>> [NewStartupShare(0.2).n_places(n, History.empty()) for n in (4, 5, 10)]
        [0, 1, 2]
        """
        share = self.share if len(history.item_indices) == 0 else self.share / 2
        return math.floor(limit * share + 1e-9)  # 100 x 0.29 is a little below 29


NEW_STARTUPS = NewStartupShare()


def keep_places_for_new(
    served: Served,
    history: History,
    places: Places,
    allowed: BoolArray,
    *,
    limit: int,
    n_kept: int,
    now_s: float,
) -> Places:
    """The list with at least `n_kept` new startups in it, if there are so many.

    Those in the list already count. The others are the best by content; they take the last
    places, those of the least likely.
    """
    content = served.recommenders.get("content")
    if n_kept == 0 or not isinstance(content, ContentRecommender):
        return places
    new = served.new_items(now_s)
    in_list = np.isin(places.item_indices, new)
    n_missing = n_kept - int(in_list.sum())
    offered = new[allowed[new] & (new < content.n_items)]
    candidates = np.setdiff1d(offered, places.item_indices).astype(np.int32)
    if n_missing <= 0 or len(candidates) == 0:
        return places
    best = top_items(content.score_items(history, candidates), n_missing)
    n_dropped = max(len(places) + len(best.item_indices) - limit, 0)
    dropped = np.flatnonzero(~in_list)[::-1][:n_dropped]
    kept = places.take(np.setdiff1d(np.arange(len(places)), dropped))
    scores = served.release.scale("content", best.scores)
    return kept.followed_by(candidates[best.item_indices], scores, NEW)


def reasons_for(
    served: Served, places: Places, asker: Asker, *, now_s: float, wanted: Int32Array | None = None
) -> list[str]:
    """Why each startup is in the list, by who put it there.

    Args:
        now_s: UTC seconds.
        wanted: item indices; those of other startups are left empty. By default all have one.
    """
    reasons = [""] * len(places)
    is_wanted = np.ones(len(places), np.bool_) if wanted is None else np.isin(places.item_indices, wanted)
    places_of: dict[str, list[int]] = {}
    for place in np.flatnonzero(is_wanted).tolist():
        places_of.setdefault(places.sources[place], []).append(place)
    for source, its_places in places_of.items():
        recommender = served.recommenders["content" if source == NEW else source]
        indices = places.item_indices[its_places]
        n_listed = places.sources.count(source)
        said = explain(served, recommender, asker, indices, now_s=now_s, n_listed=n_listed)
        for place, item_index, reason in zip(its_places, indices.tolist(), said, strict=True):
            reasons[place] = _new_because(served, item_index, reason) if source == NEW else reason
    return _say_what_comes_back(places, asker, reasons)


def as_list(
    served: Served, filled: Filled, reasons: Sequence[str], notices: Iterable[str | None]
) -> RankedList:
    """The list as callers get it.

    Args:
        reasons: one for each place.
        notices: what the answer must admit to, if anything.
    """
    places, version = filled.places, served.release.version
    ids = served.items.ids_of(places.item_indices)
    columns = zip(ids, places.scores.tolist(), places.sources, reasons, strict=True)
    return RankedList(
        startups=tuple(
            RankedStartup(startup_id, place, score, source, reason)
            for place, (startup_id, score, source, reason) in enumerate(columns, start=1)
        ),
        method_used=filled.method,
        model_version=version,
        recommendation_id=make_recommendation_id(version, filled.method),
        degraded=join_reasons(*notices, served.release.notice),
    )


def _say_what_comes_back(places: Places, asker: Asker, reasons: list[str]) -> list[str]:
    """Of a startup shown again, its own act is the reason nearest at hand, and says nothing."""
    acted_on, shown = asker.history.item_indices.tolist(), places.item_indices.tolist()
    for item_index in set(acted_on).intersection(shown):
        place = shown.index(item_index)
        if reasons[place]:
            reasons[place] = asker.own_act(acted_on.index(item_index))
    return reasons


def _new_because(served: Served, item_index: int, reason: str) -> str:
    """ "New in Fintech: because you liked Acme"; without more to say, "New in Fintech"."""
    if reason.startswith("New"):
        return reason
    startup = served.startup(item_index)
    new = f"New in {startup.industry}" if startup is not None and startup.industry else "New here"
    return f"{new}: {reason[0].lower()}{reason[1:]}"


def why_not(served: Served, name: str, history: History) -> str | None:
    """Why a recommender cannot answer for a history; None when it can."""
    recommender = served.recommenders.get(name)
    return not_trained(served, name) if recommender is None else recommender.why_not(history)


def not_trained(served: Served, name: str) -> str:
    """What to say of a recommender that is not in the release."""
    if name == "ensemble" and "two_tower" not in served.recommenders:
        return "two_tower not trained"
    return f"{name} not trained"
