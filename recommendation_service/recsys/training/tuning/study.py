"""A search in three stages: coarse, fine, validate.

`coarse` tries every combination of a grid, `fine` searches around the best of it (Optuna: TPE,
Bergstra et al., NeurIPS 2011, tries stopped early by the median rule), both on a validation part.
Each ends by trying the best of every size with two more seeds. `validate` fits the choice on train
and validation part together and reads the test part, once.

Every try is a row of the log as soon as it has ended, and no try of the log is made again, so a
search that was stopped goes on where it was.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recsys.datasets.splits import split_for_training
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.experiments.trials import (
    DIED,
    DONE,
    FAILED,
    PRUNED,
    TRIALS_FILE,
    TrialRow,
    append_trial,
    as_text,
    check_writable,
    read_trials,
    varied,
)
from recsys.memory import free_bytes
from recsys.progress import ignore_progress
from recsys.recommenders.table import make_recommender
from recsys.training.tuning.choice import N_SEEDS, Choice, choose, describe, finalists
from recsys.training.tuning.measure import K
from recsys.training.tuning.optuna_source import FineSource
from recsys.training.tuning.space import (
    check_can_be_tried,
    coarse_combinations,
    complete,
    extremes,
    fine_ranges,
    n_fine_trials,
    read_search,
)
from recsys.training.tuning.workers import (
    Ended,
    Job,
    allowed_jobs,
    estimate_try_bytes,
    run_jobs,
)
from recsys.types import ProgressCallback, ProgressReport

logger = logging.getLogger(__name__)

SEARCHED = ("coarse", "fine")
VALIDATED = "validate"


@dataclass(frozen=True)
class SearchResult:
    """What the log holds of a search after a stage; `n_new` tries were made now."""

    stage: str
    rows: tuple[TrialRow, ...]
    choice: Choice
    n_new: int
    n_known: int


@dataclass
class Study:
    """One search: a recommender, the data it is chosen on, and the log.

    Args:
        recommender: its name.
        train: what may be learned and chosen from; no test part in it.
        data_version: what the data is known by, in the log and in tuned.json.
        folder: of experiments.
        validation_split: share of the positive cells of `train` held back to choose by.
        held_back: how a test part was split off before, for the protocol.
        fixed: hyper-parameters that every try has, and that choose among the tries of the log.
        jobs: tries side by side; None: as many as there are cores. Never more than memory holds.
        progress: told how far a stage is.

    Raises:
        ConfigError: the recommender has no search, or the share cannot work.
        DataError: the recommender cannot learn from the data, or it is too small to be split.
    """

    recommender: str
    train: Dataset
    data_version: str
    folder: Path
    validation_split: float = 0.2
    held_back: str = ""
    fixed: Mapping[str, object] = field(default_factory=dict)
    jobs: int | None = None
    progress: ProgressCallback = ignore_progress

    def __post_init__(self) -> None:
        check_can_be_tried(self.recommender, self.train)
        read_search(self.recommender)
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(f"--jobs is {self.jobs}; it must be a whole number from 1.")
        self.validation = split_for_training(self.train, self.validation_split, seed=0)
        before = f", after {self.held_back}" if self.held_back else ""
        self.protocol = f"{self.validation.strategy}{before}; every unseen item ranked; k={K}"
        first = int(getattr(make_recommender(self.recommender).config, "seed", 0))
        self.seeds = tuple(first + place for place in range(N_SEEDS))

    def coarse(self, grid: Mapping[str, Sequence[object]] | None = None) -> SearchResult:
        """Try every combination of the section's grid, or of the one given.

        Raises:
            ConfigError: the grid names an unknown parameter, or is none.
            UnavailableError: not even the smallest try fits into memory.
            DataError: every try has failed.
        """
        combinations = coarse_combinations(self.recommender, grid, self.fixed)
        jobs, failed = self._jobs_of(combinations)
        known = self._known()
        new = [job for job in jobs if self._row_of(job, "coarse").key not in known]
        run = _Run(self, "coarse", len(new))
        for row in failed:
            if row.key not in known:
                append_trial(self.folder, row)
        run.make(new)
        keys = {self._row_of(job, "coarse").key for job in jobs} | {row.key for row in failed}
        self._check_any_done("coarse", [row for row in self.rows() if row.key in keys])
        self._confirm(run)
        return self._result("coarse", run.n_made, len(jobs) - len(new))

    def fine(self, n_trials: int | None = None) -> SearchResult:
        """Search around what coarse chose until the log holds `n_trials` tries of this stage.

        Raises:
            ConfigError: nothing was chosen by coarse, or a range cannot be searched.
            UnavailableError: not even the smallest try fits into memory.
            DataError: every try has failed.
        """
        n_trials = n_fine_trials(self.recommender) if n_trials is None else n_trials
        if n_trials < 1:
            raise ConfigError(f"--trials is {n_trials}; it must be a whole number from 1.")
        best = self._choose(stages=("coarse",))
        ranges = fine_ranges(self.recommender, best.chosen.parameters, self.fixed)
        rows = [row for row in self.rows() if row.seed == self.seeds[0] and row.status != DIED]
        source = FineSource(
            self.recommender,
            ranges,
            best.chosen.parameters,
            rows,
            seed=self.seeds[0],
            n_trials=n_trials,
            on_refused=lambda values, why: append_trial(self.folder, self._refused(values, why, "fine")),
        )
        n_known = source.n_made
        run = _Run(self, "fine", max(n_trials - n_known, 0))
        if n_known < n_trials:
            kinds = extremes(self.recommender, best.chosen.parameters, ranges)
            run.make(source, kinds=kinds, on_look=source.look, on_row=source.tell)
        self._check_any_done("fine", [row for row in self.rows() if row.stage == "fine"])
        self._confirm(run)
        return self._result("fine", run.n_made, n_known)

    def choice(self) -> Choice:
        """What the tries so far come to.

        Raises:
            ConfigError: nothing was tried with all seeds.
        """
        return self._choose(SEARCHED)

    def rows(self, stages: Sequence[str] = SEARCHED) -> list[TrialRow]:
        """This search's tries in the log, those with the fixed hyper-parameters; the newest of each."""
        fixed = complete(self.recommender, self.fixed)
        wanted = {name: fixed[name] for name in self.fixed}
        newest = {
            (row.key, row.stage == "fine"): row
            for row in read_trials(self.folder)
            if row.model == self.recommender
            and row.data_version == self.data_version
            and (row.protocol == self.protocol)
            and row.stage in stages
            and all(row.parameters.get(name) == value for name, value in wanted.items())
        }
        return list(newest.values())

    def tests_before(self) -> list[TrialRow]:
        """The times the test part was read for this recommender and data, whatever was chosen."""
        return [
            row
            for row in read_trials(self.folder)
            if (row.model, row.data_version, row.stage) == (self.recommender, self.data_version, VALIDATED)
        ]

    def command(self, stage: str) -> str:
        """What to type for a stage."""
        return f"recsys tune {self.recommender} --stage {stage}"

    def _choose(self, stages: Sequence[str]) -> Choice:
        choice = choose(self.rows(stages), self.seeds)
        if choice is None:
            raise ConfigError(
                f"Nothing was tried of {self.recommender} on data version {self.data_version} in the stage "
                f"coarse{self._elsewhere()}; run {self.command('coarse')} on the same data first."
            )
        return choice

    def _elsewhere(self) -> str:
        """What the log holds instead, where that explains it."""
        rows = [r for r in read_trials(self.folder) if r.model == self.recommender and r.stage in SEARCHED]
        same_data = {row.protocol for row in rows if row.data_version == self.data_version}
        if same_data and self.protocol not in same_data:
            return f" by this protocol ({self.protocol}), only by: {'; '.join(sorted(same_data))}"
        if same_data:
            return " to its end"
        versions = sorted({row.data_version for row in rows})
        return f" (the log has tries on {', '.join(versions)})" if versions else ""

    def _jobs_of(self, combinations: Iterable[Mapping[str, object]]) -> tuple[list[Job], list[TrialRow]]:
        """A job a combination, and a failed row for each that its configuration refuses."""
        jobs: list[Job] = []
        refused: list[TrialRow] = []
        for parameters in combinations:
            try:
                jobs.append(Job(complete(self.recommender, parameters), self.seeds[0]))
            except ConfigError as error:
                refused.append(self._refused(parameters, str(error), "coarse"))
        return jobs, refused

    def _refused(self, parameters: Mapping[str, object], error: str, stage: str) -> TrialRow:
        return self._row_of(Job(parameters, self.seeds[0]), stage, Ended(error=error))

    def _row_of(
        self, job: Job, stage: str, ended: Ended | None = None, looks: Iterable[tuple[int, float]] = ()
    ) -> TrialRow:
        ended = ended or Ended()
        measured = ended.measured
        is_worth_another = ended.is_dead or ended.lacks_memory
        status = DONE if measured else PRUNED if ended.is_pruned else DIED if is_worth_another else FAILED
        return TrialRow(
            model=self.recommender,
            stage=stage,
            status=status,
            seed=job.seed,
            data_version=self.data_version,
            parameters=job.parameters,
            protocol=self.protocol,
            recall=measured.recall if measured else None,
            ndcg=measured.ndcg if measured else None,
            seconds=measured.seconds if measured else 0.0,
            best_epoch=measured.best_epoch if measured else None,
            error=ended.error,
            curve=measured.curve if measured else tuple(looks),
        )

    def _known(self) -> set[tuple[str, str, str, int, str]]:
        """Tries not to be made again; one that lacked memory, or was stopped early, says too little."""
        return {row.key for row in self.rows() if row.status in (DONE, FAILED)}

    def _confirm(self, run: _Run) -> None:
        """Try the best of each size with the other seeds, until no other try can be the best of its size."""
        known = self._known()
        new = [
            job
            for row in finalists(self.rows(), self.seeds[0])
            for job in (Job(row.parameters, seed) for seed in self.seeds[1:])
            if self._row_of(job, run.stage).key not in known
        ]
        run.total += len(new)
        run.make(new)
        run.end()

    def _check_any_done(self, stage: str, rows: Sequence[TrialRow]) -> None:
        if any(row.status in (DONE, PRUNED) for row in rows):
            return
        first = next((row.error for row in rows if row.error), "no try was made")
        raise DataError(
            f"All {len(rows)} tries of {self.recommender} in the stage {stage} failed, the first so: {first}"
        )

    def _result(self, stage: str, n_new: int, n_known: int) -> SearchResult:
        return SearchResult(stage, tuple(self.rows()), self.choice(), n_new, n_known)


