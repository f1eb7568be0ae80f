"""The trainers' command lines: flags derived from the configuration, figures on stdout, logs on stderr."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from recsys.config import SectionConfig, read_section
from recsys.datasets.user_items import MATRIX_FILE, load_dataset
from recsys.errors import RecsysError
from recsys.evaluation.evaluate import Evaluation
from recsys.paths import data_dir, logs_dir, models_dir
from recsys.progress import TerminalProgress
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.pipeline import TrainingPlan, TrainingResult, train_and_publish
from recsys.training.run_log import run_log

ALWAYS_TRAINED = ("popularity", "content")
GOOD_PRECISION, GOOD_MAP, POOR_PRECISION, FEW_INTERACTIONS = 0.15, 0.10, 0.10, 1_000


def run_training(name: str, description: str, argv: Sequence[str] | None = None) -> int:
    """`train_<name>.py`: train one recommender with popularity and content, publish, print its figures."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_flags(parser)
    add_config_flags(parser, RECOMMENDERS[name][1])
    options = parser.parse_args(argv)
    fields = [field.name for field in dataclasses.fields(RECOMMENDERS[name][1])]
    overrides = {name: {f: getattr(options, f) for f in fields if getattr(options, f) is not None}}
    names = (*ALWAYS_TRAINED, name)
    return exit_code(lambda: train_from_options(options, names, overrides, kind=name))


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """--data, --models-dir, --test-split."""
    default = read_section(TrainingPlan.section)["test_split"]
    parser.add_argument(
        "--data",
        type=Path,
        default=data_dir() / MATRIX_FILE,
        help="the exported matrix, or its folder; the two mappings must lie beside it (default: %(default)s)",
    )
    parser.add_argument("--models-dir", type=Path, default=models_dir(), help="default: %(default)s")
    parser.add_argument(
        "--test-split",
        type=float,
        default=default,
        help="share of the acts, the latest, kept aside to measure on; 0: none (default: %(default)s)",
    )


def add_config_flags(parser: argparse.ArgumentParser, config: type[SectionConfig]) -> None:
    """A flag for every hyper-parameter, with the default of the configuration file."""
    defaults, hints = read_section(config.section), get_type_hints(config)
    for field in dataclasses.fields(config):
        flag = "--" + field.name.replace("_", "-")
        kind = hints[field.name]
        parser.add_argument(flag, type=kind, default=None, help=f"default: {defaults[field.name]}")


def train_from_options(
    options: argparse.Namespace,
    recommenders: Sequence[str],
    overrides: Mapping[str, Mapping[str, object]],
    *,
    kind: str,
) -> None:
    """Load, train, publish and print."""
    plan = TrainingPlan.default(
        recommenders=tuple(recommenders), overrides=overrides, test_split=options.test_split
    )
    with run_log(logs_dir(), kind) as log_file:
        dataset = load_dataset(options.data)
        progress = TerminalProgress()
        try:
            result = train_and_publish(
                dataset, options.models_dir, plan, logs_dir=logs_dir(), progress=progress
            )
        finally:
            progress.close()
    print_result(result, n_interactions=int(dataset.user_items.nnz), judged=kind, k=plan.k)
    sys.stdout.write(
        f"\nPublished release {result.version} to {options.models_dir} in {result.seconds:.1f} s.\n"
    )
    sys.stdout.write(f"Log: {log_file}\n")


def print_result(result: TrainingResult, *, n_interactions: int, judged: str, k: int) -> None:
    """The figures beside the baseline's, the guide's verdict on them, and the warnings."""
    if result.evaluations:
        sys.stdout.write(format_figures(result.evaluations, judged, k))
    if judged in result.evaluations and k == 10:
        sys.stdout.write(f"\n{judge(answered_means(result.evaluations, judged)[judged], n_interactions)}\n")
    for warning in result.warnings:
        sys.stdout.write(f"Warning: {warning}\n")


def answered_means(evaluations: Mapping[str, Evaluation], judged: str) -> dict[str, dict[str, float]]:
    """Each recommender's means over the same users: those `judged` can answer, or all of them.

    A user with no act before the cut is never given to als; counting them would measure how many
    newcomers there are.
    """
    answered = evaluations[judged].answered if judged in evaluations else slice(None)
    return {
        name: {metric: float(values[answered].mean()) for metric, values in evaluation.per_user.items()}
        for name, evaluation in evaluations.items()
    }


def format_figures(evaluations: Mapping[str, Evaluation], judged: str, k: int) -> str:
    """Figures at k of each recommender, NDCG by tier too, and the protocol they were measured by."""
    first = next(iter(evaluations.values()))
    whose = f"{judged} can answer" if judged in evaluations else "with a held-back act"
    n_users = evaluations[judged].n_answered if judged in evaluations else first.n_users
    header = f"{'':<12}{f'Precision@{k}':>13}{f'MAP@{k}':>9}{f'NDCG@{k}':>9}   "
    means = answered_means(evaluations, judged)
    return "\n".join(
        [
            "",
            f"Over the {n_users:,} users {whose}; then NDCG@{k} by acts before the cut, over all",
            header + "".join(f"{tier:>9}" for tier in first.by_tier),
            *(_format_row(name, means[name], evaluation, k) for name, evaluation in evaluations.items()),
            f"{'users':<43}   " + "".join(f"{figures.n_users:>9,}" for figures in first.by_tier.values()),
            f"Protocol: {first.protocol}",
            "",
        ]
    )


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


def exit_code(job: Callable[[], Any]) -> int:
    """Run a job; 0 when done, 1 with one line on stderr for an error of ours."""
    to_stderr = logging.StreamHandler()
    to_stderr.setLevel(logging.WARNING)  # the run's log file takes INFO
    logging.basicConfig(handlers=[to_stderr], format="%(levelname)s %(name)s %(message)s")
    try:
        job()
    except RecsysError as error:
        logging.getLogger(__name__).info("failed: %s", error)
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; what was served before is still served.\n")
        return 130
    return 0
