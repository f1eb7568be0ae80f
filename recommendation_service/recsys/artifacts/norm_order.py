"""How a release finds the best items: a full scan, or one pruned by norm where that was measured to pay.

The choice is made when a recommender is published, from the lists of users of its dataset, and stands
with what was measured in the manifest's facts of the recommender.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError
from recsys.recommenders.base import VectorRecommender, load_array
from recsys.recommenders.inner_product_search import InnerProductSearch, NormOrder

FULL_SCAN, PRUNED_SCAN = "full scan", "pruned scan"
SAMPLE_USERS = 100
LIMIT = 10
PAYS_BELOW = 0.75  # of what a full scan reads: below it the estimate's own error does not matter


def write_norm_order(folder: Path, recommender: VectorRecommender, dataset: Dataset) -> dict[str, Any]:
    """Measure what pruning would save, and write what it needs if it pays.

    Returns:
        Facts for the manifest: `retrieval`, and the mean `scan_share` over `scan_share_users` users
        with their own items left out; without users it can answer for, nothing was measured.
    """
    norm_order = NormOrder.build(recommender.item_vectors())
    search = InnerProductSearch(recommender.item_vectors(), norm_order)
    shares = _scan_shares(recommender, search, dataset)
    measured = {"scan_share": round(float(np.mean(shares)), 4)} if shares else {}
    pays = bool(shares) and measured["scan_share"] < PAYS_BELOW
    if pays:
        for part, path in _paths(folder, recommender.name).items():
            np.save(path, getattr(norm_order, part))
    return {
        "retrieval": PRUNED_SCAN if pays else FULL_SCAN,
        **measured,
        "scan_share_users": len(shares),
    }


def use_norm_order(folder: Path, recommender: VectorRecommender, facts: Mapping[str, Any]) -> None:
    """Let a loaded recommender prune, if that was chosen for it.

    Raises:
        ArtifactError: a file is missing, or they do not fit the item vectors.
    """
    if facts.get("retrieval") != PRUNED_SCAN:
        return
    parts = {part: np.asarray(load_array(path)) for part, path in _paths(folder, recommender.name).items()}
    n, d = recommender.item_vectors().shape
    h = len(parts["axes"])
    expected = {"order": (n,), "norms": (n,), "head": (n, h), "tail_norms": (n,), "axes": (h, d)}
    found = {part: array.shape for part, array in parts.items()}
    order = parts["order"]
    if found != expected or order.dtype != np.int32 or order.min() < 0 or order.max() >= n:
        raise ArtifactError(
            f"The norm order of {recommender.name} in {folder} has shapes {found} and does not fit its "
            f"{n} item vectors; train again."
        )
    recommender.search_by(NormOrder(**parts))


def _paths(folder: Path, name: str) -> dict[str, Path]:
    return {part: folder / f"{name}_scan_{part}.npy" for part in NormOrder.__slots__}


def _scan_shares(recommender: VectorRecommender, search: InnerProductSearch, dataset: Dataset) -> list[float]:
    """Of users drawn from the dataset, those it can answer for."""
    users = np.random.default_rng(0).permutation(dataset.n_users)[: 2 * SAMPLE_USERS]
    histories = (dataset.history(int(user)) for user in users)
    answerable = [history for history in histories if recommender.why_not(history) is None]
    shares = []
    for history in answerable[:SAMPLE_USERS]:
        allowed = np.ones(recommender.n_items, np.bool_)
        allowed[history.item_indices[history.item_indices < recommender.n_items]] = False
        shares.append(search.scan_share(recommender.user_vector(history), LIMIT, allowed))
    return shares
