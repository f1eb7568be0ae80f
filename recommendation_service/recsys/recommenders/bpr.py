"""Bayesian personalized ranking (Rendle et al., UAI 2009) with two kinds of hard negatives.

Learns to order pairs: what a user likes above what they do not. A history exactly as it was trained
has its trained vector. Any other is folded in: descent on the same objective over that one user's
pairs, the items held fixed, for as long as a user of the training got.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.config import SectionConfig
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where, check_user_items
from recsys.engines.checkpoints import Checkpoint, Checkpoints
from recsys.engines.start import Start
from recsys.errors import ArtifactError, DataError
from recsys.progress import describe, ignore_progress
from recsys.recommenders.base import VectorRecommender, is_finite, load_array
from recsys.recommenders.early_stopping import check_validation, validation_auc, validation_metric
from recsys.recommenders.epoch_course import EpochCourse
from recsys.recommenders.sampling import KINDS, STRATEGIES, NegativePools, shares_of
from recsys.types import (
    Float32Array,
    Float64Array,
    History,
    Int32Array,
    Int64Array,
    ProgressCallback,
    ProgressReport,
)

logger = logging.getLogger(__name__)

START_DEVIATION = 0.01
BLOCK_USERS = 256  # are learned together: their vectors stay in the processor's cache
DECAY_EVERY = 10  # epochs
VALIDATION_K = 10
FOLD_IN_NEGATIVES = 256
# What a release did that was made before these were there: its recipe does not name them.
BEFORE_THEY_WERE_THERE: Mapping[str, object] = {"checkpoint_every": 0}


@dataclass(frozen=True)
class BPRConfig(SectionConfig):
    """Hyper-parameters of bpr; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "bpr"
    factors: int
    learning_rate: float
    learning_rate_decay: float
    regularization: float
    epochs: int
    check_every: int
    patience: int
    samples_per_positive: int
    negatives: str
    explicit_share: float
    implicit_share: float
    n_popular: int
    checkpoint_every: int
    track_auc: bool
    seed: int

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, object]) -> Self:
        """What a release was made with, also one older than some of the parameters.

        Raises:
            ConfigError: as `from_mapping`.
        """
        return cls.from_mapping({**BEFORE_THEY_WERE_THERE, **recipe})

    def __post_init__(self) -> None:
        for name in ("epochs", "check_every", "patience"):
            self.require(getattr(self, name) >= 1, name, "a whole number from 1")
        self.require(1 <= self.samples_per_positive <= 1000, "samples_per_positive", "from 1 to 1000")
        self.require(1 <= self.factors <= 4096, "factors", "a whole number from 1 to 4096")
        self.require(0 < self.learning_rate <= 1, "learning_rate", "above 0, at most 1")
        self.require(0 < self.learning_rate_decay <= 1, "learning_rate_decay", "above 0, at most 1 (none)")
        self.require(0 <= self.regularization < 1, "regularization", "from 0 to below 1")
        self.require(self.negatives in STRATEGIES, "negatives", f"one of {', '.join(STRATEGIES)}")
        for name in ("explicit_share", "implicit_share"):
            self.require(0 <= getattr(self, name) <= 1, name, "from 0 to 1")
        both = self.explicit_share + self.implicit_share
        self.require(both <= 1, "implicit_share", f"at most 1 less the explicit_share {self.explicit_share}")
        self.require(self.n_popular >= 0, "n_popular", "a whole number from 0")
        self.require(self.checkpoint_every >= 0, "checkpoint_every", "a whole number from 0 (none)")
        self.require(0 <= self.seed < 2**32, "seed", "from 0 to 4294967295")


