"""What every recommender can do, and the one way to take the best of some scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.config import SectionConfig
from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, InvalidRequestError, NotFittedError
from recsys.progress import ignore_progress
from recsys.recommenders.inner_product_search import NO_ITEMS as NO_ITEMS
from recsys.recommenders.inner_product_search import InnerProductSearch, NormOrder
from recsys.recommenders.top_of_batch import blocks_of, check_limit, top_of_scores
from recsys.types import BoolArray, Float32Array, History, Int32Array, ProgressCallback, Recommendation

# A mapped file that somebody truncates in place kills its readers (SIGBUS); what was read cannot. Above
# this size of all arrays of a folder, one copy for all workers is worth more.
READ_BELOW_BYTES = 64 * 1024 * 1024
F = TypeVar("F", np.float32, np.float64)
FINITE_BLOCK = 1 << 16  # rows looked at together: no temporary as large as the array


class Recommender(ABC):
    """Scores every item of an index space for a history.

    `n_items` is how many items, from index 0, it can score; an index space may be longer.
    """

    name: ClassVar[str]
    covers_catalogue: ClassVar[bool]  # true: scores startups nobody acted on too
    parts: ClassVar[tuple[str, ...]] = ()  # recommenders it is put together from
    config: SectionConfig
    n_items: int = 0

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """None when it can learn from a dataset, else what is missing, in a few words."""
        return None

    @abstractmethod
    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn from a dataset; a fitted object is never fitted again, make a new one.

        Raises:
            DataError: the dataset lacks what this recommender needs.
        """

    def attach(self, recommenders: Mapping[str, Recommender]) -> None:
        """Take its `parts` from fitted recommenders by name, before `fit` or after `load`.

        Raises:
            NotFittedError: a part is missing.
        """
        missing = [part for part in self.parts if part not in recommenders]
        if missing:
            raise NotFittedError(f"{self.name} needs {missing[0]}, which is not there; train all models.")

    @abstractmethod
    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, n_items) raw scores; higher is better."""

    def why_not(self, history: History) -> str | None:
        """None when it can answer for this history, else the reason in a few words."""
        return None

    def score_items(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_items asked,) raw scores of a few items, all below `n_items`."""
        scores: Float32Array = self.score_batch([history])[0][item_indices]
        return scores

    def contributions(self, history: History, item_indices: Int32Array) -> Float32Array | None:
        """(n_history, n_items asked) what each act adds to each item's score, where the maths says it."""
        return None

    def interest_share(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_items asked,) what the stated interests add to each item's score; 0 where they are not read."""
        return np.zeros(len(item_indices), np.float32)

    def with_new_items(self, items: Sequence[CatalogueItem]) -> Self:
        """The same recommender with startups appended that it was not trained on.

        One that cannot place a startup by its text returns itself: it does not score them.
        """
        return self

    def losses(self, history: History, item_indices: Int32Array, acts: Sequence[int]) -> Float32Array:
        """(n_acts, n_items asked) how far each item's score falls when one act alone is taken back.

        Not the act's contribution: the other acts weigh otherwise without it. Below zero the score
        rises, as it does without a dislike.

        Args:
            history: what the user did.
            item_indices: the items asked about, all below `n_items`.
            acts: positions in the history.
        """
        scores = self.score_items(history, item_indices)
        lost = [scores - self.score_items(history.without(act), item_indices) for act in acts]
        return np.stack(lost) if lost else np.empty((0, len(item_indices)), np.float32)

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays into a release folder; returns facts for the manifest."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote, memory-mapped; `recipe` is the configuration it was made with.

        Raises:
            ArtifactError: a file is missing, is not an array, or has another shape.
        """

    def item_vectors(self) -> Float32Array | None:
        """(n_items, d) float32 vectors of the items, if there are any."""
        return None

    def recommend(
        self,
        history: History,
        limit: int,
        *,
        exclude: Int32Array | None = None,
        candidates: BoolArray | None = None,
    ) -> Recommendation:
        """The best `limit` items for a history.

        Args:
            history: what the user did; its items are not left out by themselves.
            limit: how many at most; fewer only when fewer are allowed.
            exclude: indices never to return.
            candidates: (n_items or more,) true where an item may be returned; all by default.
        """
        scores = self.score_batch([history])[0]
        return top_items(scores, limit, self._allowed(exclude, candidates))

    def recommend_batch(
        self, histories: Sequence[History], limit: int, *, exclude: Sequence[Int32Array] | None = None
    ) -> list[Recommendation]:
        """`recommend` for many histories at once, in bounded memory."""
        lists: list[Recommendation] = []
        for block in blocks_of(len(histories), self.n_items):
            scores = self.score_batch(histories[block])
            lists += top_of_scores(scores, limit, None if exclude is None else exclude[block])
        return lists

    def similar_items(
        self, item_index: int, limit: int, *, candidates: BoolArray | None = None
    ) -> Recommendation:
        """The items most like one, by the cosine of their vectors, without itself.

        Raises:
            InvalidRequestError: this recommender has no item vectors, or does not know the item.
        """
        vectors = self.item_vectors()
        if vectors is None:
            raise InvalidRequestError(f"{self.name} knows no similar items; ask als or content.")
        if not 0 <= item_index < self.n_items:
            raise InvalidRequestError(f"{self.name} does not know item {item_index}.")
        norms = np.linalg.norm(vectors, axis=1)
        if norms[item_index] == 0:
            return NO_ITEMS
        scores = vectors @ vectors[item_index] / np.maximum(norms * norms[item_index], 1e-12)
        allowed = self._allowed(np.array([item_index], np.int32), candidates)
        return top_items(scores.astype(np.float32), limit, allowed)

    def check_fitted(self) -> None:
        """Raise NotFittedError before `fit` or `load`."""
        if self.n_items == 0:
            raise NotFittedError(f"{self.name} is not fitted; call fit() or load() first.")

    def _allowed(self, exclude: Int32Array | None, candidates: BoolArray | None) -> BoolArray | None:
        within = None if candidates is None else candidates[: self.n_items]
        if exclude is None:
            return within
        allowed = np.ones(self.n_items, np.bool_) if within is None else within.copy()
        allowed[exclude[(exclude >= 0) & (exclude < self.n_items)]] = False
        return allowed


class VectorRecommender(Recommender):
    """Scores are inner products: a user's vector from the history, times a vector an item.

    Lists are exact and the same however they are found; see `inner_product_search`.
    """

    _search: InnerProductSearch | None = None

    @abstractmethod
    def user_vector(self, history: History) -> Float32Array:
        """(d,) float32; its product with an item's vector is the raw score."""

    def user_vectors(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, d) `user_vector` of each; who can make many faster overrides this."""
        return np.stack([self.user_vector(history) for history in histories])

    @abstractmethod
    def item_vectors(self) -> Float32Array:
        """(n_items, d) float32."""

    def score_items(self, history: History, item_indices: Int32Array) -> Float32Array:
        """(n_items asked,) products of the user's vector with these items' vectors."""
        scores: Float32Array = self.item_vectors()[item_indices] @ self.user_vector(history)
        return scores

    def score_batch(self, histories: Sequence[History]) -> Float32Array:
        """(n_histories, n_items) products of each user's vector with every item's."""
        self.check_fitted()
        scores: Float32Array = self.user_vectors(histories) @ self.item_vectors().T
        return scores

    def lost_vectors(self, history: History, acts: Sequence[int]) -> Float32Array:
        """(n_acts, d) float32 what the user's vector loses when one act alone is taken back.

        `acts` are positions in the history. Here each vector is made anew; who has a closed form
        overrides this.
        """
        whole = self.user_vector(history)
        lost = np.empty((len(acts), len(whole)), np.float32)
        for row, act in zip(lost, acts, strict=True):
            row[:] = whole - self.user_vector(history.without(act))
        return lost

    def losses(self, history: History, item_indices: Int32Array, acts: Sequence[int]) -> Float32Array:
        """See `Recommender.losses`."""
        losses: Float32Array = self.lost_vectors(history, acts) @ self.item_vectors()[item_indices].T
        return losses

    def likeness(self, item_indices: Int32Array, others: Int32Array) -> Float32Array:
        """(n, n_others) how alike items are, from -1 to 1: cosines; an item of length 0 is like nothing."""
        vectors = self.item_vectors()
        # In float64, so that the last bits of a float32 do not depend on how many are asked for at once.
        asked, known = (unit_rows(vectors[rows].astype(np.float64)) for rows in (item_indices, others))
        return (asked @ known.T).astype(np.float32)

    @property
    def search(self) -> InnerProductSearch:
        """The search over the item vectors: a full scan unless `search_by` gave it a norm order."""
        vectors = self.item_vectors()
        if self._search is None:
            self._search = InnerProductSearch(vectors)
        elif self._search.vectors is not vectors:  # startups were appended to a copy of this recommender
            self._search = self._search.extended(vectors)
        return self._search

    def search_by(self, norm_order: NormOrder) -> None:
        """Prune by a norm order of these item vectors from now on."""
        self._search = InnerProductSearch(self.item_vectors(), norm_order)

    def recommend(
        self,
        history: History,
        limit: int,
        *,
        exclude: Int32Array | None = None,
        candidates: BoolArray | None = None,
    ) -> Recommendation:
        """See `Recommender.recommend`."""
        return self.search.top(self.user_vector(history), limit, self._allowed(exclude, candidates))

    def recommend_batch(
        self, histories: Sequence[History], limit: int, *, exclude: Sequence[Int32Array] | None = None
    ) -> list[Recommendation]:
        """`recommend` for many histories at once, by matrix products."""
        return self.search.top_batch(self.user_vectors(histories), limit, exclude)


def top_items(scores: Float32Array, limit: int, allowed: BoolArray | None = None) -> Recommendation:
    """The highest scores among the allowed items, best first; ties go to the lower item index.

    Args:
        scores: (n_items,) finite scores.
        limit: how many, at least 1; fewer come back only when fewer are allowed.
        allowed: (n_items,) true where an item may be returned; all by default.

    >>> top_items(np.array([1, 3, 2, 3], np.float32), 3).item_indices.tolist()
    [1, 3, 2]
    """
    check_limit(limit)
    masked = scores if allowed is None else np.where(allowed, scores, -np.inf)
    limit = min(limit, len(masked) if allowed is None else int(allowed.sum()))
    if limit == 0:
        return NO_ITEMS
    threshold = np.partition(masked, len(masked) - limit)[len(masked) - limit]
    above = np.flatnonzero(masked > threshold)
    level = np.flatnonzero(masked == threshold)[: limit - len(above)]
    chosen = np.concatenate((above, level))
    order = np.lexsort((chosen, -masked[chosen]))
    return Recommendation(chosen[order].astype(np.int32), masked[chosen[order]].astype(np.float32))


def unit_rows(vectors: NDArray[F]) -> NDArray[F]:
    """The rows at length 1, those of length 0 as they are."""
    rows: NDArray[F] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return rows


def is_mapped(folder: Path) -> bool:
    """Whether `load_array` maps the arrays of a folder rather than reading them."""
    return sum(path.stat().st_size for path in folder.glob("*.npy")) >= READ_BELOW_BYTES


def load_array(
    path: Path, *, columns: int | None = None, mapped: bool = True, kinds: str = "biuf"
) -> NDArray[Any]:
    """One `.npy` of finite numbers, read-only; never unpickles.

    Args:
        path: the file.
        columns: how many it must have.
        mapped: memory-map it if its folder is not small (READ_BELOW_BYTES). Only for files nobody
            ever writes to, as those of a release folder.
        kinds: NumPy's letters for the types it may hold; "S" for bytes.

    Raises:
        ArtifactError: it is missing, is not a plain array of finite numbers, or has another number
            of columns.
    """
    try:
        mapped = mapped and is_mapped(path.parent)
        # A plain view: the class of a map costs every slice of it a microsecond.
        array: NDArray[Any] = np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
        array.flags.writeable = False
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist; train again or restore the file.") from None
    except (ValueError, OSError, EOFError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a plain NumPy array ({error}); train again.") from error
    if array.ndim == 0 or array.dtype.kind not in kinds:
        raise ArtifactError(
            f"{path} holds {array.dtype} of shape {array.shape}, not a list or table of numbers; train again."
        )
    if not is_finite(array):
        raise ArtifactError(f"{path} holds a value that is not finite; train again.")
    if columns is not None and (array.ndim != 2 or array.shape[1] != columns):
        raise ArtifactError(
            f"{path} has shape {array.shape} but its manifest says {columns} columns; "
            "train again or restore the matching file."
        )
    return array


def is_finite(array: NDArray[Any]) -> bool:
    """Whether every number of an array is finite."""
    if array.dtype.kind != "f":
        return True
    blocks = range(0, len(array), FINITE_BLOCK)
    return all(bool(np.isfinite(array[start : start + FINITE_BLOCK]).all()) for start in blocks)
