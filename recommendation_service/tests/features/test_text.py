from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from recsys.datasets.catalogue import CatalogueItem
from recsys.features.text import count_terms, fit_text_model, tf_idf

WORDS = ["bank", "payment", "loan", "robot", "weld", "arm", "drug", "trial", "gene", "crop", "farm", "seed"]


def make_items(n_items: int, seed: int = 3) -> list[CatalogueItem]:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, size=9)) for _ in range(n_items)]
    return [CatalogueItem(id=str(i), name="", long_description=text) for i, text in enumerate(texts)]


def test_tf_idf_is_scikit_learns() -> None:
    items = make_items(40)
    counts = np.array(
        [[text.split().count(word) for word in sorted(WORDS)] for text in (i.long_description for i in items)]
    )
    expected = TfidfTransformer(sublinear_tf=True, smooth_idf=True, norm="l2").fit_transform(counts)

    model, _ = fit_text_model(items, dimensions=5, min_documents=1, max_document_share=1, tag_weight=1)
    ours = tf_idf([count_terms(item, 1.0) for item in items], model.vocabulary, model.idf)

    np.testing.assert_allclose(ours.toarray(), expected.toarray(), atol=1e-5)


@pytest.mark.parametrize("n_items", [30, 400])  # the dense and the sparse decomposition
def test_reduced_vectors_keep_likeness(n_items: int) -> None:
    items = make_items(n_items)
    model, vectors = fit_text_model(items, dimensions=12, min_documents=1, max_document_share=1, tag_weight=1)
    full = tf_idf([count_terms(item, 1.0) for item in items], model.vocabulary, model.idf)

    np.testing.assert_allclose(vectors @ vectors.T, (full @ full.T).toarray(), atol=1e-3)


def test_a_model_applied_to_its_own_catalogue_gives_the_fitted_vectors() -> None:
    items = make_items(50)
    model, vectors = fit_text_model(
        items, dimensions=6, min_documents=2, max_document_share=0.9, tag_weight=3
    )

    np.testing.assert_allclose(model.item_vectors(items), vectors, atol=1e-6)


def test_an_interest_finds_the_tag_of_the_same_name() -> None:
    items = [
        CatalogueItem(id=str(i), name="", short_description="we do things", tags=(tag,))
        for i, tag in enumerate(["Health Tech", "Fintech", "health-tech", "fintech"])
    ]
    model, vectors = fit_text_model(
        items, dimensions=4, min_documents=1, max_document_share=0.6, tag_weight=3
    )

    likeness = vectors @ model.interest_vector(["health tech"])

    assert likeness[0] == pytest.approx(likeness[2])
    assert likeness[0] > 0.9
    assert abs(likeness[1]) < 0.1


def test_words_of_other_scripts_and_symbols_are_kept() -> None:
    terms = count_terms(CatalogueItem(id="1", name="Éclair C++", short_description="数据 node.js"), 1.0)

    assert set(terms) == {"éclair", "c++", "数据", "node.js"}
