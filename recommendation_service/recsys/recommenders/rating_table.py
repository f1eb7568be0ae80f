"""The rating recommenders by name, each imported when it is asked for; nothing served reads this."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from recsys.config import SectionConfig
from recsys.errors import ConfigError
from recsys.recommenders.rating_base import RatingRecommender

# name -> its module, its class there, and the class of its configuration
RATING_RECOMMENDERS: Mapping[str, tuple[str, str, str]] = {
    "svd": ("recsys.recommenders.svd", "SVDRecommender", "SVDConfig"),
    "mf": ("recsys.recommenders.mf", "MFRecommender", "MFConfig"),
    "feature_als": ("recsys.recommenders.feature_als", "FeatureALSRecommender", "FeatureALSConfig"),
}


def rating_recommender_class(name: str) -> type[RatingRecommender]:
    """The class of a rating recommender.

    Raises:
        ConfigError: there is none of that name.
    """
    return _look_up(name)[0]


def rating_config_class(name: str) -> type[SectionConfig]:
    """The class of its hyper-parameters.

    Raises:
        ConfigError: there is none of that name.
    """
    return _look_up(name)[1]


def make_rating_recommender(name: str, **overrides: object) -> RatingRecommender:
    """An unfitted one with its configured defaults and some values replaced."""
    recommender, config = _look_up(name)
    return recommender(config.default(**overrides))  # type: ignore[call-arg]  # each takes its config


def _look_up(name: str) -> tuple[type[RatingRecommender], type[SectionConfig]]:
    if name not in RATING_RECOMMENDERS:
        known = ", ".join(RATING_RECOMMENDERS)
        raise ConfigError(f"There is no rating recommender {name!r}; there are {known}.")
    module_name, recommender, config = RATING_RECOMMENDERS[name]
    module = importlib.import_module(module_name)
    return getattr(module, recommender), getattr(module, config)
