"""The parameters of mf while they are learned: tables with Adam's moments, and what a side makes of them.

A batch reads and writes only the rows of its own users and items, so that a step costs the same however
large the tables are: Adam whose moments of a row move when the row does, as torch's SparseAdam has it.

Each row pays half of its decay times its squared length, weighed by (its ratings / the mean number of
ratings) ** `decay_power`. A power of 0 is what `weight_decay` means to torch's optimizers; with 1 a row
with twice the ratings is held twice as hard. It pays its share when a batch touches it, so that an epoch
adds up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding_bag

from recsys.recommenders.mf import MFConfig
from recsys.recommenders.mf_kernel import move_rows, number_rows
from recsys.types import Float32Array, Int32Array, Int64Array


class Workers:
    """Threads that do the parts of a kernel at once; with one, it is called where it stands."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool = ThreadPoolExecutor(n) if n > 1 else None

    def run(self, kernel: Callable[..., Any], *arguments: object) -> None:
        """A kernel of `mf_kernel` that takes `part` and `parts` last."""
        if self._pool is None:
            kernel(*arguments, 0, 1)
            return
        for done in [self._pool.submit(kernel, *arguments, part, self.n) for part in range(self.n)]:
            done.result()

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()


@dataclass(frozen=True)
class Placed:
    """The distinct rows of a batch in the order they come, (n_distinct,) int32 `rows`; (n,) `places`, each
    rating's row among them; `shares` (n_distinct,) float32 of the batch that are a row's."""

    rows: Int32Array
    places: Int32Array
    shares: Float32Array


class Table:
    """Rows of parameters with Adam's two moments; a step moves the rows a batch touched and no other.

    `counts` (n,) ratings of each row; None for a table that every batch uses as a whole.
    """

    def __init__(self, start: Float32Array, decay: float, counts: Int64Array | None, power: float) -> None:
        self.values = start
        self.first = np.zeros_like(start)
        self.second = np.zeros_like(start)
        self.is_whole = counts is None
        if counts is None:
            self.decay = np.full(len(start), decay, np.float32)
            return
        touched = np.maximum(counts, 1)
        weight = (touched / touched[counts > 0].mean()) ** power
        # One of a row's n ratings among the B of a batch pays (N / n) / B of the row's penalty: all n
        # of them then pay for all N / B steps of an epoch.
        self.decay = (decay * weight * (counts.sum() / touched)).astype(np.float32)

    def take(self, rows: Tensor) -> Tensor:
        """A leaf that autograd follows: a copy of the rows, or of the whole table."""
        values = torch.from_numpy(self.values)
        return (values.clone() if self.is_whole else values.index_select(0, rows)).requires_grad_()

    def step(self, placed: Placed, grads: Float32Array, rate: float, n: int, workers: Workers) -> None:
        """Adam's step number `n` (from 1), with each row's share of its penalty."""
        rows, shares = placed.rows, placed.shares
        if self.is_whole:
            rows, shares = np.arange(len(self.values), dtype=np.int32), np.ones(len(self.values), np.float32)
        workers.run(
            move_rows, *(self.values, self.first, self.second, self.decay), rows, shares, grads, rate, n
        )


class Side:
    """Users or items: a vector and a bias each, the biases and vectors of their features, their history."""

    def __init__(
        self,
        index: Int32Array,
        n: int,
        features: Float32Array | None,
        config: MFConfig,
        rng: np.random.Generator,
    ) -> None:
        counts = np.bincount(index, minlength=n)
        self.is_known = torch.from_numpy((counts > 0).astype(np.float32)[:, None])
        power = config.decay_power
        self.tables = [
            Table(_start((n, config.factors), config.start, rng), config.weight_decay, counts, power),
            Table(np.zeros((n, 1), np.float32), config.bias_decay, counts, power),
        ]
        self.features = None if features is None else torch.from_numpy(features)
        if features is not None:
            for width, decay in ((config.factors, config.weight_decay), (1, config.bias_decay)):
                empty = np.zeros((features.shape[1], width), np.float32)
                self.tables.append(Table(empty, decay, None, power))
        self.history: _History | None = None
        self._place_of = np.full(n, -1, np.int32)

    def add_history(self, history: csr_matrix, config: MFConfig) -> None:
        """A further vector of each item, whose sum over a user's history stands beside the user's own."""
        empty = np.zeros((history.shape[1], config.factors), np.float32)
        self.tables.append(Table(empty, config.weight_decay, None, config.decay_power))
        self.history = _History(history)

    def place(self, index: Int32Array) -> Placed:
        """The distinct rows of a batch."""
        rows, places, times = (np.empty(len(index), np.int32) for _ in range(3))
        n = number_rows(index, self._place_of, rows, places, times)
        shares = times[:n].astype(np.float32) / np.float32(len(index))
        return Placed(rows[:n], places, shares)

    def vectors(self, rows: Tensor, leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(n_rows, factors) and (n_rows, 1): what the leaves, one a table, make of the rows."""
        known = self.is_known.index_select(0, rows)
        vectors, biases = leaves[0] * known, leaves[1]
        if self.features is not None:
            features = self.features.index_select(0, rows)
            vectors, biases = vectors + features @ leaves[2], biases + features @ leaves[3]
        if self.history is not None:
            vectors = vectors + self.history.sums(rows, leaves[-1])
        return vectors, biases

    def everyone(self) -> tuple[Float32Array, Float32Array]:
        """(n, factors) vectors and (n,) biases of all rows, as copies."""
        rows = torch.arange(len(self.is_known))
        vectors, biases = self.vectors(rows, [torch.from_numpy(table.values) for table in self.tables])
        return vectors.numpy().copy(), biases.squeeze(1).numpy().copy()


class _History:
    """Who did something with what: (n_users, n_items) CSR, a row weighed by 1 / sqrt(its length)."""

    def __init__(self, history: csr_matrix) -> None:
        self.history = history
        lengths = np.maximum(np.diff(history.indptr), 1)
        self.scale = torch.from_numpy((lengths**-0.5).astype(np.float32)[:, None])

    def sums(self, rows: Tensor, vectors: Tensor) -> Tensor:
        """(n_rows, factors) the scaled sum of the vectors (n_items, factors) of each row's items."""
        part = self.history[rows.numpy()]
        items, starts = torch.from_numpy(part.indices.astype(np.int64)), torch.from_numpy(part.indptr[:-1])
        return embedding_bag(items, vectors, starts.long(), mode="sum") * self.scale.index_select(0, rows)


def _start(shape: tuple[int, int], start: str, rng: np.random.Generator) -> Float32Array:
    """Xavier's uniform start (Glorot & Bengio, AISTATS 2010), or the normal one of torch's embeddings."""
    if start == "normal":
        return rng.standard_normal(shape, np.float32)
    bound = (6.0 / sum(shape)) ** 0.5
    return (rng.random(shape, np.float32) * 2 - 1) * np.float32(bound)
