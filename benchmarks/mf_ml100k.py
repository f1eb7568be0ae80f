"""RMSE of mf on MovieLens 100K beside Surprise's SVD and SVD++, in five folds drawn by a seed.

python benchmarks/mf_ml100k.py FOLDER/ml-100k
python benchmarks/mf_ml100k.py FOLDER/ml-100k --set history=false --no-peers
python benchmarks/mf_ml100k.py FOLDER/ml-100k --validation --set factors=128   # how the defaults were chosen

The parameters of mf are its defaults, chosen on a validation fifth of the first fold's train part
(--validation; no test part is read then). Every fold trains all epochs on its whole train part and
is tested once. Surprise runs with its own defaults (`pip install scikit-surprise`); without it the
figures its documentation states for five folds of the same data are printed: SVD 0.934, SVD++ 0.92.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from machine import describe_machine

from recsys.config import parse_assignments
from recsys.datasets.rating_splits import k_folds
from recsys.datasets.ratings import Ratings
from recsys.metrics.rating import rmse
from recsys.recommenders.mf import MFConfig, MFRecommender
from recsys.recommenders.rating_base import RatingData

N_USERS, N_ITEMS, RANGE = 943, 1_682, (1.0, 5.0)
PUBLISHED = {"Surprise SVD": 0.934, "Surprise SVD++": 0.92}
LIMIT = 0.915
VALIDATION_SEED = 1


def main() -> int:
    """Print a row a recommender; exit code 1 when mf is not below its limit and its peers."""
    options = _parse_options()
    overrides = parse_assignments(options.set)
    folds = list(k_folds(_load(options.folder), options.folds, options.seed))
    if options.validation:
        return _validate(folds[0][0], overrides)
    print(f"{options.folds} folds over all ratings, seed {options.seed}; RMSE of the test parts")
    ours = _measure("mf", lambda train, test: _mf(train, test, overrides), folds)
    theirs = _peers(folds) if options.peers else {}
    print(describe_machine("numpy", "torch"))
    return 0 if ours <= min([LIMIT, *theirs.values()]) else 1


def _measure(
    name: str, predict: Callable[[Ratings, Ratings], np.ndarray], folds: list[tuple[Ratings, Ratings]]
) -> float:
    started = time.process_time()
    errors = [rmse(predict(train, test), test.points) for train, test in folds]
    seconds = (time.process_time() - started) / len(folds)
    each = " ".join(f"{error:.4f}" for error in errors)
    print(f"{name:<16} {np.mean(errors):.4f} ± {np.std(errors):.4f}   {each}   {seconds:.1f} s of CPU a fold")
    return float(np.mean(errors))


def _mf(train: Ratings, test: Ratings, overrides: dict[str, object]) -> np.ndarray:
    data = RatingData(train, N_USERS, N_ITEMS, RANGE)
    fitted = MFRecommender(MFConfig.default(**overrides)).fit(data)
    return fitted.predict(test.user_index, test.item_index)


def _peers(folds: list[tuple[Ratings, Ratings]]) -> dict[str, float]:
    try:
        import surprise
    except ImportError:
        print("Surprise is not installed (pip install scikit-surprise); as its documentation states:")
        for name, error in PUBLISHED.items():
            print(f"{name:<16} {error}")
        return PUBLISHED
    return {
        f"Surprise {name}": _measure(f"Surprise {name}", _surprise(algorithm), folds)
        for name, algorithm in (("SVD", surprise.SVD), ("SVD++", surprise.SVDpp))
    }


def _surprise(algorithm: Callable[..., object]) -> Callable[[Ratings, Ratings], np.ndarray]:
    import surprise

    def predict(train: Ratings, test: Ratings) -> np.ndarray:
        trainset = surprise.Trainset(*_trainset(train))
        fitted = algorithm(random_state=0).fit(trainset)  # type: ignore[attr-defined]
        pairs = zip(test.user_index.tolist(), test.item_index.tolist(), strict=True)
        return np.array([fitted.predict(user, item).est for user, item in pairs], np.float32)

    return predict


def _trainset(train: Ratings) -> tuple[object, ...]:
    """What surprise.Trainset takes: ratings by inner user and item, counts, range, raw ids to inner."""
    users = {user: inner for inner, user in enumerate(np.unique(train.user_index).tolist())}
    items = {item: inner for inner, item in enumerate(np.unique(train.item_index).tolist())}
    by_user: dict[int, list[tuple[int, float]]] = {inner: [] for inner in users.values()}
    by_item: dict[int, list[tuple[int, float]]] = {inner: [] for inner in items.values()}
    columns = (train.user_index.tolist(), train.item_index.tolist(), train.points.tolist())
    for user, item, points in zip(*columns, strict=True):
        by_user[users[user]].append((items[item], points))
        by_item[items[item]].append((users[user], points))
    return by_user, by_item, len(users), len(items), len(train), RANGE, users, items


def _validate(train: Ratings, overrides: dict[str, object]) -> int:
    inner, held_back = next(islice(k_folds(train, 5, VALIDATION_SEED), 1))
    fitted = MFRecommender(MFConfig.default(**overrides)).fit(
        RatingData(inner, N_USERS, N_ITEMS, RANGE), held_back
    )
    best, last = fitted.curve[fitted.best_epoch - 1], fitted.curve[-1]
    print(
        f"validation RMSE {best.validation**0.5:.4f} in epoch {best.epoch} (train {best.train**0.5:.4f}), "
        f"{last.validation**0.5:.4f} in epoch {last.epoch}"
    )
    return 0


def _load(folder: Path) -> Ratings:
    path = folder / "u.data"
    if not path.exists():
        raise SystemExit(f"{path} does not exist; name the folder of MovieLens 100K.")
    columns = np.loadtxt(path, dtype=np.int64)
    columns = columns[np.lexsort((columns[:, 1], columns[:, 0]))]
    users, items = ((columns[:, n] - 1).astype(np.int32) for n in (0, 1))
    return Ratings(users, items, columns[:, 2].astype(np.float32), columns[:, 3].astype(np.float64))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="instead of mf's defaults")
    parser.add_argument("--validation", action="store_true", help="one validation part; no test is read")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
