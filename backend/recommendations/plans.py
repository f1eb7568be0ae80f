"""What a training is to do, from what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommendations.models import TrainingRun
from recsys.config import read_section
from recsys.errors import ConfigError
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.choosing import with_parts
from recsys.training.pipeline import TrainingPlan

ALWAYS_TRAINED = ("popularity", "content")  # what users that a recommender cannot answer fall back to


def training_plan(kind: str, parameters: Mapping[str, Any]) -> TrainingPlan:
    """The plan of a run of this kind with these hyper-parameters: recommender -> name -> value.

    Raises:
        ConfigError: a recommender or a hyper-parameter is unknown, or a value cannot work.
    """
    names = read_section(TrainingPlan.section)["recommenders"]
    if kind != TrainingRun.ALL:
        names = (*ALWAYS_TRAINED, *({kind} - set(ALWAYS_TRAINED)))
    if not all(isinstance(values, Mapping) for values in parameters.values()):
        raise ConfigError('Give hyper-parameters by recommender, such as {"als": {"factors": 64}}.')
    plan = TrainingPlan.default(recommenders=tuple(names), overrides=dict(parameters))
    idle = [name for name in parameters if name not in with_parts(names)]
    if idle:
        raise ConfigError(
            f"{idle[0]} has parameters but is not trained by this run, which trains {', '.join(names)}."
        )
    for name, values in parameters.items():
        RECOMMENDERS[name][1].default(**values)
    return plan
