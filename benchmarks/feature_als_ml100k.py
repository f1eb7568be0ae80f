"""RMSE of feature_als on MovieLens 100K over five folds, beside cmfrec with the same features.

python benchmarks/feature_als_ml100k.py FOLDER                  (u.data, ml-100k.user and ml-100k.item in it)
python benchmarks/feature_als_ml100k.py FOLDER --folds 1        (a first look)

Folds: `k_folds(ratings, 5, seed)` over all ratings. Within each fold's train part one fifth, the first
of `k_folds(train, 5, seed)`, chooses the parameters from a grid; the fold is then fitted on its whole
train part and its test part is read once. Both sides go through the same: the same parts, the same
encoded columns (age, gender, occupation; year, genres), a grid of their own. Predictions are clipped
to 1 to 5. cmfrec is asked for with the implicit features it can add (who rated what) and without.
It is no dependency: `pip install cmfrec threadpoolctl`; where it is absent the script says so.
Ends with 1 when feature_als is above 0.925, or above cmfrec of either kind.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small systems: threads only get in each other's way

import argparse
import importlib.util
import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from machine import describe_machine

from recsys.datasets.rating_splits import k_folds
from recsys.datasets.ratings import Ratings
from recsys.features.feature_columns import FeatureColumns
from recsys.metrics.rating import rmse
from recsys.recommenders.rating_base import RatingData
from recsys.recommenders.rating_table import make_rating_recommender
from recsys.types import Float32Array

N_USERS, N_ITEMS, RANGE = 943, 1_682, (1.0, 5.0)
N_FOLDS = 5
LIMIT = 0.925
OURS = "feature_als"
Parameters = Mapping[str, Any]
FitPredict = Callable[[RatingData, Ratings, Parameters], Float32Array]

OUR_GRID = {
    "factors": [40],
    "regularization": [0.12, 0.15, 0.18],
    "bias_regularization": [0.05, 0.1],
    "feature_regularization": [0.05, 0.1, 0.2],
    "iterations": [10, 20],
}
NO_FEATURES_GRID = {
    "factors": [40],
    "regularization": [0.1, 0.12, 0.15, 0.18],
    "bias_regularization": [0.05, 0.1],
    "iterations": [10, 20],
}
PEER_GRID = {"k": [20, 40], "lambda_": [0.08, 0.12, 0.18], "w_main": [0.3, 0.6, 1.0], "scale_lam": [True]}
PEER_UNSCALED_GRID = {
    "k": [40],
    "lambda_": [8.0, 12.0, 20.0],
    "w_main": [0.3, 0.6, 1.0],
    "scale_lam": [False],
}


def main() -> int:
    """Measure every side on every fold and print a row a side; exit code 1 on a miss."""
    options = _parse_options()
    data = load_folder(options.folder)
    sides: dict[str, tuple[FitPredict, list[dict[str, Any]]]] = {
        OURS: (fit_ours, _grid(OUR_GRID)),
        f"{OURS}, no features": (fit_ours_without, _grid(NO_FEATURES_GRID)),
    }
    if importlib.util.find_spec("cmfrec") and importlib.util.find_spec("threadpoolctl"):
        peer_grid = _grid(PEER_GRID) + _grid(PEER_UNSCALED_GRID)
        sides["cmfrec"] = (fit_peer, peer_grid)
        sides["cmfrec + implicit features"] = (
            fit_peer,
            [{**p, "add_implicit_features": True} for p in peer_grid],
        )
    else:
        print("cmfrec is not here: pip install cmfrec threadpoolctl to measure it too")
    print("| side | RMSE mean | deviation | folds | chosen | seconds a fit |")
    print("| --- " * 6 + "|")
    errors = {name: _measure(name, *side, data, options) for name, side in sides.items()}
    print(
        f"protocol: {min(options.folds, N_FOLDS)} of {N_FOLDS} folds, seed {options.seed}; parameters by the "
        "inner fifth of each train part"
    )
    libraries = ("numpy", "scipy", "cmfrec") if "cmfrec" in sides else ("numpy", "scipy")
    print(describe_machine(*libraries))
    peers = [error for name, error in errors.items() if not name.startswith(OURS)]
    is_held = errors[OURS] <= min([LIMIT, *peers])
    print(f"limit {LIMIT}, and cmfrec where it was measured: {'held' if is_held else 'NOT held'}")
    return 0 if is_held else 1


def _measure(
    name: str,
    fit_predict: FitPredict,
    grid: list[dict[str, Any]],
    data: RatingData,
    options: argparse.Namespace,
) -> float:
    """Print the row of a side; its mean RMSE over the folds."""
    errors, chosen, seconds = [], [], []
    folds = itertools.islice(k_folds(data.ratings, N_FOLDS, options.seed), options.folds)
    for train, test in folds:
        inner_train, inner_test = next(k_folds(train, N_FOLDS, options.seed))
        inner = [rmse(fit_predict(_with(data, inner_train), inner_test, p), inner_test.points) for p in grid]
        best = grid[int(np.argmin(inner))]
        started = time.perf_counter()
        errors.append(rmse(fit_predict(_with(data, train), test, best), test.points))
        seconds.append(time.perf_counter() - started)
        chosen.append("/".join(f"{value}" for value in best.values()))
    each = " ".join(f"{error:.4f}" for error in errors)
    print(
        f"| {name} | {np.mean(errors):.4f} | {np.std(errors):.4f} | {each} | {', '.join(chosen)} | "
        f"{np.median(seconds):.1f} |",
        flush=True,
    )
    return float(np.mean(errors))


def fit_ours(data: RatingData, test: Ratings, parameters: Parameters) -> Float32Array:
    """Predictions of feature_als for the test pairs."""
    recommender = make_rating_recommender("feature_als", **parameters).fit(data)
    return recommender.predict(test.user_index, test.item_index)


def fit_ours_without(data: RatingData, test: Ratings, parameters: Parameters) -> Float32Array:
    """The same without the tables of features."""
    return fit_ours(RatingData(data.ratings, N_USERS, N_ITEMS, RANGE), test, parameters)


def fit_peer(data: RatingData, test: Ratings, parameters: Parameters) -> Float32Array:
    """Predictions of cmfrec for the test pairs, from our encoding of the same features."""
    import cmfrec
    from scipy.sparse import coo_matrix

    ratings = data.ratings
    cells = (ratings.points.astype(np.float64), (ratings.user_index, ratings.item_index))
    model = cmfrec.CMF(**parameters, use_cg=False, niter=20, nthreads=1, use_float=False)
    model.fit(
        coo_matrix(cells, (N_USERS, N_ITEMS)),
        U=_encoded(data.user_features, ratings.user_index, "user"),
        I=_encoded(data.item_features, ratings.item_index, "item"),
    )
    predicted = model.predict(test.user_index, test.item_index)
    # An item without a rating in training is NaN to it in some settings: the mean then.
    filled = np.where(np.isfinite(predicted), predicted, ratings.points.mean())
    return np.clip(filled, *RANGE).astype(np.float32)


def load_folder(folder: Path) -> RatingData:
    """The ratings, each pair once in order, with both tables in index order (ids count from 1)."""
    raw = np.loadtxt(folder / "u.data", dtype=np.int64)
    raw = raw[np.lexsort((raw[:, 1], raw[:, 0]))]
    ratings = Ratings(
        (raw[:, 0] - 1).astype(np.int32), (raw[:, 1] - 1).astype(np.int32), raw[:, 2].astype(np.float32), None
    )
    users = read_table(folder / "ml-100k.user", N_USERS)
    items = read_table(folder / "ml-100k.item", N_ITEMS)
    genres = [None if cell is None else cell.split() for cell in items["class"].to_pylist()]
    years = [int(cell) if cell and cell.isdigit() else None for cell in items["release_year"].to_pylist()]
    age = pa.array([int(cell) for cell in users["age"].to_pylist()])
    user_features = pa.table({"age": age, "gender": users["gender"], "occupation": users["occupation"]})
    return RatingData(
        ratings, N_USERS, N_ITEMS, RANGE, user_features, pa.table({"year": years, "genres": genres})
    )


def read_table(path: Path, n_rows: int) -> pa.Table:
    """A tab-separated table of texts, its names without their type, its rows by id."""
    parse = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
    header = path.read_text(encoding="utf-8").partition("\n")[0].split("\t")
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    table = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    table = table.rename_columns([name.partition(":")[0] for name in header])
    order = np.argsort(table.column(0).to_numpy(zero_copy_only=False).astype(np.int64))
    if table.num_rows != n_rows:
        raise SystemExit(f"{path} has {table.num_rows} rows, not {n_rows}; it is not MovieLens 100K.")
    return table.take(pa.array(order))


def _encoded(table: pa.Table | None, rated: Iterable[int], owner: str) -> np.ndarray[Any, Any]:
    assert table is not None  # noqa: S101  # load_folder gives both
    known = np.zeros(table.num_rows, bool)
    known[rated] = True
    return FeatureColumns.fit(table.filter(known), owner=owner).encode(table)


def _with(data: RatingData, ratings: Ratings) -> RatingData:
    return RatingData(ratings, N_USERS, N_ITEMS, RANGE, data.user_features, data.item_features)


def _grid(values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(values, one, strict=True)) for one in itertools.product(*values.values())]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="only the first so many")
    parser.add_argument("--seed", type=int, default=42)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
