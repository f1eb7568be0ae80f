"""Which of the tries is served: the smallest model that is nearly the best, over three seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from recsys.experiments.trials import DONE, TrialRow, as_text
from recsys.training.tuning.space import size_of

TOLERANCE = 0.02  # of the best mean NDCG@10: within it the smaller model wins
N_SEEDS = 3


@dataclass(frozen=True)
class Candidate:
    """One configuration, tried with every seed; `rows` has a row a seed."""

    rows: tuple[TrialRow, ...]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The whole configuration but the seed."""
        return self.rows[0].parameters

    @property
    def size(self) -> int:
        """Length of its vectors."""
        return size_of(self.parameters)

    @property
    def ndcg(self) -> float:
        """Mean NDCG@10 over the seeds."""
        return fmean(row.ndcg or 0.0 for row in self.rows)

    @property
    def recall(self) -> float:
        """Mean Recall@10 over the seeds."""
        return fmean(row.recall or 0.0 for row in self.rows)

    @property
    def best_epoch(self) -> int | None:
        """The mean of the epochs kept, of what is stopped early."""
        epochs = [row.best_epoch for row in self.rows if row.best_epoch is not None]
        return round(fmean(epochs)) if epochs else None


@dataclass(frozen=True)
class Choice:
    """`chosen` is the smallest candidate within the tolerance of `best`; `candidates` best first."""

    chosen: Candidate
    best: Candidate
    candidates: tuple[Candidate, ...]

    def describe(self, shown: Sequence[str]) -> str:
        """In a sentence, with the parameters named in `shown`."""
        what = describe(self.chosen.parameters, shown)
        figure = f"NDCG@10 {self.chosen.ndcg:.4f}, the mean over {len(self.chosen.rows)} seeds"
        if self.chosen is self.best:
            return f"{what}: {figure}, the best of {len(self.candidates)} tried so"
        share = 1 - self.chosen.ndcg / self.best.ndcg
        return (
            f"{what}: {figure}, the smallest within {TOLERANCE:.0%} of the best "
            f"({self.best.ndcg:.4f} with {self.best.size}; {share:.1%} below it)"
        )


def describe(parameters: Mapping[str, Any], shown: Sequence[str]) -> str:
    """The parameters named in `shown` as a command line takes them."""
    return " ".join(f"{name}={as_number(parameters[name])}" for name in shown if name in parameters)


def as_number(value: object) -> str:
    """A value as short as its four leading digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def finalists(rows: Iterable[TrialRow], seed: int) -> list[TrialRow]:
    """The best try of each size, of those that may still be within the tolerance; the largest last.

    A try with one seed that is twice the tolerance below the best cannot come within it by two more.
    """
    best: dict[int, TrialRow] = {}
    for row in rows:
        if row.status == DONE and row.seed == seed:
            size = size_of(row.parameters)
            if size not in best or (row.ndcg or 0.0) > (best[size].ndcg or 0.0):
                best[size] = row
    most = max((row.ndcg or 0.0 for row in best.values()), default=0.0)
    return [best[size] for size in sorted(best) if (best[size].ndcg or 0.0) >= (1 - 2 * TOLERANCE) * most]


def choose(rows: Iterable[TrialRow], seeds: Sequence[int]) -> Choice | None:
    """The choice among what was tried with every seed; None where nothing was."""
    tried: dict[str, dict[int, TrialRow]] = {}
    for row in rows:
        if row.status == DONE and row.seed in seeds:
            tried.setdefault(as_text(row.parameters), {})[row.seed] = row
    candidates = [
        Candidate(tuple(of_seed[seed] for seed in seeds))
        for of_seed in tried.values()
        if len(of_seed) == len(seeds)
    ]
    if not candidates:
        return None
    candidates.sort(key=lambda one: -one.ndcg)
    best = candidates[0]
    near = [one for one in candidates if one.ndcg >= (1 - TOLERANCE) * best.ndcg]
    chosen = min(near, key=lambda one: (one.size, -one.ndcg))
    return Choice(chosen, best, tuple(candidates))
