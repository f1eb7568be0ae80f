"""The experiment log of mf: eight steps from a plain model to a tuned one, as a table and three pictures.

python benchmarks/mf_experiments.py --output FOLDER
python benchmarks/mf_experiments.py --output FOLDER --data RATINGS   # of `recsys import --zeros keep`

Without --data a set is generated whose truth is known: points from 1 to 10, three fifths of the rows 0
for "no rating given". FOLDER gets experiments.md, experiments.jsonl (a line a step) and the pictures.
Every step learns from the same 80 % and is measured on the other 20 %; nothing is tested.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
from pathlib import Path

from machine import describe_machine

from recsys.datasets.ratings import Ratings, load_ratings
from recsys.experiments.log import append_experiment
from recsys.progress import show_progress
from recsys.training.mf_experiments import (
    HIGH_POINT,
    LOW_POINT,
    TUNING_STEPS,
    Result,
    generate_with_zeros,
    plot_curve,
    run_steps,
    to_markdown,
)


def main() -> int:
    """Run the steps, write the log and the pictures, print the table."""
    options = _parse_options()
    ratings, shape, points_range, about = _data(options.data)

    def tell(result: Result) -> None:
        append_experiment(options.output, result.record())

    with show_progress() as progress:
        results = run_steps(
            ratings, shape, TUNING_STEPS, points_range=points_range, progress=progress, told=tell
        )
    for step, result in zip(TUNING_STEPS, results, strict=True):
        if step.shown:
            title = f"Step {result.number}: {result.change.partition(':')[0]}"
            picture = options.output / f"mf_step_{result.number}.png"
            plot_curve(result.curve, result.best_epoch, title, picture)
    text = f"{about}\n\n{to_markdown(results)}"
    (options.output / "experiments.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"{sum(result.seconds for result in results):.0f} s. {describe_machine('numpy', 'torch')}")
    return 0


def _data(folder: Path | None) -> tuple[Ratings, tuple[int, int], tuple[float, float], str]:
    if folder is None:
        ratings, least = generate_with_zeros()
        shape = (int(ratings.user_index.max()) + 1, int(ratings.item_index.max()) + 1)
        points_range = (LOW_POINT, HIGH_POINT)
        about = f"; the truth itself has a loss of {least:.4f} on the points above 0"
    else:
        dataset = load_ratings(folder)
        ratings, shape = dataset.ratings, (len(dataset.user_mapping), len(dataset.item_mapping))
        given = ratings.points[ratings.points != 0]
        points_range = (float(given.min()), float(given.max()))
        about = f" of {folder.name}"
    share = (ratings.points == 0).mean()
    return (
        *(ratings, shape, points_range),
        f"{len(ratings):,} rows, {share:.0%} of them 0, {shape[0]:,} users x {shape[1]:,} items{about}.",
    )


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
