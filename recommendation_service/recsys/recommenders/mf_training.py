"""The training of mf: minibatches of ratings, PyTorch's gradients, Adam on the rows a batch touches.

A batch reads and writes only the rows of its own users and items, so that a step costs the same however
large the tables are. Those rows are gathered into small leaf tensors, autograd gives their gradients, and
`_Table.step` moves them: Adam whose moments of a row move when the row does, as torch's SparseAdam has
it, without sparse tensors to build.

The objective is the mean squared error plus half of the decay times the squared length of every row, each
row weighed by (its ratings / the mean number of ratings) ** `decay_power`. A power of 0 is what
`weight_decay` means to torch's optimizers; with 1 a row with twice the ratings is held twice as hard.
A row pays its share of the penalty when a batch touches it, so that an epoch adds up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding_bag

from recsys.errors import DataError
from recsys.recommenders.mf import EpochLoss, Examples, MFConfig, MFFactors, Pairs
from recsys.types import Float32Array, Int32Array, Int64Array, ProgressCallback, ProgressReport

MOST_MEASURED = 1_000_000  # train ratings the train loss is measured on, drawn once
FIRST_MOMENT, SECOND_MOMENT, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual ones
EDGE = 0.01  # the start of the sigmoid stays this share of the range away from its ends


@dataclass(frozen=True)
class Training:
    """The factors of the best epoch by validation loss, of the last one without a validation part."""

    factors: MFFactors
    curve: tuple[EpochLoss, ...]
    best_epoch: int


def train(
    examples: Examples, validation: Pairs | None, config: MFConfig, progress: ProgressCallback
) -> Training:
    """Train `config.epochs` epochs, or until `config.patience` of them brought no better validation loss.

    The train loss of an epoch is that of its factors as they would predict (without dropout), over at
    most MOST_MEASURED ratings, so that it can be set beside the validation loss. Bit-identical for one
    seed on one machine with one thread.

    Raises:
        DataError: the loss stops being finite.
    """
    rng = np.random.default_rng(config.seed)
    measured = examples.pairs.sample(MOST_MEASURED, rng)
    curve: list[EpochLoss] = []
    best_epoch, lowest = 0, np.inf
    with _threads(config.threads):
        model = _Model(examples, config, rng)
        best = model.factors()
        for epoch in range(1, config.epochs + 1):
            for done in model.run_epoch(epoch):
                progress(ProgressReport("fitting mf", (epoch - 1 + done) / config.epochs))
            factors = model.factors()
            train_loss = factors.mean_squared_error(measured)
            _check_finite(train_loss, epoch)
            held_back = None if validation is None else factors.mean_squared_error(validation)
            curve.append(EpochLoss(epoch, train_loss, held_back))
            if held_back is None:
                best, best_epoch = factors, epoch
            elif held_back < lowest:
                best, best_epoch, lowest = factors, epoch, held_back
            elif epoch - best_epoch >= config.patience:
                break
    return Training(best, tuple(curve), best_epoch)


class _Table:
    """Rows of parameters with Adam's two moments; a step moves the rows a batch touched and no other.

    `counts` (n,) ratings of each row; None for a table that every batch uses as a whole.
    """

    def __init__(self, start: Float32Array, decay: float, counts: Int64Array | None, power: float) -> None:
        self.values = torch.from_numpy(start)
        self.first = torch.zeros_like(self.values)
        self.second = torch.zeros_like(self.values)
        self.is_whole = counts is None
        if counts is None:
            self.decay = torch.full((len(start), 1), decay)
            return
        touched = np.maximum(counts, 1)
        weight = (touched / touched[counts > 0].mean()) ** power
        # One of a row's n ratings among the B of a batch pays (N / n) / B of the row's penalty: all n
        # of them then pay for all N / B steps of an epoch.
        per_rating = decay * weight * (counts.sum() / touched)
        self.decay = torch.from_numpy(per_rating.astype(np.float32)[:, None])

    def take(self, rows: Tensor) -> Tensor:
        """A leaf that autograd follows: the rows, or the whole table."""
        part = self.values.detach().clone() if self.is_whole else self.values.index_select(0, rows)
        return part.requires_grad_()

    @torch.no_grad()
    def step(self, rows: Tensor, leaf: Tensor, share: Tensor, rate: float, n: int) -> None:
        """Adam's step number `n` (from 1), with `share` (n_rows, 1) of each row's penalty."""
        if leaf.grad is None:
            return
        if self.is_whole:
            first, second, penalty = self.first, self.second, self.decay
        else:
            first, second = self.first.index_select(0, rows), self.second.index_select(0, rows)
            penalty = self.decay.index_select(0, rows) * share
        grad = leaf.grad.addcmul_(leaf, penalty)
        first.lerp_(grad, 1 - FIRST_MOMENT)
        second.mul_(SECOND_MOMENT).addcmul_(grad, grad, value=1 - SECOND_MOMENT)
        scale = (1 - SECOND_MOMENT**n) ** 0.5
        size = second.sqrt().add_(EPSILON * scale)
        moved = torch.addcdiv(leaf, first, size, value=-rate * scale / (1 - FIRST_MOMENT**n))
        if self.is_whole:
            self.values = moved
            return
        for table, changed in ((self.values, moved), (self.first, first), (self.second, second)):
            table.index_copy_(0, rows, changed)


class _Side:
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
            _Table(_start((n, config.factors), config.start, rng), config.weight_decay, counts, power),
            _Table(np.zeros((n, 1), np.float32), config.bias_decay, counts, power),
        ]
        self.features = None if features is None else torch.from_numpy(features)
        if features is not None:
            for width, decay in ((config.factors, config.weight_decay), (1, config.bias_decay)):
                empty = np.zeros((features.shape[1], width), np.float32)
                self.tables.append(_Table(empty, decay, None, power))
        self.history: _History | None = None

    def add_history(self, history: csr_matrix, config: MFConfig) -> None:
        """A further vector of each item, whose sum over a user's history stands beside the user's own."""
        empty = np.zeros((history.shape[1], config.factors), np.float32)
        self.tables.append(_Table(empty, config.weight_decay, None, config.decay_power))
        self.history = _History(history)

    def take(self, rows: Tensor) -> list[Tensor]:
        """The leaves of `rows`, a leaf a table."""
        return [table.take(rows) for table in self.tables]

    def vectors(self, rows: Tensor, leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(n_rows, factors) and (n_rows, 1): what the leaves make of the rows."""
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
        vectors, biases = self.vectors(rows, [table.values for table in self.tables])
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


