from __future__ import annotations

from dataclasses import replace

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


@pytest.fixture
def topics() -> list[CatalogueItem]:
    """Even ones are of money, odd ones of machines, by their words and by their tags."""
    rng = np.random.default_rng(11)
    return [
        CatalogueItem(
            str(i), " ".join(rng.choice(WORDS[3 * (i % 2) :][:3], 4)), tags=(("money", "machines")[i % 2],)
        )
        for i in range(40)
    ]


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
    items = [replace(item, tags=("odd",) if i % 3 == 0 else ()) for i, item in enumerate(make_items(50))]
    model, vectors = fit_text_model(
        items, dimensions=6, min_documents=2, max_document_share=0.9, tag_weight=3
    )

    np.testing.assert_allclose(model.item_vectors(items), vectors, atol=1e-6)


def test_a_startup_without_tags_stands_where_its_text_does(topics: list[CatalogueItem]) -> None:
    model, vectors = fit_text_model(
        topics, dimensions=6, min_documents=1, max_document_share=1, tag_weight=20
    )
    bank, robot = CatalogueItem("b", "bank loan"), CatalogueItem("r", "robot arm", tags=("never seen",))

    likeness = model.item_vectors([bank, robot]) @ vectors.T
    uncompleted = (
        replace(model, completion=np.eye(6, dtype=np.float32)).item_vectors([bank, robot]) @ vectors.T
    )

    own = np.array([np.arange(len(topics)) % 2 == 0, np.arange(len(topics)) % 2 == 1])
    assert likeness[own].mean() > uncompleted[own].mean() + 0.2
    assert likeness[own].min() > likeness[~own].max()


def test_where_no_startup_has_tags_nothing_is_completed() -> None:
    model, _ = fit_text_model(
        make_items(40), dimensions=5, min_documents=1, max_document_share=1, tag_weight=1
    )

    np.testing.assert_allclose(model.completion, np.eye(5), atol=1e-6)


@pytest.mark.parametrize("tags", [("money",), ()])
def test_the_loadings_of_its_terms_add_up_to_a_startups_vector(
    topics: list[CatalogueItem], tags: tuple[str, ...]
) -> None:
    model, _ = fit_text_model(topics, dimensions=5, min_documents=1, max_document_share=1, tag_weight=4)
    item = CatalogueItem("x", "loan", long_description="loan payment payment unheard", tags=tags)

    terms, loadings = model.term_loadings(item)

    assert terms == ["loan", "payment", *(f"tag:{tag}" for tag in tags)]
    np.testing.assert_allclose(loadings.sum(axis=0), model.item_vectors([item])[0], atol=1e-5)


@pytest.mark.parametrize(("n_items", "is_known"), [(1_200, False), (200, True)])
def test_a_word_of_many_startups_tells_nothing_but_a_tag_does(n_items: int, is_known: bool) -> None:
    items = [
        CatalogueItem(
            str(i), "", "company" if i % 5 == 0 else f"w{i % 40}", tags=("b2b",) if i % 5 < 2 else ()
        )
        for i in range(n_items)
    ]
    model, _ = fit_text_model(items, dimensions=4, min_documents=1, max_document_share=0.1, tag_weight=1)

    assert ("company" in model.vocabulary) == is_known
    assert "tag:b2b" in model.vocabulary


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
