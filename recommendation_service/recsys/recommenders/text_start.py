"""Item factors that begin at the items' texts: what nobody has acted on much has a place from the start.

Shared by als and bpr; the options stand in training_config.yaml, section `text_start`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from recsys.config import SectionConfig
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.engines.start import Start
from recsys.errors import ConfigError, DataError
from recsys.features.encoders import minilm_vectors
from recsys.features.item_vectors import FORMS, ItemVectors, load_item_vectors
from recsys.features.projection import METHODS, project
from recsys.features.text import TextModel
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.base import Recommender
from recsys.recommenders.bpr import BPRConfig, BPRRecommender
from recsys.recommenders.content import ContentConfig, fit_catalogue_text

NO_VECTORS, TFIDF, MINILM = "none", "tfidf", "minilm"
AT_RANDOM: Mapping[str, object] = {"vectors": NO_VECTORS, "keep_near": False}  # options of no text start
STARTED = (ALSRecommender.name, BPRRecommender.name)


@dataclass(frozen=True)
class TextStartConfig(SectionConfig):
    """How factors start from texts; the meanings stand in training_config.yaml."""

    section: ClassVar[str] = "text_start"
    vectors: str
    projection: str
    length: float
    freeze_items_first: bool
    keep_near: bool
    near_ridge: float

    def __post_init__(self) -> None:
        self.require(
            self.vectors in (NO_VECTORS, TFIDF, MINILM) or Path(self.vectors).suffix in FORMS,
            "vectors",
            f"{NO_VECTORS}, {TFIDF}, {MINILM}, or a file ending in {' or '.join(FORMS)}",
        )
        self.require(self.projection in METHODS, "projection", f"one of {', '.join(METHODS)}")
        self.require(0 < self.length <= 100, "length", "above 0, at most 100")
        self.require(0 < self.near_ridge <= 1e6, "near_ridge", "above 0, at most 1000000")


def start_from_text(
    recommender: Recommender, dataset: Dataset, overrides: Mapping[str, object]
) -> Recommender:
    """The recommender, about to start from texts if it is als or bpr and the options say so.

    Args:
        recommender: not fitted yet.
        dataset: what it will be fitted on.
        overrides: options given, over those of the configuration.

    Raises:
        ConfigError: an option cannot work.
        DataError: the vectors cannot be read, or are not of this dataset.
    """
    if recommender.name in STARTED and isinstance(recommender, ALSRecommender | BPRRecommender):
        config = TextStartConfig.default(**overrides)
        if config.vectors != NO_VECTORS:
            recommender.start_from(make_start(dataset, recommender.config, config))
    return recommender


def text_start_options(name: str, overrides: Mapping[str, object]) -> dict[str, object]:
    """The options by which `start_from_text` starts the recommender of this name; empty where it does not."""
    if name not in STARTED:
        return {}
    config = TextStartConfig.default(**overrides)
    return {} if config.vectors == NO_VECTORS else asdict(config)


def make_start(dataset: Dataset, recommender: ALSConfig | BPRConfig, config: TextStartConfig) -> Start:
    """Item factors of the dataset's mapping, projected from vectors of the items.

    The facts say what they are made of: source and version of the vectors, the share of the items that
    have one, the projection, its dimensions and the variance it keeps. An item without a vector begins
    at random, as without texts.

    Raises:
        ConfigError: items are to be kept near their texts by something else than als with irspack, or
            als is fitted by spark.
        DataError: as `read_vectors`, or none of the vectors is of an item of this dataset.
    """
    engine = recommender.engine if isinstance(recommender, ALSConfig) else ""
    if engine == "spark":
        raise ConfigError(
            f"text_start.vectors is {config.vectors}, but als with als.engine=spark draws its own start; set "
            f"text_start.vectors={NO_VECTORS}, or another engine."
        )
    if config.keep_near and engine != "irspack":
        raise ConfigError(
            f"text_start.keep_near is true, which als with als.engine=irspack alone can do, "
            f"not {recommender.section}; set that engine, or text_start.keep_near=false."
        )
    made, _ = read_vectors(dataset, config.vectors, at_least=recommender.factors)
    vectors, has_vector = made.aligned(dataset.item_mapping)
    projected = project(
        vectors,
        has_vector,
        factors=recommender.factors,
        method=config.projection,
        length=config.length,
        seed=recommender.seed,
    )
    return Start(
        projected.vectors,
        freeze_items_first=config.freeze_items_first,
        facts={**vector_facts(made, has_vector.mean()), **projected.facts},
        features=vectors if config.keep_near else None,
        features_ridge=config.near_ridge,
    )


def read_vectors(dataset: Dataset, source: str, *, at_least: int = 1) -> tuple[ItemVectors, TextModel]:
    """Vectors of a dataset's items, of those that have a text, and the text model that made them.

    The model is empty but for tfidf: the other vectors cannot be made here of a new text.

    Args:
        dataset: whose items; tfidf and minilm read its catalogue.
        source: tfidf, minilm, or a file.
        at_least: dimensions wanted of tfidf, where the catalogue has so many.

    Raises:
        ConfigError: minilm, and the text extra is not installed.
        DataError: there is no catalogue, it has no text, or the file cannot be used.
    """
    if source not in (TFIDF, MINILM):
        return load_item_vectors(Path(source)), TextModel.empty()
    if dataset.catalogue is None:
        raise DataError(
            f"Vectors by {source} need catalogue.parquet beside the matrix; export the dataset again, or "
            "name a file of vectors."
        )
    model = TextModel.empty()
    if source == MINILM:
        made = minilm_vectors(dataset.catalogue.items)
    else:
        content = ContentConfig.default()
        content = ContentConfig.default(dimensions=max(content.dimensions, at_least))
        model, vectors = fit_catalogue_text(dataset, content)
        made = ItemVectors(dataset.all_items.ids, vectors, TFIDF)
    says_something = made.vectors.any(axis=1)
    if not says_something.any():
        raise DataError(f"No item of the catalogue has a text {source} can read; add names or descriptions.")
    ids = np.array(made.ids, object)[says_something]
    return ItemVectors(tuple(ids), made.vectors[says_something], made.source), model


def vector_facts(made: ItemVectors, share_covered: float) -> dict[str, object]:
    """What a manifest says of vectors."""
    return {
        "vectors": made.source,
        "version": made.version,
        "share_covered": round(float(share_covered), 6),
    }
