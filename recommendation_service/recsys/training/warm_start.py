"""ALS from the factors of the served release: a few iterations instead of all of them.

Only the fit that is published starts there. The served factors have seen the acts of the test part, so a
warm fit measured on them would be measured on what it was trained on: figures, and the gate, come
from fits on the train part that start at random, and say what the recipe is worth.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recsys.artifacts.layout import MANIFEST_FILE, current_release_dir
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.release import Release, open_release
from recsys.datasets.packed_ids import IdIndex
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.start import Start
from recsys.errors import RecsysError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_carry_over import carry_over
from recsys.types import Int32Array

logger = logging.getLogger(__name__)

# What the objective and the size of the factors are made of: another one leads elsewhere.
SAME = ("engine", "factors", "regularization", "alpha", "alpha0", "nu")


@dataclass(frozen=True, slots=True)
class WarmStart:
    """`start` is None when als is trained from the beginning; `says` tells a person what is done and why.

    `is_expected` is false where somebody should look at it.
    """

    start: Start | None
    says: str
    is_expected: bool = True


def warm_start(
    models_dir: Path, dataset: Dataset, config: ALSConfig, texts: Start | None = None
) -> WarmStart:
    """A start from the served release, or the reason why there is none.

    Where the recipes differ, the release cannot be read, or the engine takes no start, als is trained as
    without a warm start.

    Args:
        models_dir: where releases are kept.
        dataset: what is fitted next.
        config: how.
        texts: where it would start without; the items it keeps near their texts are kept so from the
            served factors too, for that is part of the objective.
    """
    if config.engine == "spark":
        return _cold("the engine spark draws its own start")
    folder = current_release_dir(models_dir)
    if folder is None:
        return WarmStart(None, "als starts at random factors: no release is served yet.")
    try:
        entry = Manifest.load(folder / MANIFEST_FILE).recommenders.get("als")
        if entry is None:
            return _cold(f"the served release {folder.name} has no als")
        differs = _differences(ALSConfig.from_recipe(entry.recipe), config) or _near(entry, texts)
        if differs:
            return _cold(f"the served release {folder.name} was made with {differs}")
        return _from(open_release(folder), dataset, config, texts)
    except (RecsysError, OSError) as error:
        return _cold(f"the served release {folder.name} cannot be read ({error})")


def _from(release: Release, dataset: Dataset, config: ALSConfig, texts: Start | None) -> WarmStart:
    als = release.recommenders["als"]
    assert isinstance(als, ALSRecommender)  # noqa: S101 - for the type checker
    users = _rows(release.user_mapping, dataset.user_mapping.ids, len(als.user_factors))
    items = _rows(release.items, dataset.item_mapping.ids, als.n_items)
    if not (items >= 0).any():
        return _cold(f"the served release {release.version} knows none of the {len(items):,} startups")
    user_factors, item_factors = carry_over(als, dataset, users, items, config)
    new_users, new_items = (int(np.count_nonzero(rows < 0)) for rows in (users, items))
    facts = {
        "release": release.version,
        "iterations": config.warm_iterations,
        "users_kept": len(users) - new_users,
        "users_folded_in": new_users,
        "items_kept": len(items) - new_items,
        "items_folded_in": new_items,
    }
    says = (
        f"als starts from release {release.version}, {config.warm_iterations} iterations: {new_users:,} of "
        f"{len(users):,} users and {new_items:,} of {len(items):,} startups are new. Its figures are of a "
        "cold fit on the train part."
    )
    start = Start(item_factors, user_factors, iterations=config.warm_iterations, facts=facts)
    if texts is not None and texts.features is not None:
        start = replace(
            start,
            features=texts.features,
            features_ridge=texts.features_ridge,
            facts={**texts.facts, **facts},
        )
    return WarmStart(start, says)


def _rows(index: IdIndex, ids: tuple[str, ...], known: int) -> Int32Array:
    """(n,) int32 row of each id; -1 for one not there, or with no factors there."""
    rows = index.indices(ids)
    return np.where(rows < known, rows, -1).astype(np.int32)


def _differences(served: ALSConfig, wanted: ALSConfig) -> str:
    """Such as "alpha 40.0, not 4.0"; empty when both minimise the same."""
    return ", ".join(
        f"{name} {getattr(served, name)}, not {getattr(wanted, name)}"
        for name in SAME
        if getattr(served, name) != getattr(wanted, name)
    )


def _near(served: RecommenderEntry, texts: Start | None) -> str:
    """As `_differences`, of how near to their texts items are kept."""
    options = served.facts.get("text_start", {})
    before = options["near_ridge"] if options.get("keep_near") else None
    wanted = texts.features_ridge if texts is not None and texts.features is not None else None
    told = ["items not kept near texts" if one is None else f"near_ridge {one}" for one in (before, wanted)]
    return "" if before == wanted else ", not ".join(told)


def _cold(because: str) -> WarmStart:
    logger.warning("als not started warm reason=%s", because)
    return WarmStart(
        None, f"als starts at random factors, with all its iterations: {because}.", is_expected=False
    )
