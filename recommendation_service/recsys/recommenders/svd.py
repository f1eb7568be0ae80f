"""Truncated SVD of the user-item matrix of points (PureSVD: Cremonesi et al., RecSys 2010).

A pair without a rating is a cell of 0. As the points are, that reads "nobody chose it", and the
product ranks well and predicts points badly: it is drawn towards 0. With the points centred, 0 reads
"neither above nor below what is usual", and it is the other way round. Only the stored cells are
centred, so the matrix stays sparse; taking the mean from every cell too would make each unrated item
one that the user hates.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import ArpackError, svds

from recsys.config import SectionConfig
from recsys.datasets.ratings import Ratings
from recsys.errors import ArtifactError, DataError
from recsys.progress import ignore_progress
from recsys.recommenders.rating_base import RatingData, RatingRecommender, read_manifest
from recsys.recommenders.rating_biases import Biases, fit_biases, user_means
from recsys.types import Float32Array, Float64Array, Int32Array, ProgressCallback

logger = logging.getLogger(__name__)

NONE, USER, BIASES = "none", "user", "biases"
DENSE_UP_TO = 400  # rows or columns: below it LAPACK is as fast, and knows no starting vector,
DENSE_CELLS = 1_000_000  # unless the other side is long: 200,000 x 300 took 2 GB and 16 s, ARPACK 1 s
ARRAYS = ("user_factors", "item_factors", "user_biases", "item_biases", "user_centres")


@dataclass(frozen=True)
class SVDConfig(SectionConfig):
    """`factors` is capped to what the matrix allows; `centre` is what is taken from the points first."""

    section: ClassVar[str] = "svd"
    factors: int
    centre: str
    damping: float
    seed: int

    def __post_init__(self) -> None:
        self.require(self.factors >= 1, "factors", "1 or more")
        self.require(self.centre in (NONE, USER, BIASES), "centre", f"one of {NONE}, {USER}, {BIASES}")
        self.require(self.damping >= 0, "damping", "0 or more")
        self.require(self.seed >= 0, "seed", "0 or more")


class SVDRecommender(RatingRecommender):
    """user_factors = U Sigma (n_users, factors), item_factors = V (n_items, factors), both float32.

    Factors are ordered by singular value, the largest first; of each pair of vectors the sign is such
    that the item vector's largest entry is above zero, so that the same data gives the same factors.
    """

    name: ClassVar[str] = "svd"

    def __init__(self, config: SVDConfig | None = None) -> None:
        self.config: SVDConfig = config or SVDConfig.default()

    def fit(
        self,
        data: RatingData,
        validation: Ratings | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Self:
        """Decompose; `validation` is not used, nothing is stopped early.

        Raises:
            DataError: the matrix has fewer than two users or items, or centring leaves only zeros.
        """
        self.remember(data)
        factors = self._factors_allowed()
        self.biases = fit_biases(data, self.config.damping)
        self.user_centres = user_means(data)
        ratings = data.ratings
        cells = ratings.points - self._centres(ratings.user_index, ratings.item_index)
        matrix = csr_matrix(
            (cells.astype(np.float64), (ratings.user_index, ratings.item_index)), (data.n_users, data.n_items)
        )
        if np.abs(cells).max() < 1e-6 * max(map(abs, self.range)):
            raise DataError(
                f"All ratings are the same once centred by {self.config.centre}: there is nothing to learn; "
                "collect more, or set centre=none."
            )
        left, sizes, right = truncated_svd(matrix, factors, self.config.seed)
        self.user_factors = (left * sizes).astype(np.float32)
        self.item_factors = right.astype(np.float32)
        return self

    def predict(self, user_index: Int32Array, item_index: Int32Array) -> Float32Array:
        """See `RatingRecommender.predict`."""
        known = self.is_known(user_index, item_index)
        users, items = user_index[known], item_index[known]
        points = self.biases.predict(user_index, item_index)
        products = np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items])
        points[known] = self._centres(users, items) + products
        return self.clip(points)

    def score_users(self, user_index: Int32Array) -> Float32Array:
        """See `RatingRecommender.score_users`; a user nobody knows gets the item biases."""
        self.check_fitted()
        scores = np.tile(self.biases.item_biases, (len(user_index), 1))
        known = (user_index >= 0) & self.known_users[user_index]
        own = self.user_factors[user_index[known]] @ self.item_factors.T
        scores[known] = own + scores[known] if self.config.centre == BIASES else own
        return scores

    def caveat(self) -> str:
        """That uncentred points are drawn towards 0."""
        if self.config.centre != NONE:
            return ""
        return (
            "centre=none reads a pair without a rating as 0, which draws the points down (hence the rmse) "
            "and ranks best; to predict points, --set centre=biases"
        )

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the factors, the biases and the users' centres."""
        facts = super().save(folder)
        arrays = (
            *(self.user_factors, self.item_factors),
            *(self.biases.user_biases, self.biases.item_biases, self.user_centres),
        )
        for name, array in zip(ARRAYS, arrays, strict=True):
            np.save(folder / f"{name}.npy", array)
        return {**facts, "mean": self.biases.mean, "factors": self.user_factors.shape[1]}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        manifest = read_manifest(folder)
        facts = manifest["facts"]
        recommender = cls(SVDConfig.from_mapping(manifest["recipe"], source=str(folder)))
        recommender.recall(folder, manifest)
        try:
            mean, factors = float(facts["mean"]), int(facts["factors"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtifactError(
                f"The manifest in {folder} lacks facts of svd ({error}); train again."
            ) from error
        arrays = recommender.load_arrays(folder, ARRAYS, factors)
        recommender.user_factors, recommender.item_factors = arrays["user_factors"], arrays["item_factors"]
        recommender.user_centres = arrays["user_centres"]
        recommender.biases = Biases(mean, arrays["user_biases"], arrays["item_biases"])
        return recommender

    @classmethod
    def most_factors(cls, n_users: int, n_items: int) -> int | None:
        """One less than the shorter side."""
        return min(n_users, n_items) - 1

    def _factors_allowed(self) -> int:
        allowed = min(self.n_users, self.n_items) - 1
        if allowed < 1:
            raise DataError(
                f"A matrix of {self.n_users:,} users x {self.n_items:,} items is too small for svd; "
                "2 users and 2 items are the least. Import more ratings."
            )
        if self.config.factors > allowed:
            logger.warning(
                "svd factors capped from %d to %d: a matrix of %d x %d allows no more",
                *(self.config.factors, allowed, self.n_users, self.n_items),
            )
        return min(self.config.factors, allowed)

    def _centres(self, users: Int32Array, items: Int32Array) -> Float32Array:
        """(n,) what is taken from the points of each pair before the matrix is decomposed."""
        if self.config.centre == BIASES:
            return self.biases.predict(users, items)
        return self.user_centres[users] if self.config.centre == USER else np.zeros(len(users), np.float32)


def truncated_svd(
    matrix: csr_matrix, factors: int, seed: int
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """U (n_rows, factors), the singular values, largest first, and V (n_columns, factors).

    Lanczos (ARPACK) from a start drawn by `seed`; LAPACK where the matrix is small. Vectors of a
    singular value that is none (the matrix has a lower rank) are 0.

    Raises:
        DataError: it does not converge.
    """
    if min(matrix.shape) <= DENSE_UP_TO and math.prod(matrix.shape) <= DENSE_CELLS:
        left, sizes, right_t = np.linalg.svd(matrix.toarray(), full_matrices=False)
        left, sizes, right_t = left[:, :factors], sizes[:factors], right_t[:factors]
    else:
        start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
        try:
            left, sizes, right_t = svds(matrix, k=factors, v0=start, solver="arpack")
        except ArpackError as error:
            raise DataError(f"The SVD did not converge ({error}); ask for fewer factors.") from error
        order = np.argsort(-sizes)
        left, sizes, right_t = left[:, order], sizes[order], right_t[order]
    right = right_t.T
    # svds works on the matrix times itself: below this share of the largest a value is rounding.
    is_none = sizes <= 1e-7 * sizes[0]
    left, right, sizes = left * ~is_none, right * ~is_none, sizes * ~is_none
    largest = right[np.abs(right).argmax(axis=0), np.arange(right.shape[1])]
    signs = np.where(largest < 0, -1.0, 1.0)
    return left * signs, sizes, right * signs
