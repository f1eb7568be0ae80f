"""A release as it is served: loaded from its folder, checked, read-only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsys.artifacts import layout
from recsys.artifacts.layout import (
    DOCUMENTED_FILES,
    ITEM_MAPPING_FILE,
    LAST_EVENT_FILE,
    MANIFEST_FILE,
    ROWS_FILES,
    USER_MAPPING_FILE,
    Identity,
    check_pointer,
    current_release_dir,
    current_version_key,
    file_identity,
)
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.norm_order import use_norm_order
from recsys.artifacts.stored_catalogue import StoredCatalogue
from recsys.datasets.id_map import IdMap
from recsys.datasets.packed_ids import IdIndex, PackedIds
from recsys.engines.als_config import ALSConfig
from recsys.errors import ArtifactError, ConfigError, DataError, NotFittedError, RecsysError
from recsys.evaluation.score_range import normalize_scores
from recsys.recommenders.als import ITEM_FACTORS_FILE, ALSRecommender
from recsys.recommenders.base import Recommender, VectorRecommender, is_mapped, load_array
from recsys.recommenders.table import recommender_class
from recsys.types import Float32Array, Float64Array, History

FILES_ALONE = "model files without a release manifest: default parameters, acts of the training not known"


@dataclass(frozen=True)
class Release:
    """One coherent set of trained recommenders over one item index space.

    `items` is that space: `n_acted_on` startups of the ALS mapping first, then those nobody had acted
    on. `catalogue` is aligned with it. `notice` is what every answer
    from this release must admit to, if anything.
    `mapped_files` are those that answers are made from while they lie there, as they were before
    they were verified: who writes to one of them harms this process.
    """

    version: str
    user_mapping: IdIndex
    items: IdIndex
    n_acted_on: int
    catalogue: StoredCatalogue
    recommenders: Mapping[str, Recommender]
    manifest: Manifest | None = None
    user_items: csr_matrix | None = None
    last_event_at: Float64Array | None = None
    notice: str | None = None
    mapped_files: Mapping[Path, Identity | None] = field(default_factory=dict)
    _score_ranges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @cached_property
    def latest_event_at(self) -> float | None:
        """UTC seconds of the last act it was trained on; None where the times are not known."""
        times = self.last_event_at
        return None if times is None or len(times) == 0 else float(times.max())

    def history_of(self, user_id: str) -> History | None:
        """What a user had done by the time of the export; None for a user not in it."""
        user_index = self.user_mapping.get(user_id)
        if user_index is None or self.user_items is None:
            return None
        start, end = self.user_items.indptr[user_index : user_index + 2]
        times = None if self.last_event_at is None else self.last_event_at[start:end]
        return History(self.user_items.indices[start:end], self.user_items.data[start:end], times)

    def scale(self, recommender: str, raw_scores: Float32Array) -> Float64Array:
        """Raw scores as numbers between 0 and 1, in the same order; see `normalize_scores`."""
        return normalize_scores(raw_scores, self._score_ranges.get(recommender, {}))


def open_release(folder: Path, *, verify: bool = True) -> Release:
    """Load a release folder.

    Args:
        folder: models/releases/<version>.
        verify: also compare every file with its hash; shapes and values are always checked.

    Raises:
        ArtifactError: a file is missing or damaged, does not fit the others, or the release does
            not answer its own golden queries as it did when it was made.
    """
    manifest = Manifest.load(folder / MANIFEST_FILE)
    mapped_files = _mapped_files(folder, manifest)
    if verify:
        manifest.check_files(folder)
    users, items = _load_ids(folder, "user"), _load_ids(folder, "item")
    catalogue = StoredCatalogue.load(folder, len(items))
    recommenders = {
        name: _load_recommender(folder, name, entry) for name, entry in manifest.recommenders.items()
    }
    _attach_parts(folder, recommenders)
    n_acted_on = manifest.n_acted_on
    if not 0 <= n_acted_on <= len(items):
        raise ArtifactError(
            f"{folder / MANIFEST_FILE} says {n_acted_on} of {len(items)} items were acted on; train again."
        )
    for name, recommender in recommenders.items():
        _check_size(folder, name, recommender, len(users), n_acted_on, len(items))
    user_items = _load_rows(folder, (len(users), n_acted_on))
    has_times = LAST_EVENT_FILE in manifest.files
    last_event_at = _load_times(folder / LAST_EVENT_FILE, user_items.nnz) if has_times else None
    release = Release(
        manifest.version,
        users,
        items,
        n_acted_on,
        catalogue,
        recommenders,
        manifest,
        user_items,
        last_event_at,
        mapped_files=mapped_files,
        _score_ranges={name: entry.score_range for name, entry in manifest.recommenders.items()},
    )
    check_golden_queries(release)
    return release


def open_documented(models_dir: Path) -> Release:
    """Load the five documented files where they lie by themselves, without a release.

    Raises:
        ArtifactError: one is missing or damaged, or they do not fit each other.
    """
    missing = [name for name in DOCUMENTED_FILES if not (models_dir / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{models_dir} lacks {', '.join(missing)}; all five files are needed. Train again."
        )
    user_mapping, item_mapping = _load_mappings(models_dir)
    # Read whole: a mapped file that somebody copies another over would kill the reader.
    factors = load_array(models_dir / ITEM_FACTORS_FILE, mapped=False)
    if factors.ndim != 2 or factors.shape[1] == 0:
        raise ArtifactError(
            f"{models_dir / ITEM_FACTORS_FILE} has shape {factors.shape}, not items x factors; train again."
        )
    config = ALSConfig.default(factors=factors.shape[1])
    als = ALSRecommender.from_files(models_dir, config, mapped=False)
    _check_size(models_dir, "als", als, len(user_mapping), len(item_mapping), len(item_mapping))
    return Release(
        f"files-{_fingerprint(models_dir)}",
        user_mapping,
        item_mapping,
        len(item_mapping),
        StoredCatalogue.from_items([None] * len(item_mapping)),
        {"als": als},
        notice=FILES_ALONE,
    )


def open_current(models_dir: Path, *, verify: bool = True) -> Release:
    """Load what a models folder serves: the release it points to, else the documented files.

    Raises:
        ArtifactError: "Model loading failed: ..." with the reason and the mend.
    """
    try:
        check_pointer(models_dir)
        folder = current_release_dir(models_dir)
        if folder is not None:
            return open_release(folder, verify=verify)
        if current_version_key(models_dir) is None:
            raise ArtifactError(f"there is no release in {models_dir}; run train_all_models.sh.")
        return open_documented(models_dir)
    except RecsysError as error:
        raise ArtifactError(f"Model loading failed: {error}") from error


def check_golden_queries(release: Release) -> None:
    """Ask each recommender the query its manifest entry holds.

    Raises:
        ArtifactError: an answer differs from the one given when the release was made.
    """
    if release.manifest is None:
        return
    for name, entry in release.manifest.recommenders.items():
        try:
            same = _answers_as_before(release.recommenders[name], entry.golden)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise ArtifactError(
                f"The golden query of {name} cannot be asked ({error!r}); train again."
            ) from error
        if not same:
            raise ArtifactError(
                f"{name} of release {release.version} does not answer as it did; train again."
            )


def _answers_as_before(recommender: Recommender, golden: Mapping[str, Any]) -> bool:
    history = History(np.array(golden["item_indices"], np.int32), np.array(golden["weights"], np.float32))
    scores = recommender.score_batch([history])[0][golden["top"]]
    found = recommender.recommend(history, len(golden["top"])).scores
    same = (np.allclose(one, golden["scores"], rtol=1e-3, atol=1e-4) for one in (scores, found))
    return all(same)


def _mapped_files(folder: Path, manifest: Manifest) -> dict[Path, Identity | None]:
    if not is_mapped(folder):
        return {}
    paths = [folder / name for name in manifest.files if name.endswith(".npy")]
    return {path: file_identity(path) for path in paths}


def _load_recommender(folder: Path, name: str, entry: RecommenderEntry) -> Recommender:
    try:
        recommender = recommender_class(name).load(folder, entry.recipe)
        if isinstance(recommender, VectorRecommender):
            use_norm_order(folder, recommender, entry.facts)
    except ConfigError as error:
        raise ArtifactError(
            f"The recipe of {name} in {folder / MANIFEST_FILE} cannot be followed: {error} Train again."
        ) from error
    except (TypeError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"The files of {name} in {folder} do not fit each other ({error}); train again."
        ) from error
    return recommender


def _attach_parts(folder: Path, recommenders: Mapping[str, Recommender]) -> None:
    for recommender in recommenders.values():
        try:
            recommender.attach(recommenders)
        except NotFittedError as error:
            raise ArtifactError(f"{folder} is not whole: {error}") from error


def _load_mappings(folder: Path) -> tuple[IdMap, IdMap]:
    try:
        return IdMap.load(folder / USER_MAPPING_FILE), IdMap.load(folder / ITEM_MAPPING_FILE)
    except DataError as error:
        raise ArtifactError(str(error)) from error


def check_mappings(folder: Path, release: Release) -> None:
    """Compare the documented mappings of a release folder with the ids it is served by.

    Raises:
        ArtifactError: they name others.
    """
    users, items = _load_mappings(folder)
    for documented, ids in ((users, release.user_mapping.ids), (items, release.items.ids)):
        if any(outside_id != ids[index] for index, outside_id in enumerate(documented.ids)):
            raise ArtifactError(f"The mappings in {folder} do not name the ids it is served by; train again.")
    if (len(users), len(items)) != (len(release.user_mapping), release.n_acted_on):
        raise ArtifactError(f"The mappings in {folder} name more or fewer ids than it has; train again.")


def _load_ids(folder: Path, side: str) -> PackedIds:
    files = layout.IDS_FILES[side]
    arrays = {
        part: load_array(folder / name, kinds="S" if part == "sorted_ids" else "i")
        for part, name in files.items()
    }
    try:
        return PackedIds(**arrays)
    except (DataError, ValueError, TypeError, IndexError) as error:
        raise ArtifactError(f"The {side} ids in {folder} cannot be used ({error}); train again.") from error


def _load_rows(folder: Path, shape: tuple[int, int]) -> csr_matrix:
    arrays = {part: load_array(folder / name) for part, name in ROWS_FILES.items()}
    try:
        matrix = csr_matrix((arrays["weights"], arrays["indices"], arrays["indptr"]), shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"The histories in {folder} do not fit the mappings ({error}); train again."
        ) from error
    return matrix


def _load_times(path: Path, n_cells: int) -> Float64Array:
    times = load_array(path)
    if times.shape != (n_cells,):
        raise ArtifactError(
            f"{path} has shape {times.shape} but the histories have {n_cells} cells; train again."
        )
    return times


def _check_size(
    folder: Path, name: str, recommender: Recommender, n_users: int, n_mapped: int, n_items: int
) -> None:
    expected = n_items if recommender.covers_catalogue else n_mapped
    if recommender.n_items != expected:
        raise ArtifactError(
            f"{name} in {folder} has {recommender.n_items} items but the mapping names {expected}; "
            "train again or restore the matching files."
        )
    if isinstance(recommender, ALSRecommender) and len(recommender.user_factors) != n_users:
        raise ArtifactError(
            f"{name} in {folder} has {len(recommender.user_factors)} users but the mapping names {n_users}; "
            "train again or restore the matching files."
        )


def _fingerprint(models_dir: Path) -> str:
    key = repr(current_version_key(models_dir)).encode()
    return hashlib.sha256(key).hexdigest()[:8]
