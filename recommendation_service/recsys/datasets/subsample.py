"""A smaller dataset where the whole does not fit: the most popular items, and users drawn at random.

Items by popularity, for they hold most of the acts; users at random, for the most active ones are not like
the others and a model of them alone would not say how good one of everybody is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError
from recsys.types import BoolArray, Int64Array


def subsample(
    dataset: Dataset, *, max_users: int | None = None, max_items: int | None = None, seed: int = 0
) -> Dataset:
    """At most so many items, then at most so many of the users who have a cell with one of them.

    Order and mappings stay in the order they were; users and items left without a cell fall out. The same
    dataset comes back when nothing has to go. Under `subsample` the manifest says what was kept of what.

    Args:
        dataset: what to take from.
        max_users: most users, drawn at random; None: all.
        max_items: most items, those with most likes, ties to the lower index; None: all.
        seed: of the draw.

    Raises:
        ConfigError: a number is below 1.
    """
    for name, most in (("--max-users", max_users), ("--max-items", max_items)):
        if most is not None and most < 1:
            raise ConfigError(f"{name} is {most}; it must be a whole number from 1.")
    cells = dataset.user_items
    users_of_cells = np.repeat(np.arange(dataset.n_users), np.diff(cells.indptr))
    keep = np.ones(cells.nnz, np.bool_)
    if max_items is not None and max_items < dataset.n_items:
        n_likes = np.bincount(cells.indices[cells.data > 0], minlength=dataset.n_items)
        keep = np.isin(cells.indices, np.argsort(-n_likes, kind="stable")[:max_items])
    users = np.unique(users_of_cells[keep])
    if max_users is not None and max_users < len(users):
        users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
        keep &= np.isin(users_of_cells, users)
    if keep.all():
        return dataset
    items = np.unique(cells.indices[keep]).astype(np.int64)
    facts = {
        "users": [len(users), dataset.n_users],
        "items": [len(items), dataset.n_items],
        "cells": [int(keep.sum()), int(cells.nnz)],
        "seed": seed,
    }
    return replace(
        dataset,
        user_items=_part(cells, keep, users, items),
        last_event_at=_part_if_known(dataset.last_event_at, keep, users, items),
        event_types=_part_if_known(dataset.event_types, keep, users, items),
        user_mapping=IdMap(dataset.user_mapping.ids[user] for user in users.tolist()),
        item_mapping=IdMap(dataset.item_mapping.ids[item] for item in items.tolist()),
        manifest={**dataset.manifest, "subsample": facts},
    )


def describe_subsample(dataset: Dataset) -> str | None:
    """One line of what was kept; None for a whole dataset."""
    facts = dataset.manifest.get("subsample")
    if facts is None:
        return None
    parts = ((name, *facts[name]) for name in ("users", "items", "cells"))
    kept = ", ".join(f"{n_kept:,} of {n_all:,} {name}" for name, n_kept, n_all in parts)
    return f"A part of the data: {kept} (the most popular items, random users, seed {facts['seed']})."


def _part_if_known(
    matrix: csr_matrix | None, keep: BoolArray, users: Int64Array, items: Int64Array
) -> csr_matrix | None:
    return None if matrix is None else _part(matrix, keep, users, items)


def _part(matrix: csr_matrix, keep: BoolArray, users: Int64Array, items: Int64Array) -> csr_matrix:
    """The kept cells, rows and columns renumbered."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[keep]
    counts = np.bincount(rows, minlength=matrix.shape[0])[users]
    indptr = np.concatenate(([0], np.cumsum(counts)))
    columns = np.searchsorted(items, matrix.indices[keep]).astype(np.int32)
    return csr_matrix((matrix.data[keep], columns, indptr), (len(users), len(items)))