class _Model:
    """The parameters while they are learned."""

    def __init__(self, examples: Examples, config: MFConfig, rng: np.random.Generator) -> None:
        self.examples, self.config, self.rng = examples, config, rng
        pairs = examples.pairs
        self.offset = _offset(examples, config)
        self.n_steps = 0
        self.users = _Side(pairs.user_index, examples.n_users, examples.user_features, config, rng)
        self.items = _Side(pairs.item_index, examples.n_items, examples.item_features, config, rng)
        if examples.history is not None:
            self.users.add_history(examples.history, config)

    def run_epoch(self, epoch: int) -> Iterator[float]:
        """Every rating once, in a new order; yields the share that is done after each batch."""
        config = self.config
        rate = config.learning_rate * config.last_rate ** ((epoch - 1) / max(config.epochs - 1, 1))
        order = self.rng.permutation(len(self.examples.pairs))
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            self._step(self.examples.pairs.take(chosen), rate)
            yield (start + len(chosen)) / len(order)

    def _step(self, batch: Pairs, rate: float) -> None:
        self.n_steps += 1
        users, user_row, user_times = _distinct(batch.user_index)
        items, item_row, item_times = _distinct(batch.item_index)
        user_leaves, item_leaves = self.users.take(users), self.items.take(items)
        user_vectors, user_biases = self.users.vectors(users, user_leaves)
        item_vectors, item_biases = self.items.vectors(items, item_leaves)
        products = user_vectors.index_select(0, user_row) * item_vectors.index_select(0, item_row)
        if self.config.dropout:
            products = products * _dropout(products.shape, self.config.dropout, self.rng)
        biases = user_biases.index_select(0, user_row) + item_biases.index_select(0, item_row)
        predicted = self._points(products.sum(1) + biases.squeeze(1) + self.offset)
        loss = (predicted - torch.from_numpy(batch.points)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        for side, rows, leaves, times in (
            (self.users, users, user_leaves, user_times),
            (self.items, items, item_leaves, item_times),
        ):
            share = (times / len(batch)).unsqueeze(1)
            for table, leaf in zip(side.tables, leaves, strict=True):
                table.step(rows, leaf, share, rate, self.n_steps)

    def _points(self, raw: Tensor) -> Tensor:
        if self.config.output == "linear":
            return raw
        low, high = self.examples.low, self.examples.high
        return low + (high - low) * raw.sigmoid()

    @torch.no_grad()
    def factors(self) -> MFFactors:
        """What the parameters come to: one vector and one bias a user and an item."""
        (user_factors, user_biases), (item_factors, item_biases) = (
            side.everyone() for side in (self.users, self.items)
        )
        low, high = self.examples.low, self.examples.high
        return MFFactors(
            *(user_factors, user_biases, item_factors, item_biases),
            self.offset,
            low,
            high,
            self.config.output,
        )


def _distinct(index: Int32Array) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct rows of a batch, where each rating's row stands among them, how often each comes."""
    rows, places, times = torch.unique(
        torch.from_numpy(index).long(), return_inverse=True, return_counts=True
    )
    return rows, places, times


def _dropout(shape: torch.Size, rate: float, rng: np.random.Generator) -> Tensor:
    """0 with a chance of `rate` (in steps of 1/256), else what keeps the mean; one random byte a factor."""
    dropped = round(rate * 256)
    drawn = np.frombuffer(rng.bytes(shape.numel()), np.uint8).reshape(shape)
    return torch.from_numpy(drawn >= dropped).float().mul_(256 / (256 - dropped))


def _start(shape: tuple[int, int], start: str, rng: np.random.Generator) -> Float32Array:
    """Xavier's uniform start (Glorot & Bengio, AISTATS 2010), or the normal one of torch's embeddings."""
    if start == "normal":
        return rng.standard_normal(shape, np.float32)
    bound = (6.0 / sum(shape)) ** 0.5
    return (rng.random(shape, np.float32) * 2 - 1) * np.float32(bound)


def _offset(examples: Examples, config: MFConfig) -> float:
    """What a pair of which nothing is known is given: the mean, in the terms of the output."""
    mean = float(examples.pairs.points.mean(dtype=np.float64))
    if config.output == "linear":
        return mean
    share = (mean - examples.low) / (examples.high - examples.low)
    share = min(max(share, EDGE), 1 - EDGE)
    return float(np.log(share / (1 - share)))


def _check_finite(loss: float, epoch: int) -> None:
    if not np.isfinite(loss):
        raise DataError(
            f"The loss of mf stopped being a number in epoch {epoch}; lower mf.learning_rate or raise "
            "mf.weight_decay."
        )


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
