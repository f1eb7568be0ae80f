"""A training by the hyper-parameters that a search has saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recsys.config import read_config
from recsys.datasets.user_items import Dataset
from recsys.experiments.trials import data_version
from recsys.experiments.tuned import tuned_overrides
from recsys.paths import experiments_dir
from recsys.training.choosing import Choices, merged, with_parts

if TYPE_CHECKING:
    from recsys.training.pipeline import TrainingPlan


def with_tuned(
    plan: TrainingPlan, dataset: Dataset
) -> tuple[TrainingPlan, dict[str, dict[str, Any]], list[str]]:
    """The plan with what was tuned in it, where it asks for that.

    What the plan itself overrides wins over what was tuned.

    Returns:
        the plan; for the manifest where each set of hyper-parameters came from; and a warning for each
        recommender that a search exists for and that was never tuned, or was tuned on other data.

    Raises:
        ArtifactError: tuned.json cannot be read.
    """
    if not plan.use_tuned:
        return plan, {}, []
    names = with_parts(plan.recommenders)
    overrides, facts = tuned_overrides(experiments_dir(), names, data_version(dataset))
    config = read_config()
    warnings = [
        f"{name} is trained as configured, for it was never tuned; run recsys tune {name} --stage coarse, "
        "then fine, then validate."
        for name in names
        if f"{name}_search" in config and name not in overrides
    ]
    warnings += [
        f"{name} is trained by what was tuned on other data, version {about['tuned_on']}, at "
        f"{about['tuned_at']}."
        for name, about in facts.items()
        if not about["is_same_data"]
    ]
    return replace(plan, overrides=merged(overrides, plan.overrides)), facts, warnings


def with_facts(choices: Choices, tuned: Mapping[str, Mapping[str, Any]]) -> Choices:
    """The choices of a training with, for each recommender, where its hyper-parameters came from."""
    facts = {
        name: {**choices.facts.get(name, {}), **tuned.get(name, {})} for name in {*choices.facts, *tuned}
    }
    return replace(choices, facts=facts)
