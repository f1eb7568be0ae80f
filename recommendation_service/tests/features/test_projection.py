"""Vectors brought to another length."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from recsys.errors import ConfigError, DataError
from recsys.features.projection import METHODS, NOISE, Projected, project
from recsys.types import Float32Array

RNG = np.random.default_rng(5)
VECTORS = (RNG.normal(size=(60, 12)) * np.linspace(3, 0.1, 12) + 1).astype(np.float32)
ALL = np.ones(60, np.bool_)


def run(vectors: Float32Array = VECTORS, factors: int = 4, method: str = "svd", seed: int = 0) -> Projected:
    has_vector = np.ones(len(vectors), np.bool_)
    return project(vectors, has_vector, factors=factors, method=method, length=2.0, seed=seed)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_length_asked_for(method: str) -> None:
    projected = run(method=method)

    assert projected.vectors.shape == (60, 4)
    assert projected.vectors.dtype == np.float32
    assert np.sqrt((projected.vectors**2).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-5)
    assert projected.facts["original_dimensions"] == 12
    assert projected.facts["projected_dimensions"] == 4
    assert projected.facts["projection"] == method
    assert 0 < projected.facts["explained_variance"] < 1


@pytest.mark.parametrize(("method", "theirs"), [("svd", TruncatedSVD), ("pca", PCA)])
def test_svd_and_pca_are_scikit_learns(method: str, theirs: type) -> None:
    options = {"algorithm": "arpack"} if theirs is TruncatedSVD else {}
    other = theirs(n_components=4, **options)
    expected = other.fit_transform(VECTORS.astype(np.float64))

    projected = run(method=method)

    # Directions may point the other way; the products of vectors do not tell.
    scale = 4.0 / (expected**2).sum(axis=1).mean()
    np.testing.assert_allclose(
        projected.vectors @ projected.vectors.T, scale * expected @ expected.T, rtol=1e-3, atol=1e-4
    )
    assert projected.facts["explained_variance"] == pytest.approx(
        other.explained_variance_ratio_.sum(), abs=1e-5
    )


def test_pca_explains_most_and_random_least() -> None:
    pca, random = (run(method=method).facts["explained_variance"] for method in ("pca", "random"))

    assert pca >= run(method="svd").facts["explained_variance"] > random


def test_as_many_factors_as_there_are_dimensions_keep_all_there_is() -> None:
    projected = run(factors=12, method="random")

    assert projected.facts["explained_variance"] == pytest.approx(1.0, abs=1e-6)
    scale = 4.0 / (VECTORS**2).sum(axis=1).mean()
    np.testing.assert_allclose(
        projected.vectors @ projected.vectors.T, scale * VECTORS @ VECTORS.T, rtol=1e-3, atol=1e-4
    )


def test_what_nothing_is_known_of_starts_small_and_at_random() -> None:
    has_vector = ALL.copy()
    has_vector[::2] = False

    start = project(VECTORS, has_vector, factors=20, method="svd", length=2.0, seed=0)

    assert start.facts["projected_dimensions"] == 12
    assert start.vectors[::2].std() == pytest.approx(NOISE, rel=0.1)
    assert start.vectors[1::2, 12:].std() == pytest.approx(NOISE, rel=0.2)
    assert np.sqrt((start.vectors[1::2, :12] ** 2).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-5)


def test_a_seed_gives_the_same_bits_and_another_other_ones() -> None:
    np.testing.assert_array_equal(run(method="random").vectors, run(method="random").vectors)
    assert not np.array_equal(run(method="random").vectors, run(method="random", seed=1).vectors)


def test_vectors_that_are_all_alike_are_refused() -> None:
    with pytest.raises(DataError, match="60 items are all alike"):
        run(np.ones((60, 3), np.float32))
    with pytest.raises(DataError, match="0 items are all alike"):
        project(VECTORS, ~ALL, factors=2, method="svd", length=1.0, seed=0)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="no projection 'umap'; there are svd, pca, random"):
        run(method="umap")
