"""`recsys benchmark`: train on a public split and measure as the papers that use it do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys.datasets.public_split import load_public_split
from recsys.errors import ConfigError
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.metrics.ranking import check_cutoff
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import make_recommender
from recsys.training.choosing import (
    Choices,
    Overrides,
    choose_on_validation,
    fit_one,
    has_choices,
    merged,
    with_parts,
)
from recsys.training.measuring import peak_memory_mb
from recsys.types import ProgressCallback

# For each user with a test item, rank every item of the train file but the user's own there.
ALL_RANKING = "all-ranking"
PROTOCOLS = (ALL_RANKING,)


def run_benchmark(
    train_path: Path,
    test_path: Path,
    recommender: str = "als",
    overrides: Overrides | None = None,
    *,
    protocol: str = ALL_RANKING,
    k: int = 20,
    validation_split: float = 0.1,
    validation_popularity: float = 0.0,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
) -> dict[str, Any]:
    """Fit one recommender on the train file, measure it on the test file.

    What only a validation part can tell (epochs, the blend of the ensemble) is chosen on a random
    part of train, then everything is fitted on all of train; the test file is read for the last step alone.

    Args:
        train_path, test_path: `user item item ...` or `user item [rating]`; see `public_split`.
        recommender: its name, such as "als".
        overrides: hyper-parameters to replace in its configured defaults, by recommender.
        protocol: how the ranking is made; "all-ranking" is the one there is.
        k: where lists are cut off.
        validation_split: share of train held back to choose on; 0: everything is as configured.
        validation_popularity: how much likelier a popular item is to be held back there.
        seed: of that part.

    Returns:
        For one JSON line: the protocol, "recall@20" and the other means, seconds (of everything, of
        fitting and of evaluating), peak_memory_mb of this process, the sizes and the parameters. Of an
        ensemble also its parts, and the paired interval of its lead over the better one.

    Raises:
        ConfigError: the protocol, the recommender, a parameter or k cannot be used.
        DataError: a file cannot be read, or the recommender cannot learn from it.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"There is no protocol {protocol!r}; there is {', '.join(PROTOCOLS)}.")
    check_cutoff(k)
    names = with_parts([recommender])
    given = overrides or {}
    for name in names:
        make_recommender(name, **given.get(name, {}))  # a bad value is told before anything is read
    stages = StagedProgress(
        progress, _stages(names, chooses=validation_split > 0 and has_choices(names, given))
    )
    clock = _Clock()
    split = load_public_split(train_path, test_path)
    clock.lap("read")
    choices = Choices()
    if validation_split > 0 and has_choices(names, given):
        choices = choose_on_validation(
            split.train,
            names,
            given,
            validation_split=validation_split,
            validation_popularity=validation_popularity,
            k=k,
            seed=seed,
            progress=stages.within("choosing"),
        )
        clock.lap("choose")
    fitted: dict[str, Recommender] = {}
    for name in names:
        told = stages.within(f"fitting {name}")
        fitted[name] = fit_one(name, split.train, merged(given, choices.overrides), fitted, told)
    clock.lap("fit")
    evaluations = {
        name: evaluate(fitted[name], split, k=k, progress=stages.within(f"evaluating {name}"))
        for name in names
    }
    clock.lap("evaluate")
    return {
        "recommender": recommender,
        "protocol": f"{protocol}: {evaluations[recommender].protocol}",
        **_round_means(evaluations[recommender]),
        "seconds": round(sum(clock.seconds.values()), 3),
        **{f"{part}_seconds": round(seconds, 3) for part, seconds in clock.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train_pairs": int(split.train.user_items.nnz),
        "test_pairs": int(split.test.nnz),
        "parameters": asdict(fitted[recommender].config),
        **({"chosen": dict(choices.facts)} if choices.facts else {}),
        **_parts(recommender, fitted, evaluations, k),
    }


def _stages(names: Sequence[str], *, chooses: bool) -> dict[str, float]:
    choosing = {"choosing": 10.0} if chooses else {}
    return {**choosing, **{f"fitting {n}": 10.0 for n in names}, **{f"evaluating {n}": 5.0 for n in names}}


def _parts(
    name: str, fitted: Mapping[str, Recommender], evaluations: Mapping[str, Evaluation], k: int
) -> dict[str, Any]:
    """What an ensemble is made of, and its lead over the better part, user by user."""
    parts = fitted[name].parts
    if not parts:
        return {}
    leads: dict[str, Any] = {}
    for metric in (f"recall@{k}", f"ndcg@{k}"):
        better = max(parts, key=lambda part: evaluations[part].metrics[metric]["mean"])
        leads[metric] = {"over": better, **evaluations[name].lift_over(evaluations[better], metric)}
    return {
        "parts": {
            part: {**_round_means(evaluations[part]), "parameters": asdict(fitted[part].config)}
            for part in parts
        },
        "relative_lead_over_better_part": leads,
    }


class _Clock:
    """Seconds of one part after another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = now - self._since
        self._since = now


def _round_means(evaluation: Evaluation) -> dict[str, float]:
    return {name: round(interval["mean"], 6) for name, interval in evaluation.metrics.items()}
