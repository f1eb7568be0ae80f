"""The user of a history, and each act's share, against plain dense equations."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.engines.fold_in import FoldIn, FoldInTerms

FACTORS = 8
# Histories shorter than, as long as, and longer than the vectors: both forms of the system.
HISTORY_LENGTHS = st.sampled_from([0, 1, 5, FACTORS - 1, FACTORS, FACTORS + 1, 30])


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, FoldInTerms]:
    n, seed = draw(HISTORY_LENGTHS), draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    # What a cell adds may be nothing, or less (a confidence below that of "not seen"); YtY holds
    # every item once, so the sum stays positive definite.
    quadratic = rng.choice([-0.9, 0.0, 1.0, 4.0, 39.0], size=n)
    linear = np.where(rng.random(n) < 0.3, 0.0, quadratic + 1.0)
    spectrum = 10.0 ** rng.uniform(-3, 2, FACTORS) + n  # as long as n unit vectors at least
    seen = rng.normal(size=(n, FACTORS))
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    terms = FoldInTerms(
        draw(st.sampled_from([1.0, 2.5])), draw(st.sampled_from([1e-2, 1.0, 50.0])), quadratic, linear
    )
    return spectrum, seen, terms


def dense_system(spectrum: np.ndarray, seen: np.ndarray, terms: FoldInTerms) -> np.ndarray:
    gram = terms.gram_weight * np.diag(spectrum) + terms.ridge * np.eye(FACTORS)
    return gram + seen.T @ np.diag(terms.quadratic) @ seen


@settings(deadline=None)
@given(problem=problems())
def test_the_user_solves_the_dense_equations(problem: tuple[np.ndarray, np.ndarray, FoldInTerms]) -> None:
    spectrum, seen, terms = problem

    x = FoldIn(spectrum, seen, terms).user

    expected = np.linalg.solve(dense_system(*problem), seen.T @ terms.linear)
    np.testing.assert_allclose(x, expected, rtol=1e-7, atol=1e-9)


@settings(deadline=None)
@given(problem=problems(), n_targets=st.sampled_from([0, 1, 7]))
def test_a_share_is_what_the_score_loses_when_the_act_wishes_for_nothing(
    problem: tuple[np.ndarray, np.ndarray, FoldInTerms], n_targets: int
) -> None:
    spectrum, seen, terms = problem
    targets = np.random.default_rng(1).normal(size=(n_targets, FACTORS))

    folded = FoldIn(spectrum, seen, terms)
    shares = folded.shares(targets)

    assert shares.shape == (len(seen), n_targets)
    system = dense_system(*problem)
    for act, share in enumerate(shares):
        only_this_one = np.where(np.arange(len(seen)) == act, terms.linear, 0.0)
        expected = targets @ np.linalg.solve(system, seen.T @ only_this_one)
        np.testing.assert_allclose(share, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(shares.sum(axis=0), targets @ folded.user, rtol=1e-7, atol=1e-9)


@settings(deadline=None)
@given(problem=problems())
def test_what_a_user_loses_with_an_act_is_what_solving_without_it_leaves(
    problem: tuple[np.ndarray, np.ndarray, FoldInTerms],
) -> None:
    spectrum, seen, terms = problem
    acts = np.arange(len(seen))[::-2]

    lost = FoldIn(spectrum, seen, terms).lost(acts)

    assert lost.shape == (len(acts), FACTORS)
    user = np.linalg.solve(dense_system(*problem), seen.T @ terms.linear)
    for act, row in zip(acts, lost, strict=True):
        others = np.delete(seen, act, axis=0)
        left = FoldInTerms(
            terms.gram_weight,
            terms.ridge,
            np.delete(terms.quadratic, act),
            np.delete(terms.linear, act),
        )
        without = np.linalg.solve(dense_system(spectrum, others, left), others.T @ left.linear)
        np.testing.assert_allclose(row, user - without, rtol=1e-6, atol=1e-8)


def test_an_empty_history_is_nobody() -> None:
    terms = FoldInTerms(1.0, 0.1, np.empty(0), np.empty(0))

    assert FoldIn(np.ones(FACTORS), np.empty((0, FACTORS)), terms).user.tolist() == [0.0] * FACTORS


@settings(deadline=None)
@given(problem=problems(), ridge=st.sampled_from([1e-2, 0.7, 50.0]))
def test_another_ridge_is_the_same_history_solved_with_it(
    problem: tuple[np.ndarray, np.ndarray, FoldInTerms], ridge: float
) -> None:
    spectrum, seen, terms = problem

    other = FoldIn(spectrum, seen, terms).with_ridge(ridge)

    expected = FoldIn(spectrum, seen, FoldInTerms(terms.gram_weight, ridge, terms.quadratic, terms.linear))
    assert other.user.tolist() == expected.user.tolist()
