"""What a training takes from the served release: its figures, and the other part of an ensemble."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from recsys.artifacts.layout import MANIFEST_FILE, current_release_dir, release_dirs
from recsys.artifacts.manifest import Manifest, RecommenderEntry
from recsys.artifacts.publish import Trained, served_for
from recsys.config import read_section
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError
from recsys.evaluation.evaluate import Evaluation
from recsys.recommenders.ensemble import EnsembleConfig, EnsembleRecommender
from recsys.training.choosing import Overrides
from recsys.training.measuring import peak_memory_mb, score_range_of

logger = logging.getLogger(__name__)


def served_entries(models_dir: Path) -> Mapping[str, RecommenderEntry]:
    """What the served release says of its recommenders; nothing when no release can be read.

    Where the served one is damaged or deleted, the newest kept one speaks for it, as it answers for it.
    """
    served = current_release_dir(models_dir)
    kept = [folder for folder in reversed(release_dirs(models_dir)) if folder != served]
    for folder in (*([served] if served is not None else ()), *kept):
        try:
            return Manifest.load(folder / MANIFEST_FILE).recommenders
        except ArtifactError as error:
            logger.warning("release not compared with release=%s reason=%s", folder.name, error)
    return {}


def compare_with_its_day(
    entries: Mapping[str, RecommenderEntry], evaluations: Mapping[str, Evaluation]
) -> list[str]:
    """A warning for each recommender that measures worse than the served one did on its own data."""
    warnings = []
    for name, evaluation in evaluations.items():
        metric = f"ndcg@{evaluation.k}"
        before = entries[name].metrics.get("metrics", {}).get(metric) if name in entries else None
        now = evaluation.metrics[metric]
        if before is not None and now["mean"] < before["low"]:
            warnings.append(
                f"{name} measures worse than the served release: {metric} {now['mean']:.4f}, it had "
                f"{before['mean']:.4f} (95 % from {before['low']:.4f}) on the data of its day."
            )
    return warnings


def put_together(
    dataset: Dataset,
    models_dir: Path,
    trained: Sequence[Trained],
    overrides: Overrides,
    warnings: list[str],
) -> list[Trained]:
    """The ensemble anew, when one part was trained now and the other is served for the same dataset."""
    fitted = {one.recommender.name: one.recommender for one in trained}
    parts = set(EnsembleRecommender.parts)
    if "ensemble" in fitted or not parts & set(fitted):
        return []
    served = served_for(models_dir, dataset.content_hash)
    if served is None or served.manifest is None or not parts <= set(fitted) | set(served.recommenders):
        return []
    before = served.manifest.recommenders.get("ensemble")
    if before is None and "ensemble" not in read_section("training")["recommenders"]:
        return []
    recipe = {**(before.recipe if before else {}), **overrides.get("ensemble", {})}
    ensemble = EnsembleRecommender(EnsembleConfig.default(**recipe))
    ensemble.attach({**served.recommenders, **fitted})
    ensemble.fit(dataset)
    warnings.append(
        f"The ensemble is put together from what is new and what is served, als_share "
        f"{ensemble.config.als_share:g} as {'before' if before else 'configured'}, and not measured; "
        "./train_all_models.sh chooses and measures it."
    )
    ranges = score_range_of(ensemble, dataset, np.arange(dataset.n_users))
    return [Trained(ensemble, asdict(ensemble.config), 0.0, peak_memory_mb(), score_range=ranges)]
