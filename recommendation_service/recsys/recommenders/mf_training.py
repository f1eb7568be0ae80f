"""The training of mf: minibatches of ratings, the gradients of a batch, Adam on the rows it touches.

The objective is the mean squared error plus the penalties of `mf_tables`. PyTorch differentiates it where
features or a history take part; without them the gradients of a batch are two products a rating, which
`mf_kernel` has compiled: a test sets the one beside the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.recommenders.mf import EpochLoss, Examples, MFConfig, MFFactors, Pairs
from recsys.recommenders.mf_kernel import add_gradients, slopes_of
from recsys.recommenders.mf_tables import Placed, Side, Workers
from recsys.types import Float32Array, ProgressCallback, ProgressReport, UInt8Array

MOST_MEASURED = 1_000_000  # train ratings the train loss is measured on, drawn once
EDGE = 0.01  # the start of the sigmoid stays this share of the range away from its ends
CHANCES = 256  # of a byte: dropout comes in steps of 1 / 256
Gradients = tuple[list[Float32Array], list[Float32Array]]  # of the users' tables and of the items'


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
    seed on one machine: with one thread always, with more where neither features nor a history take part.

    Raises:
        DataError: the loss stops being finite.
    """
    rng = np.random.default_rng(config.seed)
    measured = examples.pairs.sample(MOST_MEASURED, rng)
    curve: list[EpochLoss] = []
    best_epoch, lowest = 0, np.inf
    with _working(config.threads) as workers:
        model = _Model(examples, config, rng, workers)
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


class _Model:
    """The parameters while they are learned."""

    def __init__(
        self, examples: Examples, config: MFConfig, rng: np.random.Generator, workers: Workers
    ) -> None:
        self.examples, self.config, self.rng, self.workers = examples, config, rng, workers
        pairs = examples.pairs
        self.offset = _offset(examples, config)
        self.dropped = round(config.dropout * CHANCES)
        self.n_steps = 0
        self.users = Side(pairs.user_index, examples.n_users, examples.user_features, config, rng)
        self.items = Side(pairs.item_index, examples.n_items, examples.item_features, config, rng)
        if examples.history is not None:
            self.users.add_history(examples.history, config)
        beside = (examples.user_features, examples.item_features, examples.history)
        self.is_plain = all(part is None for part in beside)

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
        users, items = self.users.place(batch.user_index), self.items.place(batch.item_index)
        drawn = self._draw(len(batch))
        gradients = self.plain_gradients if self.is_plain else self.gradients
        for side, placed, of_tables in zip(
            (self.users, self.items), (users, items), gradients(batch, users, items, drawn), strict=True
        ):
            for table, of_table in zip(side.tables, of_tables, strict=True):
                table.step(placed, of_table, rate, self.n_steps, self.workers)

    def plain_gradients(self, batch: Pairs, users: Placed, items: Placed, drawn: UInt8Array) -> Gradients:
        """Those of the mean squared error by the vectors and biases of the batch's rows, compiled."""
        (vectors, biases), (item_vectors, item_biases) = (
            [table.values for table in side.tables] for side in (self.users, self.items)
        )
        low, high = self.examples.low, self.examples.high
        dropout = (drawn, self.dropped)
        slopes = np.empty(len(batch), np.float32)
        self.workers.run(
            slopes_of,
            *(batch.user_index, batch.item_index, batch.points, vectors, biases, item_vectors, item_biases),
            *(*dropout, self.offset, low, high - low, self.config.output == "sigmoid", slopes),
        )
        found = []
        for placed, others, fixed in (
            (users, batch.item_index, item_vectors),
            (items, batch.user_index, vectors),
        ):
            grads = [np.empty((len(placed.rows), width), np.float32) for width in (vectors.shape[1], 1)]
            self.workers.run(add_gradients, placed.places, others, fixed, *dropout, slopes, *grads)
            found.append(grads)
        return found[0], found[1]

    def gradients(self, batch: Pairs, users: Placed, items: Placed, drawn: UInt8Array) -> Gradients:
        """Those of the mean squared error by every table's rows, as autograd finds them."""
        leaves, vectors, biases = [], [], []
        for side, placed in ((self.users, users), (self.items, items)):
            rows, places = (torch.from_numpy(part).long() for part in (placed.rows, placed.places))
            leaves.append([table.take(rows) for table in side.tables])
            of_rows, biases_of_rows = side.vectors(rows, leaves[-1])
            vectors.append(of_rows.index_select(0, places))
            biases.append(biases_of_rows.index_select(0, places))
        products = vectors[0] * vectors[1]
        if self.dropped:
            kept = torch.from_numpy(drawn >= self.dropped).float()
            products = products * kept.mul_(CHANCES / (CHANCES - self.dropped))
        predicted = self._points(products.sum(1) + (biases[0] + biases[1]).squeeze(1) + self.offset)
        loss = (predicted - torch.from_numpy(batch.points)).square().mean()
        found = iter(torch.autograd.grad(loss, [leaf for of_side in leaves for leaf in of_side]))
        of_users, of_items = ([next(found).numpy() for _ in of_side] for of_side in leaves)
        return of_users, of_items

    def _draw(self, n: int) -> UInt8Array:
        """(n, factors) a random byte a factor; a factor is left out where it is below `dropped`."""
        shape = (n, self.config.factors) if self.dropped else (0, 0)
        return np.frombuffer(self.rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)

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
def _working(threads: int) -> Iterator[Workers]:
    """Threads for the kernels, and as many for torch."""
    workers, before = Workers(threads), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield workers
    finally:
        workers.close()
        torch.set_num_threads(before)
