"""Figures of several recommenders as text, side by side over the same users, and a verdict on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys.datasets.processed import OF_COUNTS
from recsys.evaluation.bootstrap import Interval, in_per_cent, paired_difference_interval
from recsys.evaluation.evaluate import Evaluation
from recsys.recommenders.table import BASELINE
from recsys.types import BoolArray

COUNTS_GIVEN = f"{BASELINE}, {OF_COUNTS}"  # a second baseline, where `recsys process --counts` gave them
GOOD_PRECISION, GOOD_MAP, POOR_PRECISION, FEW_INTERACTIONS = 0.15, 0.10, 0.10, 1_000


def answered_means(evaluations: Mapping[str, Evaluation], judged: str) -> dict[str, dict[str, float]]:
    """Each recommender's means over the same users: those `judged` can answer, or all of them.

    A user with no act before the cut is never given to als; counting them would measure how many
    newcomers there are. Without any such user nothing was measured: an empty dictionary.
    """
    answered = _answered(evaluations, judged)
    if not answered.any():
        return {}
    return {
        name: {metric: float(values[answered].mean()) for metric, values in evaluation.per_user.items()}
        for name, evaluation in evaluations.items()
    }


def format_figures(evaluations: Mapping[str, Evaluation], judged: str, k: int) -> str:
    """Figures at k of each recommender, NDCG by tier too, and the protocol they were measured by."""
    first = next(iter(evaluations.values()))
    means = answered_means(evaluations, judged)
    if not means:
        return f"\nNothing could be measured: {judged} can answer none of the {first.n_users:,} test users.\n"
    n_users = int(_answered(evaluations, judged).sum())
    whose = f"of {first.n_users:,} users whom {judged} can answer" if judged in evaluations else "users"
    header = f"{'':<12}{f'Precision@{k}':>13}{f'MAP@{k}':>9}{f'NDCG@{k}':>9}   "
    improvements = _improvements(evaluations, judged, f"ndcg@{k}")
    return "\n".join(
        [
            "",
            f"Over the {n_users:,} {whose}; then NDCG@{k} over all, by acts in the train part",
            header + "".join(f"{tier:>9}" for tier in first.by_tier),
            *(_format_row(name, means[name], evaluation, k) for name, evaluation in evaluations.items()),
            f"{'users':<43}   " + "".join(f"{figures.n_users:>9,}" for figures in first.by_tier.values()),
            *improvements,
            f"Protocol: {first.protocol}",
            "",
        ]
    )


def format_benchmark(result: Mapping[str, Any]) -> str:
    """What `run_benchmark` found as a table: every metric beside popularity's, by tier and by popularity."""
    improvements = result["improvement_over_popularity_percent"]
    name = result["recommender"]
    rows = [f"{'':<20}{name:>12}{'95 %':>20}{BASELINE:>12}   improvement, paired 95 %"]
    for metric, interval in result["intervals"].items():
        beside = _per_cent(improvements[metric]) if metric in improvements else ""
        row = f"{metric:<20}{interval['mean']:>12.4f}{_range(interval):>20}{result[BASELINE][metric]:>12.4f}"
        rows.append(f"{row}   {beside}".rstrip())
    of_lists = [one for one in result if one.split("@")[0] in ("coverage", "novelty", "popularity_bias")]
    rows += [
        f"{one:<20}{result[one]:>12.4f}{'':>20}{result[BASELINE].get(one, 0):>12.4f}" for one in of_lists
    ]
    if COUNTS_GIVEN in result:
        rows.append(f"{COUNTS_GIVEN:<26}{_means(result[COUNTS_GIVEN], 'ndcg', 'recall')}")
    rows.append("by cells in train, and by how popular the item is (thirds of the interactions)")
    for tier, figures in result["by_tier"].items():
        rows.append(f"{tier:<20}{figures['n_users']:>12,} users  {_means(figures['metrics'], 'ndcg')}")
    for bucket, figures in result["by_item_popularity"].items():
        found = {**figures["recall"], **figures["share_of_lists"]}
        rows.append(f"{bucket:<20}{figures['n_items']:>12,} items  {_means(found, 'recall', 'share')}")
    cold = dict(result.get("cold_users", {}))
    if cold:
        rows.append(f"{cold.pop('users'):,} users too cold to train on, answered by")
        rows += [f"{who:<26}{_means(means, 'ndcg', 'recall')}" for who, means in cold.items()]
    return "\n".join(["", *rows, f"Protocol: {result['protocol']}", ""])


def _improvements(evaluations: Mapping[str, Evaluation], judged: str, metric: str) -> list[str]:
    """How far each is above popularity over the same users, a line each."""
    if BASELINE not in evaluations:
        return []
    answered = _answered(evaluations, judged)
    popular = evaluations[BASELINE].per_user[metric][answered]
    if popular.mean() == 0:
        return []
    lines = []
    for name, evaluation in evaluations.items():
        if name != BASELINE:
            own = evaluation.per_user[metric][answered]
            lift = in_per_cent(paired_difference_interval(own, popular, seed=0, relative=True))
            lines.append(f"Above popularity in {metric}: {name} {_per_cent(lift)}")
    return lines


def _per_cent(interval: Interval) -> str:
    return f"{interval['mean']:+.1f} % ({interval['low']:+.1f} to {interval['high']:+.1f})"


def _range(interval: Mapping[str, float]) -> str:
    return f"{interval['low']:.4f} to {interval['high']:.4f}"


def _means(figures: Mapping[str, Any], *names: str) -> str:
    """Those of these metrics, in words."""
    told = {name: one["mean"] if isinstance(one, Mapping) else one for name, one in figures.items()}
    return "  ".join(f"{name} {one:.4f}" for name, one in told.items() if name.split("@")[0] in names)


def _answered(evaluations: Mapping[str, Evaluation], judged: str) -> BoolArray:
    if judged in evaluations:
        return evaluations[judged].answered
    return np.ones(next(iter(evaluations.values())).n_users, np.bool_)


def _format_row(name: str, means: Mapping[str, float], evaluation: Evaluation, k: int) -> str:
    by_tier = [figures.metrics.get(f"ndcg@{k}") for figures in evaluation.by_tier.values()]
    columns = "".join(f"{of['mean']:>9.4f}" if of else f"{'-':>9}" for of in by_tier)
    precision, mean_average, ndcg = (means[f"{metric}@{k}"] for metric in ("precision", "map", "ndcg"))
    return f"{name:<12}{precision:>13.4f}{mean_average:>9.4f}{ndcg:>9.4f}   {columns}"


def judge(means: Mapping[str, float], n_interactions: int) -> str:
    """What the figures at 10 mean, and what to do about poor ones."""
    precision, mean_average_precision = means["precision@10"], means["map@10"]
    if precision > GOOD_PRECISION and mean_average_precision > GOOD_MAP:
        return f"Good: Precision@10 above {GOOD_PRECISION} and MAP@10 above {GOOD_MAP:.2f}."
    if n_interactions < FEW_INTERACTIONS:
        return (
            f"Only {n_interactions:,} interactions: below {FEW_INTERACTIONS:,} the figures say little. "
            "Collect more; until then content answers users with few acts."
        )
    if precision < POOR_PRECISION:
        return (
            f"Poor: Precision@10 is below {POOR_PRECISION:.2f}. Tune the hyper-parameters (recsys tune als), "
            "and check how many users have fewer than 5 acts: content answers those better."
        )
    return (
        f"Fair: good would be Precision@10 above {GOOD_PRECISION} and MAP@10 above {GOOD_MAP:.2f}; "
        "recsys tune als searches for better hyper-parameters."
    )