class BPRRecommender(VectorRecommender):
    """Latent factors whose dot product orders the items for a user."""

    name: ClassVar[str] = "bpr"
    config_class: ClassVar[type[BPRConfig]] = BPRConfig
    covers_catalogue: ClassVar[bool] = False

    def __init__(self, config: BPRConfig | None = None) -> None:
        self.config: BPRConfig = config or self.config_class.default()
        self.user_factors: Float32Array = np.empty((0, 0), np.float32)
        self.item_factors: Float32Array = np.empty((0, 0), np.float32)
        self.best_epoch = 0
        self.learning_curve: list[dict[str, float]] = []
        self._keys: NDArray[np.uint64] = np.empty(0, np.uint64)  # of the users' histories
        self._start: Start | None = None
        self._checkpoints: Checkpoints | None = None

    @classmethod
    def why_not_fit(cls, dataset: Dataset) -> str | None:
        """It needs a like and something else to compare it with."""
        users, _ = positive_pairs(dataset.user_items)
        return None if len(users) else "nobody likes one startup and has no cell with another"

    def start_from(self, start: Start) -> None:
        """Let `fit` begin at these factors; with `freeze_items_first` the first epoch moves the users alone.

        Where no users are given they begin at random, as without a start.
        """
        self._start = start

    def keep_checkpoints(self, checkpoints: Checkpoints) -> None:
        """Let a fit go on from a checkpoint where there is one, and write them by `checkpoint_every`."""
        self._checkpoints = checkpoints

    def fit(self, dataset: Dataset, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn for exactly `epochs` epochs.

        Raises:
            DataError: there are no interactions, everybody likes everything, the loss stops being
                finite, or a start does not fit the dataset.
        """
        return self._fit(dataset, None, progress)

    def fit_early_stopping(self, validation: Split, progress: ProgressCallback = ignore_progress) -> Self:
        """Learn from `validation.train` until Recall@10 on its test part does not rise for `patience` looks.

        Measured every `check_every` epochs, at most `epochs` are run. Keeps the factors of the best
        check; `best_epoch` says which it was.

        Raises:
            DataError: as `fit`, or no user has a held-back item.
        """
        check_validation(validation)
        return self._fit(validation.train, validation, progress)

    def why_not(self, history: History) -> str | None:
        """It needs one positive act on an item it was trained on."""
        if (history.liked < self.n_items).any():
            return None
        return f"no positive act on a startup {self.name} was trained on"

    def user_vector(self, history: History) -> Float32Array:
        """(factors,) as trained where the history is just what was trained on, else folded in."""
        return history.once(self, lambda: self._find_or_fold_in(history))

    def item_vectors(self) -> Float32Array:
        """(n_items, factors) item factors."""
        self.check_fitted()
        return self.item_factors

    def fold_in(self, history: History) -> Float32Array:
        """(factors,) the user that orders the history's likes before what it does not hold, items held fixed.

        Minimises the mean of -log sigmoid(x.p - x.n), over its likes p and a fixed draw of items n with
        its active dislikes at their share, plus half the squared length times what the training
        amounted to: descent for a time t shrinks like a weight of 1 / t (Goodfellow et al., 7.8).
        """
        from scipy.optimize import minimize

        items = self.item_vectors()
        known = history.item_indices < self.n_items
        liked = items[history.item_indices[known & (history.weights > 0)]].astype(np.float64)
        if len(liked) == 0:
            return np.zeros(items.shape[1], np.float32)
        others, shares = self._negatives_of(history)
        shrinkage = self.config.regularization + 1.0 / (self._time_a_like() * len(liked))

        def loss_and_gradient(x: Float64Array) -> tuple[float, Float64Array]:
            margins = (liked @ x)[:, np.newaxis] - others @ x
            slopes = shares / (1.0 + np.exp(np.minimum(margins, 60.0))) / len(liked)
            loss = (np.logaddexp(0.0, -margins) @ shares).mean() + 0.5 * shrinkage * (x @ x)
            return float(loss), slopes.sum(axis=0) @ others - slopes.sum(axis=1) @ liked + shrinkage * x

        found = minimize(loss_and_gradient, np.zeros(items.shape[1]), jac=True, method="L-BFGS-B")
        return np.asarray(found.x, np.float32)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write both factor matrices and what trained histories are found by."""
        self.check_fitted()
        np.save(self._file(folder, "user_factors"), self.user_factors)
        np.save(self._file(folder, "item_factors"), self.item_factors)
        np.save(self._file(folder, "user_keys"), self._keys)
        facts = {"best_epoch": self.best_epoch, "learning_curve": self.learning_curve}
        return facts if self._start is None else {**facts, "start": dict(self._start.facts)}

    @classmethod
    def load(cls, folder: Path, recipe: dict[str, Any]) -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or damaged, or they do not fit each other.
        """
        recommender = cls(cls.config_class.from_recipe(recipe))
        factors = recommender.config.factors
        recommender.user_factors = load_array(cls._file(folder, "user_factors"), columns=factors)
        recommender._set_items(load_array(cls._file(folder, "item_factors"), columns=factors))
        recommender._keys = load_array(cls._file(folder, "user_keys"), kinds="u")
        if recommender._keys.shape != (len(recommender.user_factors),):
            raise ArtifactError(
                f"{cls._file(folder, 'user_keys')} has shape {recommender._keys.shape} but the users' "
                f"factors {len(recommender.user_factors)} rows; train again or restore the matching file."
            )
        return recommender

    def _fit(self, dataset: Dataset, validation: Split | None, progress: ProgressCallback) -> Self:
        check_user_items(dataset.user_items)
        cells = cells_where(dataset.user_items, dataset.user_items.data != 0)
        histories = (dataset.history(user) for user in range(dataset.n_users))
        self._keys = np.array([_key(history) for history in histories], np.uint64)
        epochs = self.config.epochs
        course = EpochCourse(self._checkpoint(dataset, validation), self.config.checkpoint_every)
        self.learning_curve = course.curve
        for epoch, point in self._run_epochs(cells, course):
            point["seconds"] = course.seconds()
            course.curve.append(point)
            if validation is None:
                course.best_epoch = epoch
            elif epoch % self.config.check_every == 0 or epoch == epochs:
                self._look(validation, course, epoch)
            course.save(epoch, epochs)
            logger.info("%s: %s", self.name, describe(point))
            progress(ProgressReport(f"fitting {self.name}", epoch / epochs))
            if course.stop:
                break
        self.best_epoch = course.best_epoch
        if course.best:
            self._restore(course.best)
        return self

    def _look(self, validation: Split, course: EpochCourse, epoch: int) -> None:
        """Measure what was learned by this epoch, from 1; keep the best, stop where it is long ago."""
        point = course.curve[-1]
        point["recall"] = validation_metric(self, validation, "recall", VALIDATION_K, self.config.seed)
        if self.config.track_auc:
            point["auc"] = validation_auc(self, validation, self.config.seed)
        if not course.best or point["recall"] > course.curve[course.best_epoch - 1]["recall"]:
            course.best, course.best_epoch = self._copied(), epoch
        else:
            course.stop = epoch - course.best_epoch >= self.config.patience * self.config.check_every

    def _checkpoint(self, dataset: Dataset, validation: Split | None) -> Checkpoint | None:
        if self._checkpoints is None or self.config.checkpoint_every == 0:
            return None
        return self._checkpoints.of(
            dataset,
            self.config,
            self._start,
            held_back=None if validation is None else validation.test,
            also=self._learned_beside(),
            unit="epoch",
        )

    def _learned_beside(self) -> tuple[Float32Array, ...]:
        """What decides the factors beside the cells, the parameters and the start."""
        return ()

    def _run_epochs(self, cells: csr_matrix, course: EpochCourse) -> Iterator[tuple[int, dict[str, float]]]:
        """Learn in place, an epoch a turn; yields its number, from 1, and what was seen of it."""
        from recsys.recommenders.bpr_kernel import run_epoch  # numba

        config, rng = self.config, np.random.default_rng(self.config.seed)
        pools = NegativePools.build(cells, n_popular=config.n_popular)
        users, liked = positive_pairs(cells)
        if len(users) == 0:
            raise DataError("Everybody has a cell with every item, so there is nothing to order; add items.")
        shares = shares_of(config.negatives, explicit=config.explicit_share, implicit=config.implicit_share)
        self.user_factors, items = self._first_factors(cells.shape, rng)
        self._set_items(items)
        state = rng.integers(1, 2**63, 1, dtype=np.uint64)
        learned: dict[str, NDArray[Any]] = {"users": self.user_factors, "items": items, "draws": state}
        for epoch in course.epochs(config.epochs, rng, learned):
            order, blocks = shuffled_by_user(users, rng)
            rate = config.learning_rate * config.learning_rate_decay ** (epoch // DECAY_EVERY)
            loss, counts, scores = run_epoch(
                users[order],
                liked[order],
                blocks,
                config.samples_per_positive,
                *(pools.seen, pools.explicit, pools.implicit, pools.popularity),
                shares,
                *(self.user_factors, items),
                rate,
                0.0 if epoch == 0 and self._start is not None and self._start.freeze_items_first else rate,
                config.regularization,
                state,
            )
            check_finite(self.name, epoch, loss, self.user_factors, items)
            point = {"epoch": epoch + 1, "loss": loss / counts.sum(), **facts_of_kinds(counts, scores)}
            yield epoch + 1, point

    def _first_factors(
        self, shape: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Float32Array, Float32Array]:
        """Users and items before the first epoch: at random, or where they are to start from."""
        users, items = (
            rng.normal(0.0, START_DEVIATION, (n, self.config.factors)).astype(np.float32) for n in shape
        )
        if self._start is None:
            return users, items
        self._start.check(*shape, self.config.factors, self.name)
        given = self._start.users
        return users if given is None else given.copy(), np.array(self._start.items, order="C")

    def _copied(self) -> tuple[Float32Array, ...]:
        """What has been learned so far."""
        return self.user_factors.copy(), self.item_factors.copy()

    def _restore(self, learned: tuple[Float32Array, ...]) -> None:
        """Go back to what `_copied` gave."""
        self.user_factors = learned[0]
        self._set_items(learned[1])

    @classmethod
    def _file(cls, folder: Path, part: str) -> Path:
        return folder / f"{cls.name}_{part}.npy"

    def _set_items(self, items: Float32Array) -> None:
        self.item_factors, self.n_items = items, len(items)

    def _find_or_fold_in(self, history: History) -> Float32Array:
        row = self._row_of.get(_key(history))
        return self.fold_in(history) if row is None else self.user_factors[row]

    @cached_property
    def _row_of(self) -> dict[int, int]:
        """Key of a history -> its row; of two people who did the same, the first."""
        return {int(key): row for row, key in reversed(list(enumerate(self._keys)))}

    def _time_a_like(self) -> float:
        """Learning rates of a training, summed over the samples of one like."""
        epochs = np.arange(self.best_epoch or self.config.epochs) // DECAY_EVERY
        rates = self.config.learning_rate * self.config.learning_rate_decay**epochs
        return float(self.config.samples_per_positive * rates.sum())

    def _negatives_of(self, history: History) -> tuple[Float64Array, Float64Array]:
        """(m, factors) items it does not hold and its dislikes, and (m,) what each weighs; summing to 1."""
        rng = np.random.default_rng(self.config.seed)
        drawn = rng.permutation(self.n_items)[: FOLD_IN_NEGATIVES + len(history.item_indices)]
        drawn = drawn[~np.isin(drawn, history.item_indices)][:FOLD_IN_NEGATIVES]
        disliked = history.disliked[history.disliked < self.n_items]
        of_disliked, *_ = shares_of(
            self.config.negatives,
            explicit=self.config.explicit_share if len(disliked) else 0.0,
            implicit=self.config.implicit_share,
        )
        of_disliked = of_disliked if len(drawn) else 1.0
        shares = np.concatenate(
            (
                np.full(len(drawn), (1.0 - of_disliked) / max(len(drawn), 1)),
                np.full(len(disliked), of_disliked / max(len(disliked), 1)),
            )
        )
        others = self.item_factors[np.concatenate((drawn, disliked))].astype(np.float64)
        return others, shares


def positive_pairs(cells: csr_matrix) -> tuple[Int32Array, Int32Array]:
    """Users and items of all likes, of users who have something left to compare them with."""
    n_seen = np.diff(cells.indptr)
    users = np.repeat(np.arange(cells.shape[0], dtype=np.int32), n_seen)
    chosen = (cells.data > 0) & (n_seen < cells.shape[1])[users]
    return users[chosen], cells.indices[chosen].astype(np.int32)


def shuffled_by_user(
    users: Int32Array, rng: np.random.Generator, block_users: int = BLOCK_USERS
) -> tuple[Int64Array, Int64Array]:
    """An order of the pairs in which users are shuffled and stay whole, and where blocks of users start."""
    lots = rng.permutation(users[-1] + 1)
    order = np.argsort(lots[users], kind="stable")
    of_block = lots[users[order]] // block_users
    starts = np.flatnonzero(np.diff(of_block, prepend=-1))
    return order, np.append(starts, len(users))


def facts_of_kinds(counts: Int64Array, scores: Float64Array) -> dict[str, float]:
    """Of each kind of negative its share of the samples and its mean score."""
    facts: dict[str, float] = {}
    for kind, count, score in zip(KINDS, counts.tolist(), scores.tolist(), strict=True):
        facts[f"{kind}_share"] = count / counts.sum()
        facts[f"{kind}_score"] = score / max(count, 1)
    return facts


def check_finite(name: str, epoch: int, loss: float, *learned: Float32Array) -> None:
    """Stop a training that diverges; epochs are counted from 0.

    Raises:
        DataError: the loss, or a factor, is not a finite number.
    """
    if not (np.isfinite(loss) and all(is_finite(array) for array in learned)):
        raise DataError(
            f"The loss of {name} stopped being finite in epoch {epoch + 1}; lower {name}.learning_rate or "
            f"raise {name}.regularization."
        )


def _key(history: History) -> int:
    """Tells a history from another, whatever the order of its acts."""
    order = np.argsort(history.item_indices)
    digest = blake2b(history.item_indices[order].astype(np.int32).tobytes(), digest_size=8)
    digest.update(history.weights[order].astype(np.float32).tobytes())
    return int.from_bytes(digest.digest(), "little")