class _Run:
    """The tries of one stage: makes them, writes a row each, tells how far it is."""

    def __init__(self, study: Study, stage: str, total: int) -> None:
        self._study, self.stage, self.total = study, stage, total
        self.n_made = self._n_begun = 0
        self._fraction = 0.0
        self._compared: list[TrialRow] = []  # a try is told by the parameters in which these differ
        self._looks: dict[str, list[tuple[int, float]]] = {}

    def make(
        self,
        jobs: Iterable[Job],
        *,
        kinds: Sequence[Mapping[str, object]] | None = None,
        on_look: Callable[[Job, int, float], bool] = lambda job, step, figure: True,
        on_row: Callable[[Job, TrialRow], None] = lambda job, row: None,
    ) -> None:
        """Make them all, side by side as far as cores and memory allow.

        `kinds` are the parameters that memory is reckoned by; by default those of the jobs, a list then.
        """
        study = self._study
        if kinds is None:
            jobs = list(jobs)
            kinds = [job.parameters for job in jobs]
        if not kinds:
            return
        check_writable(study.folder)
        self._compared = [*study.rows(), *(self._row(Job(kind, study.seeds[0])) for kind in kinds)]
        coming = iter(jobs)

        def next_job() -> Job | None:
            job = next(coming, None)
            if job is not None:
                self._tell(job)
            return job

        def look(job: Job, step: int, figure: float) -> bool:
            self._looks.setdefault(as_text(job.parameters), []).append((step, figure))
            return on_look(job, step, figure)

        def end(job: Job, ended: Ended) -> None:
            row = study._row_of(job, self.stage, ended, self._looks.pop(as_text(job.parameters), ()))
            append_trial(study.folder, row)
            self.n_made += 1
            if row.status in (FAILED, DIED):
                logger.warning("try failed %s: %s", self._shown(job), row.error)
            on_row(job, row)

        n_jobs = allowed_jobs(
            study.jobs,
            cores=len(os.sched_getaffinity(0)),
            needed=[estimate_try_bytes(study.recommender, study.validation, kind) for kind in kinds],
            free=free_bytes(),
        )
        try:
            run_jobs(study.recommender, study.validation, next_job, n_jobs=n_jobs, on_look=look, on_end=end)
        except KeyboardInterrupt as stop:
            log = study.folder / TRIALS_FILE
            stop.add_note(f"Tries of this run in {log}: {self.n_made}; the same command goes on there.")
            raise

    def _tell(self, job: Job) -> None:
        self._n_begun += 1
        self._compared.append(self._row(job))
        stage = f"{self.stage}: try {min(self._n_begun, self.total)} of {self.total}, {self._shown(job)}"
        self._report(stage, self.n_made / max(self.total, 1))

    def end(self) -> None:
        """Tell that it is done."""
        self._report(f"{self.stage}: done", 1.0)

    def _report(self, stage: str, fraction: float) -> None:
        """Never less than before, though the tries with other seeds come on top of the total."""
        self._fraction = max(self._fraction, fraction)
        self._study.progress(ProgressReport(stage, self._fraction))

    def _row(self, job: Job) -> TrialRow:
        return self._study._row_of(job, self.stage)

    def _shown(self, job: Job) -> str:
        told = describe(job.parameters, varied(self._compared))
        return f"{told} seed={job.seed}".lstrip()
