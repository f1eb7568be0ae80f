"""What the fine stage tries next: Optuna's TPE over the ranges, told of every try in the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recsys.errors import ConfigError
from recsys.experiments.trials import DONE, PRUNED, TrialRow, as_text
from recsys.training.tuning.space import Range, complete
from recsys.training.tuning.workers import Job

STARTUP_TRIALS = 5  # so many at random before TPE has something to go by, and before anything is stopped
ASKED_AGAIN = 50  # times, where all it proposes was tried before


class FineSource:
    """An iterator of jobs until `n_trials` tries were made, those of the log included.

    Args:
        recommender: its name.
        ranges: where each hyper-parameter may lie.
        best: the whole configuration they lie around; the others stay as in it.
        rows: tries of the log with the base seed, of both stages.
        seed: of the draws, and of every try.
        n_trials: how many there shall be.
        on_refused: told the values and the reason where the configuration refuses what was proposed.
    """

    def __init__(
        self,
        recommender: str,
        ranges: Mapping[str, Range],
        best: Mapping[str, Any],
        rows: Sequence[TrialRow],
        *,
        seed: int,
        n_trials: int,
        on_refused: Callable[[Mapping[str, object], str], None],
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._recommender, self._best, self._seed = recommender, dict(best), seed
        self._ranges, self._n_trials, self._on_refused = ranges, n_trials, on_refused
        self._distributions = {name: one.distribution() for name, one in ranges.items()}
        of_fine = [row for row in rows if row.stage == "fine"]
        self.n_made = len(of_fine)
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed + self.n_made, n_startup_trials=STARTUP_TRIALS),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=0),
        )
        self._values: dict[str, float] = {}
        for row in rows:
            self._remember(row)
        self._trials: dict[int, optuna.trial.Trial] = {}

    def __iter__(self) -> FineSource:
        return self

    def __next__(self) -> Job:
        """The next try that the configuration takes and that was not made before."""
        from optuna.trial import TrialState

        for _ in range(ASKED_AGAIN):
            if self.n_made >= self._n_trials:
                break
            trial = self._study.ask(self._distributions)
            proposed = {**self._best, **trial.params}
            try:
                parameters = complete(self._recommender, proposed)
            except ConfigError as error:
                self._study.tell(trial, state=TrialState.FAIL)
                self._on_refused(proposed, str(error))
                self.n_made += 1
                continue
            known = self._values.get(as_text(parameters))
            if known is not None:
                self._study.tell(trial, known)
                continue
            self.n_made += 1
            self._trials[trial.number] = trial
            return Job(parameters, self._seed, is_stoppable=True, number=trial.number)
        raise StopIteration

    def look(self, job: Job, step: int, figure: float) -> bool:
        """Whether a try is worth going on with, beside what the others had at the same step."""
        trial = self._trials[job.number]
        trial.report(figure, step)
        return not trial.should_prune()

    def tell(self, job: Job, row: TrialRow) -> None:
        """How it ended."""
        from optuna.trial import TrialState

        trial = self._trials.pop(job.number)
        if row.status == DONE and row.ndcg is not None:
            self._study.tell(trial, row.ndcg)
            self._values[as_text(row.parameters)] = row.ndcg
        else:
            self._study.tell(trial, state=TrialState.PRUNED if row.status == PRUNED else TrialState.FAIL)

    def _remember(self, row: TrialRow) -> None:
        """A try of the log, where it lies in the ranges and is like the best in all else."""
        from optuna.trial import TrialState, create_trial

        of_ranges = {name: row.parameters.get(name) for name in self._ranges}
        others = {n: v for n, v in row.parameters.items() if n not in self._ranges}
        is_like = others == {n: v for n, v in self._best.items() if n not in self._ranges}
        if not is_like or not all(self._ranges[name].holds(value) for name, value in of_ranges.items()):
            return
        if row.status == DONE and row.ndcg is not None:
            self._values[as_text(row.parameters)] = row.ndcg
        elif row.status != PRUNED:
            return
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if row.status == DONE else TrialState.PRUNED,
                value=row.ndcg if row.status == DONE else None,
                params=of_ranges,
                distributions=self._distributions,
                intermediate_values=dict(row.curve),
            )
        )
