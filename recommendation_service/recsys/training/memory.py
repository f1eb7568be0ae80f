"""What a fit will take, told before it starts: better one line now than a killed process in an hour.

An estimate, and only of what comes on top of the dataset in memory. Its terms were measured for every
recommender but the ensemble, which holds those of others (`benchmarks/fit_memory.py`; the figures stand in
docs/operations.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from recsys.config import SectionConfig
from recsys.datasets.user_items import Dataset
from recsys.engines.spark_engine import HEAP_A_CELL, HEAP_FIXED, HEAP_VECTORS, is_local
from recsys.errors import DataError
from recsys.memory import free_bytes
from recsys.recommenders.base import Recommender

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes: `fixed`, a cell, a user, an item, a letter of the texts; float32 vectors a user and an item."""

    fixed: int
    a_cell: int
    vectors: float = 0.0
    a_user: int = 0
    an_item: int = 0
    a_letter: int = 0

    def of(self, size: Size, dimensions: int) -> int:
        """For a dataset of this size."""
        of_vectors = self.vectors * 4 * dimensions * (size.users + size.items)
        of_texts = self.an_item * size.items + self.a_letter * size.letters
        return round(self.fixed + self.a_cell * size.cells + self.a_user * size.users + of_texts + of_vectors)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a dataset is; `letters` of all names and descriptions."""

    users: int
    items: int
    cells: int
    letters: int

    @classmethod
    def of(cls, dataset: Dataset) -> Size:
        """Counted, every startup of the catalogue an item."""
        items = dataset.catalogue.items if dataset.catalogue else ()
        letters = sum(len(i.name) + len(i.short_description) + len(i.long_description) for i in items)
        return cls(dataset.n_users, len(dataset.all_items), int(dataset.user_items.nnz), letters)


# Copies of the matrix (an index and a weight have 8 bytes), factors and the copies made of them.
ALS = Needs(fixed=60 * MB, a_cell=24, vectors=2.5)
IRSPACK = Needs(fixed=100 * MB, a_cell=60, vectors=4.0)  # in float64, and its own copies of the factors
# The cells as they go to Java, the factors as they come, Java and the process beside it. And Java's heap:
# what it gets where it computes here; a gigabyte, Spark's own choice, where it only tells a cluster.
SPARK_CLUSTER = Needs(fixed=1674 * MB, a_cell=60, vectors=4.0)
SPARK = Needs(fixed=HEAP_FIXED + 650 * MB, a_cell=HEAP_A_CELL + 60, vectors=HEAP_VECTORS + 4.0)
NEEDS = {
    "popularity": Needs(fixed=10 * MB, a_cell=40),
    "als": ALS,
    "als_ratings": Needs(fixed=60 * MB, a_cell=40, vectors=2.5),  # and its weights, made in float64
    # The pool of popular items is a byte, an index and two places for each of 50 items a user.
    "bpr": Needs(fixed=150 * MB, a_cell=50, vectors=3.0, a_user=50 * 21 + 100),
    # Words and their counts, the matrix of both and its decomposition; then the vectors of 128 numbers.
    "content": Needs(fixed=120 * MB, a_cell=10, an_item=3_600, a_letter=14),
    # The same, and on top what bpr has.
    "hybrid_text": Needs(
        fixed=100 * MB, a_cell=50, vectors=3.0, a_user=50 * 21 + 100, an_item=4_000, a_letter=14
    ),
    # Parameters, gradients and two moments of Adam; PyTorch itself; what content has of the texts.
    "two_tower": Needs(fixed=500 * MB, a_cell=50, vectors=5.0, an_item=3_600, a_letter=14),
}
OTHER = Needs(fixed=150 * MB, a_cell=50, vectors=4.0)
# Keys of the cells (8 bytes), sorted and searched, and the parts; as many popular items a user as above.
PROCESSING = Needs(fixed=60 * MB, a_cell=120, a_user=50 * 21)


def estimate_fit_bytes(name: str, dataset: Dataset, config: SectionConfig) -> int:
    """What fitting this recommender adds to the memory of the process, at its peak."""
    return _needs(name, config).of(Size.of(dataset), _dimensions(config))


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
    size = Size.of(dataset)
    without = needs.of(size, 0)
    most = int((free - without) / (needed - without) * dimensions) if needed > without else 0
    if most >= 1:
        field = "factors" if hasattr(config, "factors") else "dimensions"
        ways.insert(0, f"{config.section}.{field}={most} or less")
    if hasattr(config, "batch_users"):
        ways.append(f"a smaller {config.section}.batch_users")
    raise DataError(
        f"{name} needs about {_in_gb(needed)} for {size.users:,} users, {size.items:,} items and "
        f"{size.cells:,} cells, but {_in_gb(free)} are free; train with {', or '.join(ways)}."
    )


def check_processing(dataset: Dataset, *, free: int | None = None) -> None:
    """Refuse a processing that does not fit into what is free; see `check_fit`.

    Raises:
        DataError: it needs more.
    """
    size = Size.of(dataset)
    needed = PROCESSING.of(size, 0)
    free = free_bytes() if free is None else free
    if free is not None and needed > free:
        raise DataError(
            f"Processing needs about {_in_gb(needed)} for {size.users:,} users and "
            f"{size.cells:,} cells, but {_in_gb(free)} are free; process fewer users or items "
            "(--max-users N, --max-items N)."
        )


def _needs(name: str, config: SectionConfig) -> Needs:
    engine = getattr(config, "engine", "")
    if engine == "irspack":
        return IRSPACK
    if engine == "spark":
        return SPARK if is_local() else SPARK_CLUSTER
    return NEEDS.get(name, OTHER)


def _dimensions(config: SectionConfig) -> int:
    return int(getattr(config, "factors", getattr(config, "dimensions", 0)))


def _in_gb(n_bytes: int) -> str:
    return f"{n_bytes / 1024**3:.2f} GB"
