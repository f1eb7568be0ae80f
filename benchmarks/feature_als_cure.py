"""Why the factors of an explicit ALS with features explode, and what stops it, on MovieLens 100K.

python benchmarks/feature_als_cure.py FOLDER --output FOLDER

The first FOLDER holds u.data, ml-100k.user and ml-100k.item; the second gets the picture.

One model, written as one might write it first, learns the first of five folds (seed 42), 80,000 ratings:

    r_ui ~ mu + b_u + b_i + x_u . y_i + f_u . a_i + c_u . g_i

x and y are factors, f and g the features, a_i and c_u what an item makes of a user's features and the
reverse. Users are solved for (x_u, c_u), then items for (y_i, a_i), exactly; then the biases take up the
mean errors. Its faults are cured one after the other:

- naive: ids, zip codes and years stand among the features as they are; a solve knows nothing of the
  features of its own side, which the prediction adds all the same; the regularization is one number
  for all; the biases are set apart from the solves, both from the same errors.
- typed: features are columns by kind (`FeatureColumns`): no ids, numbers standardised.
- in the loss: what the features of its own side say is taken from the points before a solve.
- by counts: the regularization counts once a rating.
- clamped: vectors are cut to a length of 1 after the solve, as one does when they are still long.

`feature_als` then, by its configured values but as many factors: its biases are in the solve. A table
of iterations: the loss each reports, the error it really makes, the largest condition number among the
systems of users and of items with that row's id, the longest vector, the largest bias, held-out RMSE.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small systems: threads only get in each other's way

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from feature_als_ml100k import N_FOLDS, N_ITEMS, N_USERS, RANGE, load_folder, read_table
from machine import describe_machine

from recsys.datasets.rating_splits import k_folds
from recsys.datasets.ratings import Ratings
from recsys.features.feature_columns import FeatureColumns
from recsys.metrics.rating import rmse
from recsys.recommenders.feature_als import FeatureALSConfig
from recsys.recommenders.feature_als_solver import build_sides
from recsys.recommenders.feature_als_training import ITEMS, USERS, Alternation, HalfStep

Array = np.ndarray[Any, Any]

FACTORS, ITERATIONS, SEED = 20, 12, 42
REGULARIZATION = 0.1  # the naive solve's, whether for all or for each rating
SHOWN = (1, 2, 3, 6, 12)
PICTURE = "feature_als_condition.png"
COLOURS = ("#b3202c", "#d1751f", "#c2a11c", "#3a8f5c", "#7a5ba8", "#1b6ca8")

LABELS_UP = (2, 2, 2, 3, -9, -9)  # points above the last dot, so that names do not cover each other


@dataclass(frozen=True)
class Cures:
    """Which faults of the naive way are cured."""

    typed: bool = False
    in_the_loss: bool = False
    by_counts: bool = False
    longest: float | None = None


STAGES = {
    "naive": Cures(),
    "typed": Cures(typed=True),
    "in the loss": Cures(typed=True, in_the_loss=True),
    "by counts": Cures(typed=True, in_the_loss=True, by_counts=True),
    "clamped": Cures(typed=True, in_the_loss=True, by_counts=True, longest=1.0),
}


@dataclass(frozen=True)
class Row:
    """After one iteration. `worst`: condition number and index of the worst user and item; `longest`:
    length, side, index of the longest vector; `reported`: the loss the way believes in."""

    reported: float
    error: float
    worst: tuple[tuple[float, int], tuple[float, int]]
    longest: tuple[float, str, int]
    bias: float
    held_out: float


def main() -> int:
    """Run every stage, print the table, draw the picture."""
    options = _parse_options()
    data = load_folder(options.folder)
    train, test = next(k_folds(data.ratings, N_FOLDS, SEED))
    tables = (data.user_features, data.item_features)
    typed = [FeatureColumns.fit(t, owner=o).encode(t) for t, o in zip(tables, ("user", "item"), strict=True)]
    raw = _raw_features(options.folder)
    print(
        "| way | iteration | loss reported | RMSE | worst user | worst item | longest vector | largest bias "
        "| held-out RMSE |"
    )
    print("| --- " * 9 + "|")
    counts = {"user": np.bincount(train.user_index), "item": np.bincount(train.item_index)}
    curves: dict[str, list[Row]] = {}
    for name, cures in STAGES.items():
        naive = Naive(train, *(typed if cures.typed else raw), cures)
        curves[name] = _follow(name, naive.iterate(test), counts)
    curves["feature_als"] = _follow("feature_als", ours(train, test, *typed), counts)
    if options.output:
        _draw(curves, options.output / PICTURE)
    print(f"protocol: fold 1 of {N_FOLDS}, seed {SEED}; {FACTORS} factors, regularization {REGULARIZATION:g}")
    print(describe_machine("numpy", "scipy"))
    return 0


class Naive:
    """The model above in float32, with the cures asked for."""

    def __init__(self, train: Ratings, user_features: Array, item_features: Array, cures: Cures) -> None:
        self._cures, self._train = cures, train
        self._mean = float(train.points.mean(dtype=np.float64))
        self._points = (train.points - self._mean).astype(np.float32)
        self.features = [user_features.astype(np.float32), item_features.astype(np.float32)]
        rng = np.random.default_rng(SEED)
        self.factors = [rng.normal(0, 0.1, (n, FACTORS)).astype(np.float32) for n in (N_USERS, N_ITEMS)]
        # What users make of item features, items of user features.
        self.tastes = [
            np.zeros((n, f.shape[1]), np.float32)
            for n, f in zip((N_USERS, N_ITEMS), self.features[::-1], strict=True)
        ]
        self.biases = [np.zeros(n, np.float32) for n in (N_USERS, N_ITEMS)]
        self._index = (train.user_index, train.item_index)
        self._rows = [_rows_of(index, n) for index, n in zip(self._index, (N_USERS, N_ITEMS), strict=True)]

    def iterate(self, test: Ratings) -> Iterator[Row]:
        """One iteration after the other; LinAlgError when a solve is singular."""
        while True:
            worst = (self._solve(0), self._solve(1))
            errors = self._points - self._parts(*self._index).sum(axis=0)
            for side, index in enumerate(self._index):  # both from the same errors
                counts = np.maximum(np.bincount(index, minlength=len(self.biases[side])), 1)
                means = np.bincount(index, errors, len(self.biases[side])) / counts
                self.biases[side] = self.biases[side] + means.astype(np.float32)
            parts = self._parts(*self._index).astype(np.float64)
            predicted = self._mean + self._parts(test.user_index, test.item_index).sum(axis=0)
            vectors = [np.hstack(both) for both in zip(self.factors, self.tastes, strict=True)]
            yield Row(
                reported=self._reported(parts, vectors),
                error=float(np.sqrt(np.mean((self._points - parts.sum(axis=0)) ** 2))),
                worst=worst,
                longest=_longest(vectors),
                bias=float(max(np.abs(bias).max() for bias in self.biases)),
                held_out=rmse(np.clip(predicted, *RANGE).astype(np.float32), test.points),
            )

    def _solve(self, side: int) -> tuple[float, int]:
        """Every row of one side; the largest condition number and its row."""
        cures, other = self._cures, 1 - side
        parts = self._parts(*self._index)
        targets = self._points - parts[0] - parts[1]
        if cures.in_the_loss:
            targets = targets - parts[3 if side == 0 else 4]
        design = np.hstack((self.factors[other], self.features[other]))
        solved, worst = np.zeros((len(self.biases[side]), design.shape[1]), np.float32), (0.0, -1)
        for row, places in enumerate(self._rows[side]):
            if len(places) == 0:
                continue
            seen = design[self._index[other][places]]
            strength = REGULARIZATION * (len(places) if cures.by_counts else 1)
            system = seen.T @ seen + strength * np.eye(seen.shape[1], dtype=np.float32)
            condition = float(np.linalg.cond(system.astype(np.float64)))
            worst = max(worst, (condition, row))
            solved[row] = np.linalg.solve(system, seen.T @ targets[places])
        if cures.longest is not None:
            lengths = np.linalg.norm(solved, axis=1, keepdims=True)
            solved *= np.minimum(1, cures.longest / np.maximum(lengths, 1e-12))
        self.factors[side], self.tastes[side] = solved[:, :FACTORS], solved[:, FACTORS:]
        return worst

    def _parts(self, users: Array, items: Array) -> Array:
        """(5, n): both biases, factors, what items make of user features, users of item features."""
        (x, y), (c, a), (f, g) = self.factors, self.tastes, self.features
        products = [np.einsum("nd,nd->n", p[users], q[items]) for p, q in ((x, y), (f, a), (c, g))]
        return np.stack((self.biases[0][users], self.biases[1][items], *products))

    def _reported(self, parts: Array, vectors: list[Array]) -> float:
        """Squared errors, of the prediction without its features until they are in the loss; penalties."""
        counted = parts if self._cures.in_the_loss else parts[:3]
        total = float(np.sum((self._points - counted.sum(axis=0)) ** 2))
        for rows, side in zip(self._rows, vectors, strict=True):
            weights = np.array([len(r) for r in rows]) if self._cures.by_counts else np.ones(len(rows))
            total += REGULARIZATION * float(weights @ np.square(side, dtype=np.float64).sum(axis=1))
        return total


def ours(train: Ratings, test: Ratings, user_features: Array, item_features: Array) -> Iterator[Row]:
    """The iterations of feature_als by its configured values."""
    config = FeatureALSConfig.default(factors=FACTORS, iterations=ITERATIONS)
    mean = float(train.points.mean(dtype=np.float64))
    state = Alternation(*build_sides(train, N_USERS, N_ITEMS, mean), user_features, item_features, config)
    last: dict[str, HalfStep] = {}
    rows: list[Row] = []

    def note(step: HalfStep) -> None:
        last[step.step] = step
        if step.step == ITEMS:
            users, items = state.users.vectors, state.items.vectors
            u, i = users[test.user_index], items[test.item_index]
            predicted = mean + np.einsum("nd,nd->n", u[:, :-1], i[:, :-1]) + u[:, -1] + i[:, -1]
            rows.append(
                Row(
                    step.objective, step.rmse,
                    tuple((last[side].condition, last[side].worst) for side in (USERS, ITEMS)),
                    _longest([users, items]), float(max(np.abs(v[:, -1]).max() for v in (users, items))),
                    rmse(np.clip(predicted, *RANGE).astype(np.float32), test.points),
                )
            )  # fmt: skip

    state.run(note)
    yield from rows


def _follow(name: str, iterations: Iterator[Row], counts: dict[str, Array]) -> list[Row]:
    """Run a stage and print the iterations shown; ids of MovieLens count from 1."""
    rows: list[Row] = []
    try:
        for number, row in enumerate(islice(iterations, ITERATIONS), start=1):
            rows.append(row)
            if number not in SHOWN:
                continue
            worst = [
                f"{c:.3g} ({side} {i + 1})" for (c, i), side in zip(row.worst, ("user", "item"), strict=True)
            ]
            length, side, index = row.longest
            whose = f"{side} {index + 1}, ratings {counts[side][index]}"
            print(
                f"| {name} | {number} | {row.reported:,.0f} | {row.error:.3f} | {' | '.join(worst)} "
                f"| {length:.3g} ({whose}) | {row.bias:.3g} | {row.held_out:.4f} |",
                flush=True,
            )
    except np.linalg.LinAlgError as error:
        print(f"| {name} | {len(rows) + 1} | a solve failed: {error} |" + " |" * 6, flush=True)
    return rows


def _raw_features(folder: Path) -> list[Array]:
    """Everything there is as it stands: ids, age, zip code (0 with letters), year, 0/1 columns."""
    users = read_table(folder / "ml-100k.user", N_USERS)
    items = read_table(folder / "ml-100k.item", N_ITEMS)
    genres = [(cell or "").split() for cell in items["class"].to_pylist()]
    return [
        np.hstack(
            [_numbers(users, ("user_id", "age", "zip_code"))]
            + [_indicators([[cell] for cell in users[name].to_pylist()]) for name in ("gender", "occupation")]
        ),
        np.hstack([_numbers(items, ("item_id", "release_year")), _indicators(genres)]),
    ]


def _numbers(table: Any, names: tuple[str, ...]) -> Array:
    columns = [
        [float(cell) if cell and cell.isdigit() else 0.0 for cell in table[n].to_pylist()] for n in names
    ]
    return np.array(columns).T


def _indicators(rows: list[list[str]]) -> Array:
    values = sorted({value for row in rows for value in row})
    return np.array([[value in row for value in values] for row in rows], float)


def _rows_of(index: Array, n_rows: int) -> list[Array]:
    order = np.argsort(index, kind="stable")
    return np.split(order, np.cumsum(np.bincount(index, minlength=n_rows))[:-1])


def _longest(vectors: list[Array]) -> tuple[float, str, int]:
    lengths = [np.linalg.norm(side, axis=1) for side in vectors]
    return max(
        (float(n.max()), side, int(n.argmax())) for n, side in zip(lengths, ("user", "item"), strict=True)
    )


def _draw(curves: dict[str, list[Row]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 3.9), layout="constrained")
    panels: tuple[tuple[str, Callable[[Row], float], Callable[[Row], str]], ...] = (
        ("Condition number, worst user", lambda r: r.worst[0][0], lambda r: f"user {r.worst[0][1] + 1}"),
        ("Condition number, worst item", lambda r: r.worst[1][0], lambda r: f"item {r.worst[1][1] + 1}"),
        ("Longest vector", lambda r: r.longest[0], lambda r: f"{r.longest[1]} {r.longest[2] + 1}"),
    )
    for axes, (title, value, label) in zip(figure.subplots(1, 3), panels, strict=True):
        for (name, rows), colour, up in zip(curves.items(), COLOURS, LABELS_UP, strict=True):
            iterations, last = range(1, len(rows) + 1), (len(rows), value(rows[-1]))
            axes.plot(iterations, [value(r) for r in rows], label=name, color=colour, marker=".")
            axes.annotate(
                label(rows[-1]), last, (4, up), textcoords="offset points", fontsize=7, color=colour
            )
        axes.set(title=title, xlabel="iteration", yscale="log", xlim=(0.5, ITERATIONS + 3.2))
        axes.set_xticks(range(2, ITERATIONS + 1, 2))
        axes.grid(axis="y", alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=f"where {PICTURE} is to go")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
