"""Alternating least squares over users, user features, items and item features: one falling objective.

With z_u = [x_u; b_u] and v_i = [y_i; b_i] (d = factors + 1), features f_u and g_i, n_u and n_i the
ratings of a row, N all ratings, and |z|_D^2 = regularization |x|^2 + bias_regularization b^2:

    J = sum over ratings  (r_ui - mu - b_u - b_i - x_u . y_i)^2
      + sum over users    n_u |z_u - W^T f_u|_D^2  +  feature_regularization N |W|_D^2
      + sum over items    n_i |v_i - V^T g_i|_D^2  +  feature_regularization N |V|_D^2

J is a convex quadratic in each of the four blocks alone, and every half-step finds that block's exact
minimum (over |z| <= max_norm, where that is set), so J never rises; nothing else is ever reported as
the loss. It bounds the vectors too: with J0 the first value, n_u |z_u - W^T f_u|_D^2 <= J0 for good.

The features are a prior mean (regression-based priors: Agarwal and Chen, KDD 2009); the penalty scaled
by the number of ratings is ALS-WR (Zhou et al., AAIM 2008). A row without ratings is its prior mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.recommenders.feature_als_solver import Side, shorten, solve_rows
from recsys.types import Float64Array

USERS, USER_FEATURES, ITEMS, ITEM_FEATURES = "users", "user features", "items", "item features"
START_DEVIATION = 0.1  # of the factors drawn at the start


class Parameters(Protocol):
    """The hyper-parameters read here; section feature_als of the configuration."""

    @property
    def factors(self) -> int: ...
    @property
    def regularization(self) -> float: ...
    @property
    def bias_regularization(self) -> float: ...
    @property
    def feature_regularization(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def max_norm(self) -> float | None: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class HalfStep:
    """What one half-step left behind.

    `objective` is J, `rmse` of the training ratings. Of the steps that solve rows: the largest
    `condition` number among their systems with the `worst` row's index, `condition_bound` which no row
    could exceed, `n_raised` rows whose penalty was
    raised to meet the bound on the norm, and the `largest_norm` of a vector, that of `longest`. Of
    feature steps `condition` is that of their one system.
    """

    iteration: int
    step: str
    objective: float
    rmse: float
    condition: float
    condition_bound: float
    worst: int
    n_raised: int
    largest_norm: float
    longest: int


@dataclass(slots=True)
class Block:
    """One side: its ratings, encoded features (n, p), vectors (n, d), and feature weights (p, d)."""

    side: Side
    features: Float64Array
    vectors: Float64Array
    weights: Float64Array
    system: Float64Array  # (p, p) F^T diag(n) F + feature_regularization N I
    condition: float

    @property
    def prior(self) -> Float64Array:
        """(n, d) where the features put each row."""
        prior: Float64Array = self.features @ self.weights
        return prior


class Alternation:
    """The state between half-steps; `step` takes one."""

    def __init__(
        self, by_user: Side, by_item: Side, user_features: Float64Array, item_features: Float64Array,
        parameters: Parameters,
    ) -> None:  # fmt: skip
        self._parameters = parameters
        width = parameters.factors + 1
        self._penalties = np.full(width, parameters.regularization)
        self._penalties[-1] = parameters.bias_regularization
        self._n_ratings = len(by_user.points)
        rng = np.random.default_rng(parameters.seed)
        self.users = self._start(by_user, user_features, rng)
        self.items = self._start(by_item, item_features, rng)
        self._error = np.inf  # the squared errors of all ratings, as the last solve of rows left them

    def run(self, report: Callable[[HalfStep], None]) -> None:
        """All iterations, each half-step told to `report`."""
        for iteration in range(1, self._parameters.iterations + 1):
            for name in (USERS, USER_FEATURES, ITEMS, ITEM_FEATURES):
                done = self.step(iteration, name)
                if done is not None:
                    report(done)

    def step(self, iteration: int, name: str) -> HalfStep | None:
        """Solve one block; None for features there are none of."""
        block, other = self._blocks(name)
        smallest, largest = float(self._penalties.min()), float(self._penalties.max())
        if name in (USERS, ITEMS):
            solved = solve_rows(
                block.side, other.vectors, self._penalties, block.prior, self._parameters.max_norm
            )
            block.vectors, self._error = solved.vectors, solved.squared_error
            condition, worst, n_raised = solved.condition, solved.worst, solved.n_raised
            bound = (_largest_square(other.vectors[:, :-1]) + 1 + largest) / smallest
        elif block.features.shape[1] == 0:
            return None
        else:  # no vector moves, so the errors stay as they are
            counts = block.side.counts[:, None]
            right = block.features.T @ (counts * block.vectors)
            block.weights = np.linalg.solve(block.system, right).astype(np.float64, copy=False)
            condition, worst, n_raised = block.condition, -1, 0
            bound = 1 + _largest_square(block.features) / self._parameters.feature_regularization
        norms = np.linalg.norm(block.vectors, axis=1)
        longest = int(norms.argmax())
        return HalfStep(
            iteration, name, self._error + self.penalty(), float(np.sqrt(self._error / self._n_ratings)),
            condition, bound, worst, n_raised, float(norms[longest]), longest,
        )  # fmt: skip

    def penalty(self) -> float:
        """All terms of J but the squared errors."""
        strength = self._parameters.feature_regularization * self._n_ratings
        total = 0.0
        for block in (self.users, self.items):
            away = np.einsum("nd,nd,d->n", *(2 * [block.vectors - block.prior]), self._penalties)
            total += float(block.side.counts @ away)
            total += strength * float(np.einsum("pd,pd,d->", block.weights, block.weights, self._penalties))
        return total

    def _blocks(self, name: str) -> tuple[Block, Block]:
        of_users = name in (USERS, USER_FEATURES)
        return (self.users, self.items) if of_users else (self.items, self.users)

    def _start(self, side: Side, features: Float64Array, rng: np.random.Generator) -> Block:
        shape = (len(side.counts), len(self._penalties))
        vectors = rng.normal(0.0, START_DEVIATION, shape)
        vectors[:, -1] = 0.0
        if self._parameters.max_norm is not None:
            vectors = shorten(vectors, self._parameters.max_norm)
        gram = (features.T * side.counts) @ features
        strength = self._parameters.feature_regularization * self._n_ratings
        system = gram + strength * np.eye(len(gram))
        eigenvalues = np.linalg.eigvalsh(system)
        condition = float(eigenvalues[-1] / eigenvalues[0]) if len(eigenvalues) else 1.0
        weights = np.zeros((features.shape[1], shape[1]))
        return Block(side, features, vectors, weights, system, condition)


def _largest_square(rows: Float64Array) -> float:
    return float(np.square(rows).sum(axis=1).max())
