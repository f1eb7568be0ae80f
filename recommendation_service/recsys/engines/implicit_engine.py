"""ALS by the `implicit` library (Hu, Koren, Volinsky, ICDM 2008; conjugate gradient after
Takacs, Pilaszy, Tikk, RecSys 2011).

Its confidence is alpha * |weight|, and 1 where nothing is stored; a stored negative cell has
preference 0. The objective it minimises, and the normal equations a fold-in must solve, are

    A = YtY + sum over cells of (confidence - 1) y yt + regularization I
    b = sum over positive cells of confidence y
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.factors import Factors, are_finite, available_cpus, diagonalize
from recsys.engines.fold_in import MIN_DISLIKE_CONFIDENCE, FoldInTerms
from recsys.errors import DataError
from recsys.types import Float32Array, Float64Array, ProgressCallback, ProgressReport


def fit_factors(dataset: Dataset, config: ALSConfig, progress: ProgressCallback) -> Factors:
    """Factorize the signed cells. Bit-identical for one seed, whatever the number of threads.

    Raises:
        DataError: the factors grew beyond what a float32 holds.
    """
    from implicit.cpu.als import AlternatingLeastSquares  # trains only; an answering service lacks it
    from implicit.recommender_base import ModelFitError
    from threadpoolctl import threadpool_limits

    def report(iteration: int, elapsed_s: float, loss: float | None) -> None:
        progress(ProgressReport("fitting als", (iteration + 1) / config.iterations))

    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularization,
            alpha=config.alpha,
            iterations=config.iterations,
            random_state=config.seed,
            num_threads=available_cpus(),
        )
        user_items = _raise_dislikes(dataset.user_items, config.alpha)
        try:
            model.fit(user_items, show_progress=False, callback=report)
        except ModelFitError as error:
            raise _not_finite(config, str(error)) from error
    if not are_finite(model.user_factors, model.item_factors):
        raise _not_finite(config, "a factor is not a finite number")
    model.user_factors, model.item_factors = diagonalize(model.user_factors, model.item_factors)
    return Factors(model.user_factors, model.item_factors, model)


def confidences(weights: Float32Array, alpha: float) -> Float64Array:
    """(n,) confidence of each cell, in float64."""
    scaled = alpha * np.abs(weights.astype(np.float64))
    return np.where(weights < 0, np.maximum(scaled, MIN_DISLIKE_CONFIDENCE), scaled)


def ridge(n_likes: int, config: ALSConfig, n_items: int) -> float:
    """The same for every history."""
    return config.regularization


def fold_in_terms(weights: Float32Array, config: ALSConfig, n_items: int) -> FoldInTerms:
    """The equations above for a history of (n,) signed weights."""
    confidence = confidences(weights, config.alpha)
    return FoldInTerms(
        gram_weight=1.0,
        ridge=ridge(int(np.count_nonzero(weights > 0)), config, n_items),
        quadratic=confidence - 1.0,
        linear=np.where(weights > 0, confidence, 0.0),
    )


def save_model(model: Any, path: Path) -> None:
    """Pickle the library's model, for people to explore; nothing of ours reads it back."""
    path.write_bytes(pickle.dumps(model))


def _not_finite(config: ALSConfig, found: str) -> DataError:
    return DataError(
        f"als found no finite factors with regularization={config.regularization} and "
        f"alpha={config.alpha} ({found}); raise als.regularization or check the largest weights."
    )


def _raise_dislikes(user_items: csr_matrix, alpha: float) -> csr_matrix:
    """The same matrix with dislikes strong enough to matter at this alpha."""
    floor = MIN_DISLIKE_CONFIDENCE / alpha
    data = np.where(user_items.data < 0, np.minimum(user_items.data, -floor), user_items.data)
    return csr_matrix((data.astype(np.float32), user_items.indices, user_items.indptr), user_items.shape)
