"""The last stage of a search: fit the choice on all but the test part, and read that once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recsys.datasets.splits import Split
from recsys.errors import ConfigError
from recsys.evaluation.bootstrap import Interval
from recsys.evaluation.evaluate import Evaluation, evaluate
from recsys.experiments.trials import DONE, TrialRow, append_trial, check_writable, varied
from recsys.experiments.tuned import TUNED_FILE, save_tuned
from recsys.recommenders.table import BASELINE, make_recommender
from recsys.training.figures import format_figures
from recsys.training.memory import check_fit
from recsys.training.tuning.choice import Choice
from recsys.training.tuning.measure import K
from recsys.training.tuning.study import VALIDATED, Study
from recsys.types import ProgressReport

NDCG, RECALL = f"ndcg@{K}", f"recall@{K}"


@dataclass(frozen=True)
class Validated:
    """`test` and `baseline` over the same users; `read_before`: how often the test part was, before."""

    choice: Choice
    parameters: dict[str, Any]
    test: Evaluation
    baseline: Evaluation
    read_before: int
    lift: Interval | None
    shown: list[str]
    saved_to: str

    def report(self) -> str:
        """As text."""
        own, popular = self.test.metrics, self.baseline.metrics
        lines = [f"chosen on validation: {self.choice.describe(self.shown)}"]
        evaluations = {BASELINE: self.baseline, self.test.recommender: self.test}
        lines.append(format_figures(evaluations, self.test.recommender, K))
        lines += [
            f"test: {name} {own[name]['mean']:.4f} (95 % from {own[name]['low']:.4f} to "
            f"{own[name]['high']:.4f}), popularity {popular[name]['mean']:.4f}"
            for name in (NDCG, RECALL)
        ]
        if self.lift is not None:
            lines.append(
                f"{NDCG} above popularity: {self.lift['mean']:+.1%} (95 % paired, {self.lift['low']:+.1%} to "
                f"{self.lift['high']:+.1%})"
            )
        if self.read_before:
            lines.append(
                f"The test part was read {self.read_before} time(s) before: what was chosen after a look at "
                "it is no longer an honest figure."
            )
        return "\n".join((*lines, f"saved to {self.saved_to}; recsys train --tuned takes it from there"))


def validate(study: Study, load_test: Callable[[], Split], *, again: bool = False) -> Validated:
    """Fit what the search has chosen on `test.train`, measure it on the test part, save it as tuned.

    Args:
        study: with its tries in the log.
        load_test: train and validation part together, and what no try has seen; called only when it
            is to be read.
        again: although it was read before.

    Raises:
        ConfigError: nothing was chosen yet, or the test part was read before.
        DataError: it does not fit into memory or cannot be fitted, or nobody has a held-back item.
    """
    choice = study.choice()
    before = study.tests_before()
    if before and not again:
        last = before[-1]
        raise ConfigError(
            f"The test part of data version {study.data_version} was read for {study.recommender} before, at "
            f"{last.at}: NDCG@10 {last.ndcg:.4f}, Recall@10 {last.recall:.4f}. A figure chosen after a look "
            "is no test; collect new data, or read it --again, which the result will say."
        )
    parameters = {**choice.chosen.parameters}
    if choice.chosen.best_epoch is not None:
        parameters["epochs"] = choice.chosen.best_epoch
    check_writable(study.folder)
    test = load_test()
    seed = study.seeds[0]
    study.progress(ProgressReport("validate: fitting the choice on train and validation part", 0.0))
    started = time.perf_counter()
    fitted = make_recommender(study.recommender, **parameters, seed=seed)
    check_fit(fitted, test.train)
    fitted.fit(test.train)
    study.progress(ProgressReport("validate: testing it, once", 0.7))
    tested = evaluate(fitted, test, k=K, seed=0)
    seconds = time.perf_counter() - started
    baseline = evaluate(make_recommender(BASELINE).fit(test.train), test, k=K, seed=0)
    append_trial(
        study.folder,
        TrialRow(
            model=study.recommender,
            stage=VALIDATED,
            status=DONE,
            seed=seed,
            data_version=study.data_version,
            parameters=parameters,
            protocol=tested.protocol,
            recall=tested.metrics[RECALL]["mean"],
            ndcg=tested.metrics[NDCG]["mean"],
            seconds=seconds,
        ),
    )
    save_tuned(
        study.folder,
        study.recommender,
        study.data_version,
        _entry(study, choice, parameters, tested, baseline, len(before)),
    )
    study.progress(ProgressReport("validate: done", 1.0))
    return Validated(
        choice,
        parameters,
        tested,
        baseline,
        len(before),
        tested.lift_over(baseline, NDCG) if baseline.metrics[NDCG]["mean"] > 0 else None,
        varied(study.rows()),
        str(study.folder / TUNED_FILE),
    )


def _entry(
    study: Study,
    choice: Choice,
    parameters: dict[str, Any],
    tested: Evaluation,
    baseline: Evaluation,
    read_before: int,
) -> dict[str, Any]:
    return {
        "parameters": parameters,
        "chosen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "chosen": choice.describe(varied(study.rows()) or [*parameters]),
        "validation": {
            "protocol": study.protocol,
            "seeds": list(study.seeds),
            NDCG: choice.chosen.ndcg,
            RECALL: choice.chosen.recall,
            f"best_{NDCG}": choice.best.ndcg,
        },
        "test": {
            "protocol": tested.protocol,
            "metrics": {name: dict(tested.metrics[name]) for name in (NDCG, RECALL)},
            "popularity": {name: dict(baseline.metrics[name]) for name in (NDCG, RECALL)},
            "read_before": read_before,
        },
    }
