"""Startups like one: the blend against its rule worked out by hand, each model alone, what has a say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts.release import Release, open_current
from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import InvalidRequestError, UnavailableError
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.served import Served, combine
from recsys.serving.similar import MIN_USERS, explain_similar, find_similar


@pytest.fixture
def release(watcher) -> Release:  # type: ignore[no-untyped-def]
    assert watcher.release is not None
    return watcher.release


@pytest.fixture
def served(release: Release) -> Served:
    return combine(release, LiveCatalogue())


def cosines(served: Served, name: str, item: int) -> np.ndarray:
    vectors = served.recommenders[name].item_vectors()
    assert vectors is not None
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return (unit @ unit[item]).astype(np.float64)


def test_the_blend_is_the_mean_of_each_models_cosines_in_deviations_from_their_mean(served: Served) -> None:
    users = np.bincount(served.release.user_items.indices, minlength=44)
    item = int(users.argmax())
    others = np.arange(44) != item
    blend = np.zeros(44)
    by_behaviour = (users >= MIN_USERS) & (np.arange(44) < 40)
    models = {"als": by_behaviour, "two_tower": by_behaviour, "content": np.ones(44, bool)}
    for name, known in models.items():
        found = np.zeros(44)
        cosine = cosines(served, name, item)
        found[: len(cosine)] = cosine
        mine = known & others
        blend += np.where(mine, (found - found[mine].mean()) / found[mine].std(), 0.0) / len(models)
    blend[[item, 36]] = -np.inf  # itself, and the inactive one

    like = find_similar(served, item, 10)

    assert like.method == "blend"
    assert set(like.ranked.item_indices.tolist()) == set(np.argsort(-blend)[:10].tolist())
    np.testing.assert_allclose(like.ranked.scores, np.sort(blend)[::-1][:10], atol=1e-4)
    assert (np.diff(like.scores) <= 0).all()
    assert ((like.scores > 0) & (like.scores < 1)).all()


def test_a_startup_few_acted_on_is_compared_by_its_text_alone(served: Served) -> None:
    like = find_similar(served, 41, 5)
    assert (like.method, like.declined) == ("content", ())
    assert all(index % 2 == 1 for index in like.ranked.item_indices)
    assert set(like.sources) == {"content"}


@pytest.mark.parametrize("method", ["als", "two_tower", "content"])
def test_one_model_alone_ranks_by_its_own_cosines(served: Served, method: str) -> None:
    like = find_similar(served, 4, 40, method)
    expected = cosines(served, method, 4)
    assert like.method == method
    assert 4 not in like.ranked.item_indices
    assert 36 not in like.ranked.item_indices
    np.testing.assert_allclose(like.ranked.scores, expected[like.ranked.item_indices], atol=1e-5)
    assert (np.diff(like.ranked.scores) <= 0).all()


def test_a_model_asked_for_that_cannot_compare_says_why(
    served: Served, models_without_two_tower: Path
) -> None:
    with pytest.raises(InvalidRequestError, match="als does not know this startup"):
        find_similar(served, 41, 5, "als")
    without = combine(open_current(models_without_two_tower), LiveCatalogue())
    with pytest.raises(InvalidRequestError, match="two_tower not trained"):
        find_similar(without, 4, 5, "two_tower")


def test_without_one_of_the_two_the_other_answers_and_the_answer_says_so(release: Release) -> None:
    only_als = replace(release, recommenders={"als": release.recommenders["als"]})
    like = find_similar(combine(only_als, LiveCatalogue()), 4, 5)
    assert (like.method, like.declined) == ("als", ("content not trained",))
    only_content = replace(release, recommenders={"content": release.recommenders["content"]})
    like = find_similar(combine(only_content, LiveCatalogue()), 4, 5)
    assert (like.method, like.declined) == ("content", ("als not trained",))
    neither = replace(release, recommenders={"popularity": release.recommenders["popularity"]})
    with pytest.raises(UnavailableError, match="content not trained; als not trained"):
        find_similar(combine(neither, LiveCatalogue()), 4, 5)


def test_a_startup_without_a_word_has_nothing_similar_and_the_answer_says_so(release: Release) -> None:
    blank = CatalogueItem(id="blank", name="")
    served = combine(release, LiveCatalogue(version=1, startups={"blank": blank}))
    like = find_similar(served, int(served.items.indices(["blank"])[0]), 5)
    assert (like.method, len(like.ranked.item_indices)) == ("content", 0)
    assert like.declined == ("content knows nothing of this startup", "als does not know this startup")


def test_reasons_tell_what_the_two_have_in_common(served: Served) -> None:
    texts = explain_similar(served, 40, np.array([42, 41], np.int32), ("content", "content"))
    assert texts == ["Also in fintech", "Described in similar words"]
    more_than_a_view = served.release.user_items.toarray() > 0.5
    both = (more_than_a_view[:, [4]] & more_than_a_view).sum(axis=0)
    together = int(np.flatnonzero((both > 1) & (np.arange(40) != 4))[0])
    of_its_kind, other_kind = (
        int(np.flatnonzero((both < 2) & (np.arange(40) % 2 == parity))[0]) for parity in (0, 1)
    )
    chosen = explain_similar(served, 4, np.array([together, of_its_kind, other_kind], np.int32), ("als",) * 3)
    assert chosen == [
        "Chosen by the same people",
        "Also in fintech",
        "Chosen by people with the same taste",
    ]


def test_who_only_looked_at_both_has_not_chosen_them(release: Release) -> None:
    weights = np.zeros(release.user_items.shape, np.float32)
    weights[:10, [4, 5]] = 0.5
    served = combine(replace(release, user_items=csr_matrix(weights)), LiveCatalogue())
    assert explain_similar(served, 4, np.array([5], np.int32), ("als",)) == [
        "Chosen by people with the same taste"
    ]
    weights[:2, [4, 5]] = 1.0
    served = combine(replace(release, user_items=csr_matrix(weights)), LiveCatalogue())
    assert explain_similar(served, 4, np.array([5], np.int32), ("als",)) == ["Chosen by the same people"]


def test_what_nobody_acted_on_is_never_there_because_of_behaviour(served: Served) -> None:
    """Content finds it less alike than the average; that als knows nothing of it is no vote of als."""
    item = int(np.bincount(served.release.user_items.indices, minlength=40).argmax())
    like = find_similar(served, item, 43)
    never_acted_on = like.ranked.item_indices >= 40
    sources = np.array(like.sources)
    assert like.method == "blend"
    assert never_acted_on.sum() == 4
    assert set(sources[never_acted_on]) == {"content"}
    assert "als" in sources


def test_what_no_model_knows_anything_of_is_like_nothing(release: Release) -> None:
    blank = CatalogueItem(id="blank", name="")
    served = combine(release, LiveCatalogue(version=1, startups={"blank": blank}))
    item = int(served.n_users_of_item.argmax())
    like = find_similar(served, item, 100)
    assert like.method == "blend"
    assert served.items.indices(["blank"])[0] not in like.ranked.item_indices
