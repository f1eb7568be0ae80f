"""What only a validation part can tell: how many epochs, and how to weigh the parts of the ensemble.

The validation part is the last part of what is learned from, so the test part stays unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.datasets.splits import Split, split_for_training
from recsys.datasets.user_items import Dataset, cells_where
from recsys.errors import ConfigError
from recsys.evaluation.evaluate import evaluate
from recsys.metrics.ranking import relevant_counts
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import Recommender
from recsys.recommenders.bpr import BPRRecommender
from recsys.recommenders.ensemble import EnsembleRecommender
from recsys.recommenders.table import make_recommender, recommender_class
from recsys.recommenders.text_start import TextStartConfig, start_from_text
from recsys.recommenders.two_tower import TwoTowerRecommender
from recsys.training.memory import check_fit
from recsys.types import ProgressCallback

BY_EPOCHS = ("two_tower", "bpr", "hybrid_text")
BY_PATIENCE = ("als", "als_ratings")  # where it is above 0; else always all iterations
SHARES = tuple(round(0.1 * step, 1) for step in range(11))
MAX_USERS = 3_000  # enough to tell shares apart; a blend is tried eleven times over all of them

Overrides = Mapping[str, Mapping[str, object]]
Prepare = Callable[[Recommender], None]  # a last touch before a recommender is fitted


@dataclass(frozen=True)
class Choices:
    """`overrides`: hyper-parameters by recommender; `facts`: how they were chosen, for the record."""

    overrides: Overrides = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def with_parts(names: Sequence[str]) -> list[str]:
    """The names, each after the recommenders it is put together from; every one once.

    >>> with_parts(["ensemble", "als"])
    ['als', 'two_tower', 'ensemble']
    """
    ordered: dict[str, None] = {}
    for name in names:
        ordered.update(dict.fromkeys((*recommender_class(name).parts, name)))
    return list(ordered)


def check_overrides(names: Sequence[str], overrides: Overrides) -> None:
    """Refuse, before anything is fitted, what cannot work or what nobody would read.

    Args:
        names: the recommenders that are fitted, parts included.
        overrides: hyper-parameters by recommender, or of `text_start`.

    Raises:
        ConfigError: a recommender is unknown or is not among the names, or a hyper-parameter is unknown or
            out of its range.
    """
    for name, values in overrides.items():
        if name == TextStartConfig.section:
            TextStartConfig.default(**values)
            continue
        make_recommender(name, **values)
        if name not in names:
            given = ", ".join(f"{name}.{one}" for one in values)
            raise ConfigError(
                f"{given} would be read by nobody: {name} is not among {', '.join(names)}. Name it too, or "
                "leave that out."
            )


def has_choices(names: Sequence[str], overrides: Overrides | None = None) -> bool:
    """Whether a validation part would be used."""
    return bool({*BY_EPOCHS, "ensemble"} & set(names)) or bool(_patient(names, overrides or {}))


def choose_on_validation(
    dataset: Dataset,
    names: Sequence[str],
    overrides: Overrides,
    *,
    validation_split: float,
    validation_popularity: float = 0.0,
    k: int,
    seed: int,
    progress: ProgressCallback = ignore_progress,
    prepare: Prepare = lambda recommender: None,
) -> Choices:
    """Stop what is trained by epochs early and weigh the ensemble on the last part of a dataset.

    als and als_ratings are stopped early where their `patience` is above 0.

    Args:
        dataset: what may be learned from; no test part in it.
        names: the recommenders to be trained, parts included.
        overrides: hyper-parameters given; epochs and iterations given are the most that are tried.
        validation_split: share of the positive cells held back.
        validation_popularity: above 0 they are drawn at random, cells of popular items more often; see
            `splits.split_random`.
        k: where NDCG is cut off.
        seed: of a random split and of the users sampled.
        progress: told how far it is.
        prepare: called with each recommender before it is fitted.

    Raises:
        DataError: the dataset cannot be split.
    """
    wanted = {*BY_EPOCHS, "ensemble"} & set(names)
    if "als_share" in overrides.get("ensemble", {}):
        wanted.discard("ensemble")  # somebody has chosen it
    stages = StagedProgress(
        progress,
        {"two_tower": 10.0, "bpr": 5.0, "hybrid_text": 10.0, "als": 5.0, "als_ratings": 5.0, "ensemble": 2.0},
    )
    validation = split_for_training(dataset, validation_split, seed, popularity_power=validation_popularity)
    fitted: dict[str, Recommender] = {}
    chosen: dict[str, dict[str, object]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name in BY_EPOCHS:
        if name not in wanted:
            continue
        recommender = make_recommender(name, **overrides.get(name, {}))
        start_from_text(recommender, validation.train, overrides.get("text_start", {}))
        assert isinstance(recommender, TwoTowerRecommender | BPRRecommender)  # noqa: S101 - for the type checker
        check_fit(recommender, validation.train)
        prepare(recommender)
        recommender.fit_early_stopping(validation, stages.within(name))
        fitted[name] = recommender
        chosen[name] = {"epochs": recommender.best_epoch}
        facts[name] = {"validation": validation.strategy, "learning_curve": recommender.learning_curve}
    for name, als in _patient(names, overrides).items():
        start_from_text(als, validation.train, overrides.get("text_start", {}))
        check_fit(als, validation.train)
        prepare(als)
        fitted[name] = als.fit_early_stopping(validation, stages.within(name))
        chosen[name] = {"iterations": als.best_iteration}
        facts[name] = {"validation": validation.strategy, "learning_curve": _looks(als.learning_curve)}
    if "ensemble" in wanted:
        if "als" not in fitted:
            fitted["als"] = fit_one("als", validation.train, overrides, fitted, stages.within("als"), prepare)
        ensemble = fit_one("ensemble", validation.train, overrides, fitted)
        assert isinstance(ensemble, EnsembleRecommender)  # noqa: S101
        tried = _try_shares(ensemble, sample_users(validation, MAX_USERS, seed), k, stages.within("ensemble"))
        chosen["ensemble"] = {"als_share": max(tried, key=lambda share: tried[share])}
        facts["ensemble"] = {"validation": validation.strategy, f"ndcg@{k}_by_als_share": tried}
    return Choices(chosen, facts)


def merged(*overrides: Overrides) -> dict[str, dict[str, object]]:
    """All of them; the later ones win."""
    together: dict[str, dict[str, object]] = {}
    for one in overrides:
        for name, values in one.items():
            together.setdefault(name, {}).update(values)
    return together


def fit_one(
    name: str,
    dataset: Dataset,
    overrides: Overrides,
    fitted: Mapping[str, Recommender],
    progress: ProgressCallback = ignore_progress,
    prepare: Prepare = lambda recommender: None,
) -> Recommender:
    """A recommender with its hyper-parameters, fitted; what has parts takes them from `fitted`."""
    recommender = make_recommender(name, **overrides.get(name, {}))
    recommender.attach(fitted)
    start_from_text(recommender, dataset, overrides.get("text_start", {}))
    check_fit(recommender, dataset)
    prepare(recommender)
    return recommender.fit(dataset, progress)


def sample_users(split: Split, most: int, seed: int) -> Split:
    """The same split with held-back cells of at most this many users, drawn at random."""
    users = np.flatnonzero(relevant_counts(split.test))
    if len(users) <= most:
        return split
    drawn = np.random.default_rng(seed).choice(users, most, replace=False)
    is_drawn = np.isin(np.repeat(np.arange(split.test.shape[0]), np.diff(split.test.indptr)), drawn)
    return replace(split, test=cells_where(split.test, is_drawn))


def _patient(names: Sequence[str], overrides: Overrides) -> dict[str, ALSRecommender]:
    """Those that are stopped early by the validation part, unfitted."""
    made = {name: make_recommender(name, **overrides.get(name, {})) for name in BY_PATIENCE if name in names}
    return {
        name: one for name, one in made.items() if isinstance(one, ALSRecommender) and one.config.patience > 0
    }


def _looks(curve: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The points where NDCG was measured, with what a person follows."""
    followed = ("iteration", "ndcg", "loss", "seconds")
    return [{name: point[name] for name in followed if name in point} for point in curve if "ndcg" in point]


def _try_shares(
    ensemble: EnsembleRecommender, validation: Split, k: int, progress: ProgressCallback
) -> dict[float, float]:
    """als_share -> mean NDCG@k on the validation part."""
    stages = StagedProgress(progress, {str(share): 1.0 for share in SHARES})
    return {
        share: evaluate(
            ensemble.with_share(share), validation, k=k, progress=stages.within(str(share))
        ).metrics[f"ndcg@{k}"]["mean"]
        for share in SHARES
    }
