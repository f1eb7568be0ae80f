"""In which order are users most likely to act on a startup? Five ways to compare scores between users.

python benchmarks/audience_order.py FOLDER                 (train.txt and test.txt, or an exported dataset)
python benchmarks/audience_order.py FOLDER --factors 64 --alpha 4 --regularization 10

A dataset is cut by time, the latest fifth of the positive cells held back. als learns from the
earlier part. For items with at least five held-back users (500 of them, drawn with a fixed seed, if
there are more), all users without a cell with it are ordered; the relevant ones are those held back.
Orders:

  raw        the inner product of user and item factors, as it is
  centred    less the user's mean over all items
  z-score    that over the deviation of the user's scores over all items
  cosine     the raw score over the length of the user's factors
  percentile the share of all items the user scores lower
  activity   how many train pairs the user has: the baseline that knows nothing of the item

NDCG@20 and AUC are means over the items; the intervals are 95 % bootstraps over items of the
difference to `raw`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from recsys.datasets.public_split import load_public_split
from recsys.datasets.splits import Split, split_by_time
from recsys.datasets.user_items import MATRIX_FILE, load_dataset
from recsys.evaluation.bootstrap import paired_difference_interval
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.table import make_recommender

MIN_USERS = 5
K = 20
MAX_ITEMS = 500
USERS_AT_ONCE = 256

Array = NDArray[np.float64]


def main() -> int:
    """Fit, order, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--alpha", type=float, default=4.0)
    parser.add_argument("--regularization", type=float, default=10.0)
    options = parser.parse_args()
    split = load_split(options.folder)
    als = make_recommender(
        "als", factors=options.factors, alpha=options.alpha, regularization=options.regularization
    ).fit(split.train)
    assert isinstance(als, ALSRecommender)  # noqa: S101
    train, test = split.train.user_items.tocsc(), split.test.tocsc()
    items = np.flatnonzero(np.diff(test.indptr)[: train.shape[1]] >= MIN_USERS)
    drawn = np.random.default_rng(0).permutation(items)[:MAX_ITEMS]
    figures = {
        name: np.array(
            [measure(column, train, test, item) for column, item in zip(scores.T, drawn, strict=True)]
        )
        for name, scores in order_users(als, train, drawn).items()
    }
    print(
        f"{options.folder.name}: {train.shape[0]:,} users, {len(drawn):,} of the {len(items):,} items with "
        f"{MIN_USERS} test users or more; als factors={options.factors} alpha={options.alpha} "
        f"regularization={options.regularization}"
    )
    for name, measured in figures.items():
        ndcg, auc = measured.mean(axis=0)
        versus = paired_difference_interval(measured[:, 0], figures["raw"][:, 0], 0, relative=False)
        print(
            f"{name:<11} NDCG@{K} {ndcg:.4f} ({versus['low']:+.4f} to {versus['high']:+.4f} against raw)  "
            f"AUC {auc:.4f}"
        )
    print(describe_machine("numpy", "scipy", "implicit"))
    return 0


def load_split(folder: Path) -> Split:
    """A public split, or a dataset cut by time."""
    if (folder / MATRIX_FILE).exists():
        return split_by_time(load_dataset(folder), 0.2)
    return load_public_split(folder / "train.txt", folder / "test.txt")


def order_users(als: ALSRecommender, train: csc_matrix, items: NDArray[np.int64]) -> dict[str, Array]:
    """(n_users, n_items asked) by every order; higher comes first."""
    users, vectors = als.user_factors.astype(np.float64), als.item_factors.astype(np.float64)
    raw = users @ vectors[items].T
    mean = users @ vectors.mean(axis=0)
    covariance = np.cov(vectors.T, bias=True)
    deviation = np.sqrt(np.maximum(((users @ covariance) * users).sum(axis=1), 1e-24))
    centred = raw - mean[:, None]
    activity = np.bincount(train.indices, minlength=len(users)).astype(np.float64)
    return {
        "raw": raw,
        "centred": centred,
        "z-score": centred / deviation[:, None],
        "cosine": raw / np.maximum(np.linalg.norm(users, axis=1), 1e-12)[:, None],
        "percentile": percentiles(users, vectors, raw),
        "activity": np.broadcast_to(activity[:, None], raw.shape),
    }


def percentiles(users: Array, vectors: Array, raw: Array) -> Array:
    """(n_users, n_items asked) share of all items a user scores lower than these."""
    shares = np.empty_like(raw)
    for start in range(0, len(users), USERS_AT_ONCE):
        batch = slice(start, start + USERS_AT_ONCE)
        ordered = np.sort(users[batch].astype(np.float32) @ vectors.T.astype(np.float32), axis=1)
        for row, (scores, own) in enumerate(zip(ordered, raw[batch].astype(np.float32), strict=True)):
            shares[start + row] = np.searchsorted(scores, own) / len(vectors)
    return shares


def measure(scores: Array, train: csc_matrix, test: csc_matrix, item: int) -> tuple[float, float]:
    """NDCG@20 and AUC of one item's test users among all users without a train pair."""
    candidate = np.ones(len(scores), np.bool_)
    candidate[train.indices[train.indptr[item] : train.indptr[item + 1]]] = False
    is_relevant = np.zeros(len(scores), np.bool_)
    is_relevant[test.indices[test.indptr[item] : test.indptr[item + 1]]] = True
    order = np.lexsort((np.arange(len(scores)), -scores))
    hits = is_relevant[order[candidate[order]]]
    discount = 1 / np.log2(np.arange(2, K + 2))
    n_relevant = int(hits.sum())
    ndcg = float((hits[:K] * discount).sum() / discount[: min(K, n_relevant)].sum())
    below = np.arange(len(hits))[hits].sum() - n_relevant * (n_relevant - 1) / 2  # strangers above a hit
    return ndcg, 1 - float(below) / (n_relevant * (len(hits) - n_relevant))


if __name__ == "__main__":
    raise SystemExit(main())
