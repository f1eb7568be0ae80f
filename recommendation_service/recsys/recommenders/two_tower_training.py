"""The training of the two-tower model: the one module of the core that imports torch.

Each epoch splits every user's history anew at random: one part is pooled into the user's vector, the
other is what that vector must find among the candidates, so nothing is predicted from itself. One user's
vector serves all that is predicted of them, and a batch's users share its candidates: a batch is one
matrix product. On a catalogue above `negatives` the candidates are what the batch must find and a
uniform draw, and the logarithm of each one's chance to be among them is taken off its score (the
logQ correction of Yi et al., RecSys 2019); below, they are the whole catalogue.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize, relu, softplus

from recsys.errors import DataError
from recsys.recommenders.two_tower import Towers, TwoTowerConfig
from recsys.types import BoolArray, Float32Array, Float64Array, Int64Array, ProgressCallback, ProgressReport

MIN_DISLIKE = 0.5  # of a weight-1 like; a dislike is learned to weigh more, never less
START_LIKE_EXPONENT = 0.5
START_DISLIKE = 1.0
SMALL_STEP = 20_000_000  # multiplications of users with candidates


@dataclass(frozen=True)
class Examples:
    """What is learned from.

    `user_items` (n_users, n_mapped) CSR of signed cells; `text_vectors` (n_items, t) of the whole
    index space, the mapped items first; `interests` (n_users, t), zero where nobody said anything.
    """

    user_items: csr_matrix
    text_vectors: Float32Array
    interests: Float32Array

    def n_users_of_item(self) -> Int64Array:
        """(n_mapped,) users with a positive cell."""
        positive = self.user_items.indices[self.user_items.data > 0]
        return np.bincount(positive, minlength=self.user_items.shape[1])


def train_epochs(
    examples: Examples, config: TwoTowerConfig, progress: ProgressCallback
) -> Iterator[tuple[float, Towers]]:
    """Train epoch after epoch, at most `config.epochs`; yields each one's mean loss and the towers after it.

    Bit-identical for one seed on one machine.

    Raises:
        DataError: there is nothing to predict from anything, or the loss stops being finite.
    """
    _check_predictable(examples)
    rng = np.random.default_rng(config.seed)
    candidates = CandidateDraw(examples.n_users_of_item(), config.negatives, rng)
    n_batches = -(-examples.user_items.shape[0] // config.batch_users)
    with _threads_for(config, n_items=len(examples.text_vectors)):
        model = TwoTowerModel(examples, config)
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        for epoch in range(config.epochs):
            losses: list[float] = []
            for done, batch in enumerate(_draw_batches(examples, config, rng), start=1):
                if len(batch.target_items):
                    losses.append(_step(model, optimizer, batch, candidates.draw(batch), config, rng))
                    _check_finite(losses[-1], epoch)
                progress(ProgressReport("fitting two_tower", (epoch + done / n_batches) / config.epochs))
            yield float(np.mean(losses or [0.0])), model.towers()


def _check_predictable(examples: Examples) -> None:
    likes = csr_matrix(examples.user_items > 0).sum(axis=1).A1
    if not ((likes > 1) | (likes > 0) & examples.interests.any(axis=1)).any():
        raise DataError(
            "Nobody has two positive cells, so there is nothing to predict one from another; "
            "collect more interactions, or leave two_tower out of training.recommenders."
        )


@dataclass(frozen=True)
class Batch:
    """Some users' histories, each split in two.

    `input_` arrays are what is known of row `input_rows` (their cells may be dislikes), `target_`
    arrays what is to be found, `disliked_` arrays what must not be.
    """

    interests: Float32Array
    input_rows: Int64Array
    input_items: Int64Array
    input_weights: Float32Array
    target_rows: Int64Array
    target_items: Int64Array
    disliked_rows: Int64Array
    disliked_items: Int64Array


def split_histories(
    rows: csr_matrix, interests: Float32Array, history_share: float, rng: np.random.Generator
) -> Batch:
    """Give each cell to the known part with a chance of `history_share`, else to the part to predict.

    A user of whom nothing positive is known then, neither act nor interest, predicts nothing.
    """
    row_of_cell = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    is_known = rng.random(rows.nnz) < history_share
    is_like = rows.data > 0
    has_taste = np.bincount(row_of_cell[is_known & is_like], minlength=rows.shape[0]) > 0
    predicts = (has_taste | interests.any(axis=1))[row_of_cell] & ~is_known
    items = rows.indices.astype(np.int64)

    def part(chosen: BoolArray) -> tuple[Int64Array, Int64Array]:
        return row_of_cell[chosen], items[chosen]

    return Batch(
        interests, *part(is_known), rows.data[is_known], *part(predicts & is_like), *part(predicts & ~is_like)
    )


def _draw_batches(examples: Examples, config: TwoTowerConfig, rng: np.random.Generator) -> Iterator[Batch]:
    n_users = examples.user_items.shape[0]
    order = rng.permutation(n_users)
    for start in range(0, n_users, config.batch_users):
        users = order[start : start + config.batch_users]
        yield split_histories(
            examples.user_items[users], examples.interests[users], config.history_share, rng
        )


@dataclass(frozen=True)
class Candidates:
    """Item indices (n,) int64, ascending, and the chance (n,) each had to be among them."""

    items: Int64Array
    chance: Float64Array

    def columns(self, items: Int64Array) -> Int64Array:
        """Where items stand among the candidates; all must be there."""
        return np.searchsorted(self.items, items)


class CandidateDraw:
    """Draws what the users of a batch are scored against: never an item nobody liked."""

    def __init__(self, n_users_of_item: Int64Array, negatives: int, rng: np.random.Generator) -> None:
        self._liked = np.flatnonzero(n_users_of_item)
        self._share = n_users_of_item / n_users_of_item.sum()
        self._negatives, self._rng = negatives, rng

    def draw(self, batch: Batch) -> Candidates:
        """All liked items, or those to find, those disliked, and a uniform draw of `negatives`."""
        if self._negatives >= len(self._liked):
            items = np.union1d(self._liked, batch.disliked_items)
            return Candidates(items, np.ones(len(items)))
        drawn = self._rng.choice(self._liked, self._negatives, replace=False)
        items = np.unique(np.concatenate((batch.target_items, batch.disliked_items, drawn)))
        missed_as_target = (1.0 - self._share[items]) ** len(batch.target_items)
        chance = 1.0 - missed_as_target * (1.0 - self._negatives / len(self._liked))
        chance[np.isin(items, batch.disliked_items)] = 1.0  # there for certain, whoever else is scored
        return Candidates(items, chance)


class TwoTowerModel(torch.nn.Module):
    """Both towers. An item nobody liked, and now and then any item with a text, has no id part."""

    def __init__(self, examples: Examples, config: TwoTowerConfig) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        n_items, text_dimensions = examples.text_vectors.shape

        def table(rows: int) -> torch.nn.Parameter:
            start = torch.randn(rows, config.dimensions, generator=generator)
            return torch.nn.Parameter(start / config.dimensions**0.5)

        self.input_ids, self.item_ids = table(n_items), table(n_items)
        self.input_text, self.item_text = table(text_dimensions), table(text_dimensions)
        self.interests = table(text_dimensions)
        self.exponent = torch.nn.Parameter(_inverse_softplus(START_LIKE_EXPONENT))
        self.dislike = torch.nn.Parameter(_inverse_softplus(START_DISLIKE - MIN_DISLIKE))
        n_users = np.zeros(n_items, np.int64)
        n_users[: examples.user_items.shape[1]] = examples.n_users_of_item()
        popularity = np.log(np.maximum(n_users, 1) / n_users[n_users > 0].mean())
        self.popularity: Float32Array = popularity.astype(np.float32)
        self.has_id: Tensor
        self.text: Tensor
        self.has_text: Tensor
        self.register_buffer("has_id", torch.from_numpy((n_users > 0).astype(np.float32)))
        self.register_buffer("text", torch.from_numpy(examples.text_vectors))
        self.register_buffer("has_text", (self.text != 0).any(dim=1).float())

    def draw_id_mask(self, dropout: float, rng: np.random.Generator) -> Tensor:
        """(n_items,) 1 where the id counts, 0 where the text must do alone."""
        if not self.has_text.any():
            return self.has_id
        dropped = torch.from_numpy((rng.random(len(self.has_id)) < dropout).astype(np.float32))
        return self.has_id * (1 - self.has_text * dropped)

    def act_weights(self, weights: Float32Array) -> Tensor:
        """(n,) what acts count for, from their signed cells."""
        cells = torch.from_numpy(weights)
        return torch.where(cells > 0, cells.abs() ** softplus(self.exponent), -self._dislike())

    def user_sums(self, batch: Batch, id_mask: Tensor) -> Tensor:
        """(n_users, d) the sum of what is known of each user, not scaled to any length."""
        acts = self.act_weights(batch.input_weights)
        counts = np.bincount(batch.input_rows, minlength=len(batch.interests))
        offsets = torch.from_numpy(np.concatenate(([0], np.cumsum(counts)[:-1])))
        items = torch.from_numpy(batch.input_items)

        def pool(table: Tensor, act_weights: Tensor) -> Tensor:
            return embedding_bag(items, table, offsets, mode="sum", per_sample_weights=act_weights)

        sums = pool(self.input_ids, acts * id_mask[items])
        if self.text.shape[1]:
            sums = sums + pool(self.text, acts) @ self.input_text
            sums = sums + torch.from_numpy(batch.interests) @ self.interests
        return sums

    def item_vectors(self, items: Tensor, id_mask: Tensor) -> Tensor:
        """(n, d) of length 1."""
        ids = torch.nn.functional.embedding(items, self.item_ids) * id_mask[items, None]
        return normalize(ids + self.text[items] @ self.item_text, dim=1)

    def towers(self) -> Towers:
        """The weights as NumPy arrays, the mean item adding a vector of length 1 to a user."""
        with torch.no_grad():
            everything = torch.arange(len(self.has_id))
            inputs = self.input_ids * self.has_id[:, None] + self.text @ self.input_text
            scale = float(inputs[self.has_id > 0].norm(dim=1).mean())
            return Towers(
                inputs=(inputs / scale).numpy(),
                items=self.item_vectors(everything, self.has_id).numpy(),
                popularity=self.popularity,
                input_text=(self.input_text / scale).numpy(),
                item_text=self.item_text.numpy().copy(),
                interests=(self.interests / scale).numpy(),
                signals=np.array([softplus(self.exponent).item(), self._dislike().item()], np.float32),
            )

    def _dislike(self) -> Tensor:
        return MIN_DISLIKE + softplus(self.dislike)


def softmax_loss(
    scores: Tensor, batch: Batch, candidates: Candidates, target_weights: Tensor, config: TwoTowerConfig
) -> Tensor:
    """Cross-entropy of finding each target among all candidates.

    `scores` (n_users, n_candidates) are cosines. A disliked item counts as `dislike_negatives` wrong
    ones: its pull is bounded, for all wrong ones together never pull more than the target does.
    """
    logits = scores / config.temperature - torch.from_numpy(np.log(candidates.chance).astype(np.float32))
    found = logits[_cells(batch.target_rows, candidates.columns(batch.target_items))]
    counts = torch.zeros(logits.shape)  # the logarithm of how many wrong ones each candidate counts as
    disliked = _cells(batch.disliked_rows, candidates.columns(batch.disliked_items))
    counts[disliked] = float(np.log(config.dislike_negatives))
    counts[_known_cells(batch, candidates)] = -torch.inf
    logits = logits + counts
    everything = torch.logsumexp(logits, dim=1)[torch.from_numpy(batch.target_rows)]
    return (target_weights * (everything - found)).sum() / target_weights.sum()


def contrastive_loss(
    scores: Tensor, batch: Batch, candidates: Candidates, target_weights: Tensor, config: TwoTowerConfig
) -> Tensor:
    """1 - cosine of each target, and `negative_weight` times the mean cosine above `margin` of the rest.

    The mean is over the catalogue, estimated from the candidates by their chance; a disliked item
    counts `dislike_negatives` times in it.
    """
    share = 1.0 / candidates.chance
    shares = torch.from_numpy((share / share.sum()).astype(np.float32)).repeat(len(scores), 1)
    disliked = _cells(batch.disliked_rows, candidates.columns(batch.disliked_items))
    shares[disliked] *= config.dislike_negatives
    targets = _cells(batch.target_rows, candidates.columns(batch.target_items))
    shares[targets] = 0.0
    shares[_known_cells(batch, candidates)] = 0.0
    wrong = (relu(scores - config.margin) * shares).sum(dim=1)
    missed = (1.0 - scores[targets]) + config.negative_weight * wrong[targets[0]]
    return (target_weights * missed).sum() / target_weights.sum()


LOSSES = {"softmax": softmax_loss, "contrastive": contrastive_loss}


def _step(
    model: TwoTowerModel,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    candidates: Candidates,
    config: TwoTowerConfig,
    rng: np.random.Generator,
) -> float:
    id_mask = model.draw_id_mask(config.id_dropout, rng)
    users = normalize(model.user_sums(batch, id_mask), dim=1)
    items = model.item_vectors(torch.from_numpy(candidates.items), id_mask)
    n_targets = np.bincount(batch.target_rows)[batch.target_rows]
    target_weights = torch.from_numpy((n_targets**-config.user_damping).astype(np.float32))
    loss = LOSSES[config.loss](users @ items.T, batch, candidates, target_weights, config)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _known_cells(batch: Batch, candidates: Candidates) -> tuple[Tensor, Tensor]:
    """Where what is known of each user stands among the candidates, as far as it does."""
    columns = candidates.columns(batch.input_items).clip(max=len(candidates.items) - 1)
    there = candidates.items[columns] == batch.input_items
    return _cells(batch.input_rows[there], columns[there])


def _check_finite(loss: float, epoch: int) -> None:
    if not np.isfinite(loss):
        raise DataError(
            f"The loss of two_tower is {loss} in epoch {epoch + 1}; lower two_tower.learning_rate or raise "
            "two_tower.temperature."
        )


def _cells(rows: Int64Array, columns: Int64Array) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(rows), torch.from_numpy(columns)


def _inverse_softplus(value: float) -> Tensor:
    return torch.tensor(float(np.log(np.expm1(value))))


@contextmanager
def _threads_for(config: TwoTowerConfig, *, n_items: int) -> Iterator[None]:
    """All cores for large steps; in small ones threads wait for each other longer than they compute."""
    n_products = config.batch_users * min(config.negatives, n_items) * config.dimensions
    before = torch.get_num_threads()
    torch.set_num_threads(_n_cores() if n_products > SMALL_STEP else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _n_cores() -> int:
    """Those this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
