"""A training by the hyper-parameters of the best kept versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.artifacts.promote import kept_releases
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError
from recsys.experiments.registry import METRIC, Best, best_versions
from recsys.experiments.trials import data_version
from recsys.recommenders.table import make_recommender
from recsys.recommenders.text_start import TextStartConfig, text_start_options
from recsys.training.choosing import merged, with_parts

if TYPE_CHECKING:
    from recsys.training.pipeline import TrainingPlan


def with_best(
    plan: TrainingPlan, dataset: Dataset, models_dir: Path
) -> tuple[TrainingPlan, dict[str, dict[str, Any]], list[str]]:
    """The plan with the recipe of each recommender's best kept version in it.

    What the plan itself overrides wins over a recipe.

    Returns:
        the plan; for the manifest where each recipe came from; and a warning for each recommender that no
        kept release has measured, whose best was measured on other data, or started from texts otherwise.

    Raises:
        ConfigError: no kept release has measured any of them.
        ArtifactError: a recipe cannot work any more.
    """
    names = with_parts(plan.recommenders)
    kept = best_versions(kept_releases(models_dir))
    best = {name: kept[name] for name in names if name in kept}
    if not best:
        raise ConfigError(
            f"No kept release in {models_dir} has measured {' or '.join(names)}, so there is no best "
            "recipe to take; train without --best first."
        )
    warnings = [
        f"{name} is trained as configured, for no kept release has measured it."
        for name in names
        if name not in best
    ]
    here = data_version(dataset)
    for name, one in best.items():
        _check(one)
        if one.data != here:
            warnings.append(
                f"{name} is trained by the recipe of release {one.version}, the best of what was measured on "
                f"other data, version {one.data}."
            )
        text_start = text_start_options(name, plan.overrides.get(TextStartConfig.section, {}))
        if text_start != one.text_start:
            warnings.append(
                f"{name} of release {one.version} had text_start {dict(one.text_start) or 'off'}, this "
                f"training has {text_start or 'off'}; say it with --set text_start.NAME=VALUE."
            )
    recipes = {name: dict(one.recipe) for name, one in best.items()}
    return replace(plan, overrides=merged(recipes, plan.overrides)), _facts(best, here), warnings


def _facts(best: dict[str, Best], here: str) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "best_release": one.version,
            f"best_{METRIC}": one.mean,
            "best_says": one.says,
            "best_parameters": dict(one.recipe),
            "is_same_data": one.data == here,
        }
        for name, one in best.items()
    }


def _check(one: Best) -> None:
    """Say where it stands, for whoever asks for a training has never typed it."""
    try:
        make_recommender(one.recommender, **one.recipe)
    except ConfigError as error:
        raise ArtifactError(
            f"The recipe of {one.recommender} in release {one.version} cannot be used: {error} Train without "
            "--best, and name the values to keep with --set."
        ) from error
