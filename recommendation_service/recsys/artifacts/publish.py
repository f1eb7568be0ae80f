"""Publishing a release: write aside, verify as a stranger would, rename, flip one pointer.

Nothing a reader may have open is ever written to, and on any failure the pointer stays where it was.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recsys import __version__
from recsys.artifacts import layout
from recsys.artifacts.layout import OnSwitch, Switch, tell_nobody
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.norm_order import use_norm_order, write_norm_order
from recsys.artifacts.release import Release, check_mappings, open_release
from recsys.artifacts.stored_catalogue import StoredCatalogue
from recsys.datasets.files import describe_files, sync_file
from recsys.datasets.id_map import IdMap
from recsys.datasets.packed_ids import PackedIds
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, RecsysError
from recsys.recommenders.base import Recommender, VectorRecommender
from recsys.recommenders.table import recommender_class
from recsys.types import History

logger = logging.getLogger(__name__)

LIBRARIES = ("numpy", "scipy", "implicit", "irspack")
GOLDEN_ITEMS = 10


@dataclass(frozen=True)
class Trained:
    """A fitted recommender and what is to be written about it."""

    recommender: Recommender
    recipe: dict[str, Any]
    seconds: float
    peak_memory_mb: float
    metrics: dict[str, Any] = field(default_factory=dict)
    score_range: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)  # on a validation part, and how
    text_start: dict[str, Any] = field(default_factory=dict)  # options, where it was told to start from texts


def publish_release(
    models_dir: Path,
    dataset: Dataset,
    trained: Sequence[Trained],
    *,
    keep: int = 3,
    facts: Mapping[str, Any] | None = None,
    on_switch: OnSwitch = tell_nobody,
) -> Release:
    """Write, verify and serve a release.

    Recommenders of the served release that are not among `trained` are carried over when they
    were trained on the same dataset. `on_switch` is around the moment the pointer moves.

    Raises:
        ArtifactError: the disk is full, or the release does not hold what was put in. What was
            served before is still served.
    """
    try:
        with layout.publishing(models_dir):
            folder = _write_aside(models_dir, dataset, trained, facts or {})
            _serve(models_dir, folder, on_switch)
            _remove_old_releases(models_dir, keep)
            return open_release(folder, verify=False)
    except OSError as error:
        raise ArtifactError(
            f"The release could not be written to {models_dir} ({error.strerror or error}); free space or "
            "mend the permissions and train again. The served release is unchanged."
        ) from error


def _write_aside(
    models_dir: Path, dataset: Dataset, trained: Sequence[Trained], facts: Mapping[str, Any]
) -> Path:
    """Write a release beside the others, verify it and rename it into its folder."""
    releases = models_dir / layout.RELEASES
    releases.mkdir(exist_ok=True)
    _remove_abandoned(releases)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=releases))
    try:
        aside.chmod(0o755)  # mkdtemp makes it private, an answering service may run as somebody else
        version = _write(aside, models_dir, dataset, trained, facts)
        check_mappings(aside, open_release(aside))
        _sync_folder(aside)
        aside.rename(releases / version)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_file(releases)
    return releases / version


def _serve(models_dir: Path, folder: Path, on_switch: OnSwitch) -> None:
    """Flip the pointer; a release that could not be pointed to is not kept either."""
    unlinked: OSError | None = None
    try:
        with on_switch(Switch(folder.name, layout.served_version(models_dir))):
            unlinked = layout.flip(models_dir, folder)
    except Exception:
        if layout.served_version(models_dir) != folder.name:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if unlinked is not None:
        raise ArtifactError(
            f"Release {folder.name} is served, but the documented files in {models_dir} could not be linked "
            f"to it ({unlinked.strerror or unlinked}); mend the permissions and train again."
        ) from unlinked


def _remove_old_releases(models_dir: Path, keep: int) -> None:
    """The new release is served by now: what cannot be deleted costs space, nothing else."""
    try:
        layout.remove_old_releases(models_dir, keep, _names_in)
    except OSError as error:
        logger.warning("old releases not removed models_dir=%s reason=%s", models_dir, error)


def _names_in(release: Path) -> Set[str]:
    try:
        return Manifest.load(release / layout.MANIFEST_FILE).recommenders.keys()
    except ArtifactError:
        return frozenset()


def _write(
    folder: Path, models_dir: Path, dataset: Dataset, trained: Sequence[Trained], facts: Mapping[str, Any]
) -> str:
    """Write every file of a release into a folder; returns its version."""
    dataset.user_mapping.save(folder / layout.USER_MAPPING_FILE)
    dataset.item_mapping.save(folder / layout.ITEM_MAPPING_FILE)
    _write_ids(folder, "user", dataset.user_mapping)
    _write_ids(folder, "item", dataset.all_items)
    _write_catalogue(folder, dataset)
    _write_rows(folder, dataset)
    entries = {one.recommender.name: _write_recommender(folder, dataset, one) for one in trained}
    entries |= _carry_over(folder, models_dir, dataset.content_hash, set(entries))
    files = describe_files(folder)
    now = datetime.now(UTC)
    short_hash = hashlib.sha256(json.dumps(files).encode() + now.isoformat().encode()).hexdigest()[:4]
    manifest = Manifest(
        version=f"{now:%Y%m%dT%H%M%SZ}-{short_hash}",
        created_at=now.isoformat(),
        dataset={"hash": dataset.content_hash, **_dataset_facts(dataset)},
        code_version=__version__,
        libraries=_library_versions(entries),
        recommenders=entries,
        files=files,
        n_acted_on=dataset.n_items,
        facts=dict(facts),
    )
    manifest.save(folder / layout.MANIFEST_FILE)
    return manifest.version


def _write_recommender(folder: Path, dataset: Dataset, one: Trained) -> RecommenderEntry:
    before = _names(folder)
    recommender_facts = one.recommender.save(folder)
    if isinstance(one.recommender, VectorRecommender):
        recommender_facts |= write_norm_order(folder, one.recommender, dataset)
        use_norm_order(folder, one.recommender, recommender_facts)
    return RecommenderEntry(
        recipe=one.recipe,
        metrics=one.metrics,
        score_range=one.score_range,
        golden=_golden_query(one.recommender, dataset),
        facts={
            **recommender_facts,
            **({"chosen": one.chosen} if one.chosen else {}),
            **({"text_start": one.text_start} if one.text_start else {}),
        },
        files=sorted(_names(folder) - before),
        seconds=one.seconds,
        peak_memory_mb=one.peak_memory_mb,
    )


def _golden_query(recommender: Recommender, dataset: Dataset) -> dict[str, Any]:
    """The history of the first user it can answer for, and its answer."""
    histories = (dataset.history(user) for user in range(dataset.n_users))
    history = next((h for h in histories if recommender.why_not(h) is None), History.empty())
    plain = History(history.item_indices, history.weights)
    answer = recommender.recommend(plain, min(GOLDEN_ITEMS, recommender.n_items))
    return {
        "item_indices": plain.item_indices.tolist(),
        "weights": plain.weights.tolist(),
        "top": answer.item_indices.tolist(),
        "scores": answer.scores.tolist(),
    }


def served_for(models_dir: Path, dataset_hash: str) -> Release | None:
    """The served release if it was trained on this dataset and is whole.

    A served release that could not be served again gives nothing: training again is how it is mended.
    """
    served = layout.current_release_dir(models_dir)
    if served is None:
        return None
    try:
        if Manifest.load(served / layout.MANIFEST_FILE).dataset.get("hash") != dataset_hash:
            return None
        return open_release(served)
    except (RecsysError, OSError) as error:
        logger.warning("nothing carried over served=%s reason=%s", served.name, error)
        return None


def _carry_over(
    folder: Path, models_dir: Path, dataset_hash: str, trained_now: set[str]
) -> dict[str, RecommenderEntry]:
    """Link the files of the recommenders the served release has for the same dataset.

    What is put together from parts is not carried over beside a new part.
    """
    served = served_for(models_dir, dataset_hash)
    if served is None or served.manifest is None:
        return {}
    carried = {
        name: entry
        for name, entry in served.manifest.recommenders.items()
        if name not in trained_now and not trained_now & set(recommender_class(name).parts)
    }
    for entry in carried.values():
        for name in entry.files:
            os.link(models_dir / layout.RELEASES / served.version / name, folder / name)
    return carried


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _write_ids(folder: Path, side: str, ids: IdMap) -> None:
    packed = PackedIds.pack(ids.ids)
    for part, name in layout.IDS_FILES[side].items():
        np.save(folder / name, getattr(packed, part))


def _write_catalogue(folder: Path, dataset: Dataset) -> None:
    by_id = {item.id: item for item in dataset.catalogue.items} if dataset.catalogue else {}
    StoredCatalogue.from_items([by_id.get(i) for i in dataset.all_items.ids]).save(folder)


def _write_rows(folder: Path, dataset: Dataset) -> None:
    matrix = dataset.user_items
    np.save(folder / layout.ROWS_FILES["indptr"], matrix.indptr.astype(np.int64))
    np.save(folder / layout.ROWS_FILES["indices"], matrix.indices.astype(np.int32))
    np.save(folder / layout.ROWS_FILES["weights"], matrix.data.astype(np.float32))
    if dataset.last_event_at is not None:
        np.save(folder / layout.LAST_EVENT_FILE, dataset.last_event_at.data.astype(np.float64))


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    kept = (
        *("counts", "density", "weights", "options", "watermark", "exported_at", "ratings", "subsample"),
        "processed",  # the version, where `recsys process` made what was learned from
    )
    return {name: dataset.manifest[name] for name in kept if name in dataset.manifest}


def _library_versions(entries: Mapping[str, RecommenderEntry]) -> dict[str, str]:
    by_spark = any(entry.recipe.get("engine") == "spark" for entry in entries.values())
    names = (*LIBRARIES, "pyspark") if by_spark and find_spec("pyspark") else LIBRARIES
    return {name: importlib.metadata.version(name) for name in names}


def _sync_folder(folder: Path) -> None:
    """To the disk; and read-only from now on, since a reader may have a file mapped."""
    for path in folder.iterdir():
        with suppress(PermissionError):  # one carried over may belong to somebody else
            path.chmod(0o444)
        sync_file(path)
    sync_file(folder)


def _remove_abandoned(releases: Path) -> None:
    """What a killed publisher left behind; nobody else writes while the lock is held."""
    for path in releases.glob(".writing-*"):
        shutil.rmtree(path)
