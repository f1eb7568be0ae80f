"""`recsys benchmark`: train on a public split and measure as the papers that use it do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys.datasets.public_split import load_public_split
from recsys.errors import ConfigError
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.metrics.ranking import check_cutoff
from recsys.progress import StagedProgress, ignore_progress
from recsys.recommenders.table import make_recommender
from recsys.training.pipeline import peak_memory_mb
from recsys.types import ProgressCallback

# For each user with a test item, rank every item of the train file but the user's own there.
ALL_RANKING = "all-ranking"
PROTOCOLS = (ALL_RANKING,)
STAGES = {"reading": 1.0, "fitting": 10.0, "evaluating": 5.0}


def run_benchmark(
    train_path: Path,
    test_path: Path,
    recommender: str = "als",
    overrides: Mapping[str, object] | None = None,
    *,
    protocol: str = ALL_RANKING,
    k: int = 20,
    progress: ProgressCallback = ignore_progress,
) -> dict[str, Any]:
    """Fit one recommender on the train file, measure it on the test file.

    Args:
        train_path, test_path: `user item item ...` or `user item [rating]`; see `public_split`.
        recommender: its name, such as "als".
        overrides: hyper-parameters to replace in its configured defaults.
        protocol: how the ranking is made; "all-ranking" is the one there is.
        k: where lists are cut off.

    Returns:
        For one JSON line: the protocol, "recall@20" and the other means, seconds (of everything, of
        fitting and of evaluating), peak_memory_mb of this process, the sizes and the parameters.

    Raises:
        ConfigError: the protocol, the recommender, a parameter or k cannot be used.
        DataError: a file cannot be read, or the recommender cannot learn from it.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"There is no protocol {protocol!r}; there is {', '.join(PROTOCOLS)}.")
    check_cutoff(k)
    unfitted = make_recommender(recommender, **(overrides or {}))
    stages = StagedProgress(progress, STAGES)
    clock = _Clock()
    split = load_public_split(train_path, test_path)
    clock.lap("read")
    fitted = unfitted.fit(split.train, stages.within("fitting"))
    clock.lap("fit")
    evaluation = evaluate(fitted, split, k=k, progress=stages.within("evaluating"))
    clock.lap("evaluate")
    return {
        "recommender": recommender,
        "protocol": f"{protocol}: {evaluation.protocol}",
        **_round_means(evaluation),
        "seconds": round(sum(clock.seconds.values()), 3),
        **{f"{part}_seconds": round(seconds, 3) for part, seconds in clock.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train_pairs": int(split.train.user_items.nnz),
        "test_pairs": int(split.test.nnz),
        "parameters": asdict(fitted.config),
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
