"""What a fit adds to the memory of a process, beside what `recsys.training.memory` says it will.

    python benchmarks/fit_memory.py hybrid_text --users 100000 --items 30000 --cells 1500000 --set factors=32
    python benchmarks/fit_memory.py als_ratings --users 200000 --items 50000 --cells 4000000 --words 0

Draws a dataset (cells by popularity, ratings from 1 to 6, a text of --words words an item) in one process,
and fits in a fresh one: the most that its resident memory rose above what it was with the dataset in it,
by the kernel's own mark (VmHWM, set back before the fit). Two rounds or epochs are enough: the peak is in the
first. Prints measured, estimate and their ratio; needs Linux.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import sys
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.sparse import csr_matrix

from recsys.config import parse_assignments
from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.recommenders.table import RECOMMENDERS, make_recommender
from recsys.training.memory import estimate_fit_bytes

VOCABULARY = 20_000
SKEW = 0.8  # an item's chance falls with its rank to this power, a word's likewise
SHORT = {"iterations": 2, "epochs": 2}
MB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recommender", choices=list(RECOMMENDERS))
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--cells", type=int, default=1_500_000)
    parser.add_argument("--words", type=int, default=20, help="of an item's text; 0: no catalogue")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measure, args=(theirs, options))
    process.start()
    theirs.close()
    measured, estimate = ours.recv()
    process.join()
    size = f"{options.users:,} x {options.items:,}, {options.cells:,} cells, {options.words} words an item"
    print(f"{options.recommender} {' '.join(options.set)}: {size}")
    print(
        f"measured {measured / MB:,.0f} MB, estimate {estimate / MB:,.0f} MB, {estimate / measured:.2f} times"
    )
    print(describe_machine("numpy", "scipy"))


def measure(connection: multiprocessing.connection.Connection, options: argparse.Namespace) -> None:
    """In a process of its own: send the bytes measured, and those estimated."""
    dataset = draw_dataset(options)
    config = dict(parse_assignments(options.set))
    fields = RECOMMENDERS[options.recommender][1].__dataclass_fields__
    config |= {name: value for name, value in SHORT.items() if name in fields and name not in config}
    recommender = make_recommender(options.recommender, **config)
    estimate = estimate_fit_bytes(options.recommender, dataset, recommender.config)
    ctypes.CDLL(None).malloc_trim(0)  # what drawing the dataset has freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the mark of the most held falls to what is held now
    before = resident("VmHWM")
    recommender.fit(dataset)
    connection.send((resident("VmHWM") - before, estimate))


def draw_dataset(options: argparse.Namespace) -> Dataset:
    """Cells as ratings, and a text an item."""
    rng = np.random.default_rng(1)
    users = rng.integers(options.users, size=options.cells)
    items = rng.choice(options.items, options.cells, p=by_rank(options.items))
    ratings = rng.integers(1, 7, options.cells).astype(np.float32)
    cells = csr_matrix((ratings, (users, items)), (options.users, options.items))
    cells.sum_duplicates()
    cells.data = np.minimum(cells.data, 6.0)
    ids = (IdMap(f"{kind}{n}" for n in range(many)) for kind, many in zip("ui", cells.shape, strict=True))
    return Dataset(cells, *ids, catalogue=draw_catalogue(options, rng) if options.words else None)


def draw_catalogue(options: argparse.Namespace, rng: np.random.Generator) -> Catalogue:
    """Every item with a text of words drawn by rank."""
    words = rng.choice(VOCABULARY, (options.items, options.words), p=by_rank(VOCABULARY))
    texts = (" ".join(f"word{word}" for word in row) for row in words)
    return Catalogue(tuple(CatalogueItem(f"i{n}", f"Item {n}", text) for n, text in enumerate(texts)))


def by_rank(many: int) -> np.ndarray:
    """(many,) chances that add up to 1."""
    weights = np.arange(1, many + 1) ** -SKEW
    return weights / weights.sum()


def resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.exit(main())
