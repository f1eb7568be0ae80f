"""The experiment log of mf: eight steps from a plain model to a tuned one, as a table and three pictures.

python benchmarks/mf_experiments.py --output FOLDER
python benchmarks/mf_experiments.py --output FOLDER --data RATINGS   # of `recsys import --zeros keep`
python benchmarks/mf_experiments.py --output FOLDER --scale          # four steps on 25 million ratings

Without --data a set is generated whose truth is known: points from 1 to 10, three fifths of the rows 0
for "no rating given"; with --scale the set of mf_scale.py. FOLDER gets experiments.md, experiments.jsonl (a
line a step) and the pictures. Every step learns from the same 80 % (90 % with --scale) and is measured on
the rest; nothing is tested. Ends with 1 when an epoch took more than 150 s or the process more than 6 GB.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import resource
from dataclasses import dataclass
from pathlib import Path

from machine import describe_machine
from mf_scale import MOST_GB, MOST_SECONDS, N_ITEMS, N_RATINGS, N_USERS, RANK, SEED

from recsys.datasets.ratings import Ratings, load_ratings
from recsys.experiments.log import append_experiment
from recsys.progress import show_progress
from recsys.recommenders.mf import Pairs
from recsys.training.mf_experiments import (
    HIGH_POINT,
    LOW_POINT,
    TUNING_STEPS,
    Result,
    Step,
    generate_with_zeros,
    plot_curve,
    plot_steps,
    run_steps,
    scale_steps,
)
from recsys.training.mf_scale import HIGH, LOW, generate_world
from recsys.training.rating_log import to_markdown

SAMPLE = 1_000_000


def main() -> int:
    """Run the steps, write the log and the pictures, print the table; exit code 1 when it costs too much."""
    options = _parse_options()
    run = _at_scale(options.size) if options.scale else _tuning(options.data)

    def tell(result: Result) -> None:
        append_experiment(options.output, result.record())

    with show_progress() as progress:
        results = run_steps(
            *(run.ratings, run.shape, run.steps),
            points_range=run.points_range,
            held_back=run.held_back,
            progress=progress,
            told=tell,
        )
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for step, result in zip(run.steps, results, strict=True):
        if step.shown:
            title = f"Step {result.number}: {result.change.partition(':')[0]}"
            picture = options.output / f"mf_step_{result.number}.png"
            plot_curve(result.curve, result.best_epoch, title, picture)
    if options.scale:
        title = "Validation loss (solid) and train loss (dashed)"
        plot_steps(results, title, options.output / "mf_scale_steps.png")
    text = f"{run.about}\n\n{to_markdown(results)}"
    (options.output / "experiments.md").write_text(text, encoding="utf-8")
    print(text)
    for result in results:
        print(f"step {result.number}: {result.seconds:.0f} s, longest epoch {result.longest_epoch_s:.1f} s")
    longest = max(result.longest_epoch_s for result in results)
    is_held = longest <= MOST_SECONDS and gigabytes <= MOST_GB
    print(
        f"all {sum(result.seconds for result in results):.0f} s, longest epoch {longest:.1f} s, peak "
        f"{gigabytes:.2f} GB; limits {MOST_SECONDS:.0f} s an epoch, {MOST_GB:.0f} GB: "
        f"{'held' if is_held else 'NOT held'}"
    )
    print(describe_machine("numpy", "numba", "torch"))
    return 0 if is_held else 1


@dataclass(frozen=True)
class Run:
    """Steps and the ratings they are run on."""

    steps: tuple[Step, ...]
    ratings: Ratings
    shape: tuple[int, int]
    points_range: tuple[float, float]
    held_back: float
    about: str


def _tuning(folder: Path | None) -> Run:
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
    size = f"{len(ratings):,} rows, {share:.0%} of them 0, {shape[0]:,} users x {shape[1]:,} items"
    return Run(TUNING_STEPS, ratings, shape, points_range, 0.2, f"{size}{about}.")


def _at_scale(size: float) -> Run:
    shape, n_ratings = (round(N_USERS * size), round(N_ITEMS * size)), round(N_RATINGS * size)
    world = generate_world(n_users=shape[0], n_items=shape[1], n_ratings=n_ratings, rank=RANK, seed=SEED)
    ratings = world.ratings
    pairs = Pairs(ratings.user_index, ratings.item_index, ratings.points)
    about = (
        f"{n_ratings:,} ratings, {shape[0]:,} users x {shape[1]:,} items, {RANK} factors; "
        f"the truth itself has a loss of {world.truth.mean_squared_error(pairs):.4f}."
    )
    return Run(scale_steps(round(SAMPLE * size)), ratings, shape, (LOW, HIGH), 0.1, about)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--data", type=Path)
    what.add_argument("--scale", action="store_true")
    parser.add_argument("--size", type=float, default=1.0, help="share of that set, with --scale")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
