"""The folder of a trained rating recommender: arrays, mappings, what it learned from, the manifest last.

It answers by itself: no dataset need be there. Nothing in it is pickled.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from recsys import __version__
from recsys.datasets.files import Staging, check_descriptions, check_files, describe_files
from recsys.datasets.id_map import IdMap
from recsys.datasets.ratings import ITEM_MAPPING_FILE, USER_MAPPING_FILE, Ratings
from recsys.errors import ArtifactError, DataError
from recsys.recommenders.base import load_array
from recsys.recommenders.rating_base import MANIFEST_FILE, RatingRecommender, read_manifest
from recsys.recommenders.rating_table import rating_recommender_class
from recsys.types import Int32Array

LIBRARIES = ("numpy", "scipy")
NAMES_FILE = "item_names.json"
RATED = ("rated_users", "rated_items", "rated_points")


@dataclass(frozen=True, slots=True)
class RatingArtifact:
    """What a folder holds: `learned_from` are the ratings the recommender was fitted on."""

    recommender: RatingRecommender
    manifest: Mapping[str, Any]
    user_mapping: IdMap
    item_mapping: IdMap
    item_names: tuple[str, ...] | None
    learned_from: Ratings

    def rated_by(self, user_index: int) -> Int32Array:
        """(n,) the items a user has rated."""
        start, end = np.searchsorted(self.learned_from.user_index, [user_index, user_index + 1])
        items: Int32Array = self.learned_from.item_index[start:end]
        return items


def save_rating_artifact(
    recommender: RatingRecommender,
    folder: Path,
    *,
    learned_from: Ratings,
    user_mapping: IdMap,
    item_mapping: IdMap,
    item_names: tuple[str, ...] | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write every file aside, then rename it into place, the manifest last.

    Args:
        recommender: fitted.
        folder: where to; other files there stay as they are.
        learned_from: sorted by user.
        user_mapping, item_mapping: of its index space.
        item_names: a name an item.
        about: more for the manifest: dataset hash, split, metrics, seconds.

    Returns:
        The manifest.
    """
    with Staging(folder) as staging:
        facts = recommender.save(staging.folder)
        user_mapping.save(staging.path(USER_MAPPING_FILE))
        item_mapping.save(staging.path(ITEM_MAPPING_FILE))
        columns = (learned_from.user_index, learned_from.item_index, learned_from.points)
        for name, column in zip(RATED, columns, strict=True):
            np.save(staging.path(f"{name}.npy"), column)
        if item_names is not None:
            staging.path(NAMES_FILE).write_text(json.dumps(item_names, ensure_ascii=False), encoding="utf-8")
        manifest = {
            "recommender": recommender.name,
            "recipe": asdict(recommender.config),
            "facts": facts,
            **(about or {}),
            "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "code_version": __version__,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
            "files": describe_files(staging.folder),
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        staging.path(MANIFEST_FILE).write_text(text, encoding="utf-8")
        staging.move_into_place(last=MANIFEST_FILE, optional=(NAMES_FILE,))
    return manifest


def load_rating_artifact(folder: Path, name: str | None = None) -> RatingArtifact:
    """Read a folder back, every file checked against its size and hash.

    Args:
        folder: of one category.
        name: the recommender it must be of; any by default.

    Raises:
        ArtifactError: a file is missing, damaged or of another shape, or it is another recommender.
    """
    manifest = read_manifest(folder)
    found = str(manifest.get("recommender"))
    if name is not None and found != name:
        raise ArtifactError(f"{folder} holds a {found}, not a {name}; name the folder of a {name}.")
    try:
        check_descriptions(folder / MANIFEST_FILE, manifest.get("files"))
        check_files(folder, manifest["files"])
        user_mapping = IdMap.load(folder / USER_MAPPING_FILE)
        item_mapping = IdMap.load(folder / ITEM_MAPPING_FILE)
    except DataError as error:
        raise ArtifactError(f"{folder} is damaged: {error} Train it again.") from error
    recommender = rating_recommender_class(found).load(folder)
    users, items, points = (load_array(folder / f"{rated}.npy") for rated in RATED)
    if (len(user_mapping), len(item_mapping)) != (recommender.n_users, recommender.n_items):
        raise ArtifactError(f"The mappings of {folder} do not fit its arrays; train it again.")
    names_file = folder / NAMES_FILE
    names = (
        tuple(json.loads(names_file.read_text(encoding="utf-8"))) if NAMES_FILE in manifest["files"] else None
    )
    return RatingArtifact(
        recommender, manifest, user_mapping, item_mapping, names, Ratings(users, items, points, None)
    )
