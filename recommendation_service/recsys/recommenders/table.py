"""The recommenders by name: the trainer, the releases and the console all read this table."""

from __future__ import annotations

from recsys.config import SectionConfig
from recsys.engines.als_config import ALSConfig
from recsys.errors import ConfigError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.als_ratings import ALSRatingsConfig, ALSRatingsRecommender
from recsys.recommenders.base import Recommender
from recsys.recommenders.bpr import BPRConfig, BPRRecommender
from recsys.recommenders.content import ContentConfig, ContentRecommender
from recsys.recommenders.ensemble import EnsembleConfig, EnsembleRecommender
from recsys.recommenders.hybrid_text import HybridTextConfig, HybridTextRecommender
from recsys.recommenders.popularity import PopularityConfig, PopularityRecommender
from recsys.recommenders.two_tower import TwoTowerConfig, TwoTowerRecommender

BASELINE = PopularityRecommender.name  # what every figure stands beside

RECOMMENDERS: dict[str, tuple[type[Recommender], type[SectionConfig]]] = {
    "popularity": (PopularityRecommender, PopularityConfig),
    "content": (ContentRecommender, ContentConfig),
    "als": (ALSRecommender, ALSConfig),
    "als_ratings": (ALSRatingsRecommender, ALSRatingsConfig),
    "bpr": (BPRRecommender, BPRConfig),
    "hybrid_text": (HybridTextRecommender, HybridTextConfig),
    "two_tower": (TwoTowerRecommender, TwoTowerConfig),
    "ensemble": (EnsembleRecommender, EnsembleConfig),
}


def recommender_class(name: str) -> type[Recommender]:
    """The class of a recommender.

    Raises:
        ConfigError: there is none of that name.
    """
    return _look_up(name)[0]


def make_recommender(name: str, **overrides: object) -> Recommender:
    """An unfitted recommender with its configured defaults and some values replaced."""
    recommender, config = _look_up(name)
    return recommender(config.default(**overrides))  # type: ignore[call-arg]  # each takes its config


def _look_up(name: str) -> tuple[type[Recommender], type[SectionConfig]]:
    if name not in RECOMMENDERS:
        raise ConfigError(f"There is no recommender {name!r}; there are {', '.join(RECOMMENDERS)}.")
    return RECOMMENDERS[name]
