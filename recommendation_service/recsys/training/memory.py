"""What a fit will take, told before it starts: better one line now than a killed process in an hour.

An estimate, and only of what comes on top of the dataset in memory. For als and bpr its terms were measured
(docs/operations.md); for the others they are from what their code holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from recsys.config import SectionConfig
from recsys.datasets.user_items import Dataset
from recsys.errors import DataError
from recsys.memory import free_bytes
from recsys.recommenders.base import Recommender

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes: `fixed`, a cell, a user, and how many float32 vectors a user and an item."""

    fixed: int
    a_cell: int
    vectors: float = 0.0
    a_user: int = 0

    def of(self, n_users: int, n_items: int, n_cells: int, dimensions: int) -> int:
        """For a dataset of these sizes."""
        of_vectors = self.vectors * 4 * dimensions * (n_users + n_items)
        return round(self.fixed + self.a_cell * n_cells + self.a_user * n_users + of_vectors)


# Copies of the matrix (an index and a weight have 8 bytes), factors and the copies made of them.
ALS = Needs(fixed=60 * MB, a_cell=24, vectors=2.5)
IRSPACK = Needs(fixed=100 * MB, a_cell=60, vectors=4.0)  # in float64, and its own copies of the factors
NEEDS = {
    "popularity": Needs(fixed=10 * MB, a_cell=40),
    "als": ALS,
    "als_ratings": ALS,
    # The pool of popular items is a byte, an index and two places for each of 50 items a user.
    "bpr": Needs(fixed=150 * MB, a_cell=50, vectors=3.0, a_user=50 * 21 + 100),
    # Parameters, gradients and two moments of Adam; PyTorch itself.
    "two_tower": Needs(fixed=700 * MB, a_cell=50, vectors=5.0),
}
OTHER = Needs(fixed=150 * MB, a_cell=50, vectors=4.0)
# Keys of the cells (8 bytes), sorted and searched, and the parts; as many popular items a user as above.
PROCESSING = Needs(fixed=60 * MB, a_cell=120, a_user=50 * 21)


def estimate_fit_bytes(name: str, dataset: Dataset, config: SectionConfig) -> int:
    """What fitting this recommender adds to the memory of the process, at its peak."""
    sizes = dataset.n_users, len(dataset.all_items), int(dataset.user_items.nnz)
    return _needs(name, config).of(*sizes, _dimensions(config))


def check_fit(recommender: Recommender, dataset: Dataset, *, free: int | None = None) -> None:
    """Refuse a fit that does not fit into what is free.

    Args:
        recommender: about to be fitted.
        dataset: on this.
        free: bytes; by default what the system says.

    Raises:
        DataError: it needs more; the message has both numbers and the way out.
    """
    name, config = recommender.name, recommender.config
    needed = estimate_fit_bytes(name, dataset, config)
    free = free_bytes() if free is None else free
    if free is None or needed <= free:
        return
    ways = ["fewer users or items (--max-users N, --max-items N)"]
    needs = _needs(name, config)
    dimensions = _dimensions(config)
    sizes = dataset.n_users, len(dataset.all_items), int(dataset.user_items.nnz)
    without = needs.of(*sizes, 0)
    most = int((free - without) / (needed - without) * dimensions) if needed > without else 0
    if most >= 1:
        field = "factors" if hasattr(config, "factors") else "dimensions"
        ways.insert(0, f"{config.section}.{field}={most} or less")
    if hasattr(config, "batch_users"):
        ways.append(f"a smaller {config.section}.batch_users")
    raise DataError(
        f"{name} needs about {_in_gb(needed)} for {dataset.n_users:,} users, {sizes[1]:,} items and "
        f"{sizes[2]:,} cells, but {_in_gb(free)} are free; train with {', or '.join(ways)}."
    )


def check_processing(dataset: Dataset, *, free: int | None = None) -> None:
    """Refuse a processing that does not fit into what is free; see `check_fit`.

    Raises:
        DataError: it needs more.
    """
    needed = PROCESSING.of(dataset.n_users, dataset.n_items, int(dataset.user_items.nnz), 0)
    free = free_bytes() if free is None else free
    if free is not None and needed > free:
        raise DataError(
            f"Processing needs about {_in_gb(needed)} for {dataset.n_users:,} users and "
            f"{dataset.user_items.nnz:,} cells, but {_in_gb(free)} are free; process fewer users or items "
            "(--max-users N, --max-items N)."
        )


def _needs(name: str, config: SectionConfig) -> Needs:
    if getattr(config, "engine", "") == "irspack":
        return IRSPACK
    return NEEDS.get(name, OTHER)


def _dimensions(config: SectionConfig) -> int:
    return int(getattr(config, "factors", getattr(config, "dimensions", 0)))


def _in_gb(n_bytes: int) -> str:
    return f"{n_bytes / 1024**3:.2f} GB"
