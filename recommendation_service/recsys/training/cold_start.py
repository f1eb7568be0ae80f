"""What texts did for items with few acts: measured at every training in which a recommender read them."""

from __future__ import annotations

from typing import Any

from recsys.datasets.splits import Split
from recsys.evaluation.cold_items import compare_cold_items
from recsys.recommenders.base import Recommender
from recsys.recommenders.text_start import AT_RANDOM, TextStartConfig, text_start_options
from recsys.training.choosing import Overrides, fit_one, merged

HYBRID, WITHOUT_TEXTS = "hybrid_text", "bpr"


def cold_item_figures(
    recommender: Recommender, split: Split, overrides: Overrides, *, k: int, seed: int
) -> dict[str, Any] | None:
    """Figures on cold items beside the same recommender without texts; None where it read none.

    als and bpr are fitted once more, from a random start; hybrid_text is compared with bpr as configured.

    Args:
        recommender: fitted on `split.train`.
        split: what was held back.
        overrides: hyper-parameters it was fitted with.
        k: where lists are cut off.
        seed: of the bootstrap.
    """
    name = recommender.name
    if name == HYBRID:
        return compare_cold_items(
            recommender,
            fit_one(WITHOUT_TEXTS, split.train, _without_texts(overrides), {}),
            split,
            against=WITHOUT_TEXTS,
            k=k,
            seed=seed,
        )
    if not text_start_options(name, overrides.get(TextStartConfig.section, {})):
        return None
    plain = fit_one(name, split.train, _without_texts(overrides), {})
    return compare_cold_items(recommender, plain, split, against="random_start", k=k, seed=seed)


def _without_texts(overrides: Overrides) -> Overrides:
    return merged(overrides, {TextStartConfig.section: dict(AT_RANDOM)})
