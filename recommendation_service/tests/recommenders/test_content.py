from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, DataError
from recsys.recommenders.content import ContentConfig, ContentRecommender
from recsys.recommenders.popularity import PopularityRecommender
from recsys.types import History


@pytest.fixture
def content(two_circles: Dataset) -> ContentRecommender:
    return ContentRecommender(ContentConfig.default(dimensions=4, popularity_share=0.2)).fit(two_circles)


def test_with_nothing_known_the_order_is_that_of_popularity(
    content: ContentRecommender, two_circles: Dataset
) -> None:
    popularity = PopularityRecommender().fit(two_circles)

    lists = [one.recommend(History.empty(), 18).item_indices.tolist() for one in (content, popularity)]

    assert lists[0] == lists[1]


def test_counts_a_logarithm_cannot_tell_apart_keep_their_order() -> None:
    n_users, day_s = 2_001, 86_400.0
    cells = np.zeros((n_users, 2))
    cells[:2_000, 0] = cells[:, 1] = 400 * day_s  # today
    cells[2_000, 1] = 10 * day_s  # thirteen half-lives ago
    rows, columns = cells.nonzero()
    acts = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)))
    dataset = Dataset(
        acts,
        IdMap(map(str, range(n_users))),
        IdMap("ab"),
        last_event_at=csr_matrix((cells[rows, columns], (rows, columns))),
        catalogue=Catalogue((CatalogueItem("a", "A"), CatalogueItem("b", "B"))),
    )

    content = ContentRecommender().fit(dataset)

    assert content.recommend(History.empty(), 2).item_indices.tolist() == [1, 0]


def test_likeness_counts_the_more_the_more_was_liked(content: ContentRecommender) -> None:
    items = np.array([0, 2, 4, 6, 8], np.int32)
    likes = [History(items[:n], np.full(n, 2.0, np.float32)) for n in range(6)]

    lengths = [float(np.linalg.norm(content.user_vector(history))) for history in likes]

    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[5] == pytest.approx(10 / (10 + content.config.prior_weight), rel=1e-3)


def test_interests_alone_bring_what_they_name(content: ContentRecommender) -> None:
    top = content.recommend(History.empty(("robot", "welding")), 5).item_indices

    assert (top % 2 == 1).all()


def test_a_dislike_lowers_startups_alike(content: ContentRecommender) -> None:
    likes_both = History(np.array([0, 1], np.int32), np.array([2.0, 2.0], np.float32))
    dislikes_banks = History(np.array([1, 2], np.int32), np.array([2.0, -1.0], np.float32))

    before, after = content.score_batch([likes_both, dislikes_banks])

    assert after[4] < before[4]


def test_a_few_items_score_as_among_all(content: ContentRecommender) -> None:
    history = History(np.array([0, 3], np.int32), np.array([2.0, -1.0], np.float32), None, ("robot",))
    few = np.array([7, 2, 4], np.int32)

    np.testing.assert_allclose(
        content.score_items(history, few), content.score_batch([history])[0][few], rtol=1e-6
    )


def test_a_startup_made_after_the_training_is_placed_by_its_text(content: ContentRecommender) -> None:
    new = CatalogueItem(id="new", name="Weldo", short_description="robot factory welding")

    extended = content.with_new_items([new])

    assert extended.n_items == content.n_items + 1
    similar = extended.similar_items(content.n_items, 3).item_indices
    assert (similar % 2 == 1).all()
    assert content.n_items == len(content.vectors)  # the original is as it was


def test_acts_and_interests_and_popularity_add_up_to_the_score(
    content: ContentRecommender, two_circles: Dataset
) -> None:
    history = replace(two_circles.history(0), interests=("robot",))
    everything = np.arange(content.n_items, dtype=np.int32)

    acts = content.contributions(history, everything).sum(axis=0)
    interests = content.interest_share(history, everything)

    popular = content.config.popularity_share * content.popularity
    np.testing.assert_allclose(acts + interests + popular, content.score_batch([history])[0], atol=1e-5)


def test_a_completion_of_another_size_is_refused(content: ContentRecommender, tmp_path: Path) -> None:
    content.save(tmp_path)
    np.save(tmp_path / "content_completion.npy", np.eye(5, 4, dtype=np.float32))

    with pytest.raises(ArtifactError, match=r"completion of shape \(5, 4\)"):
        ContentRecommender.load(tmp_path, asdict(content.config))


def test_no_catalogue_is_refused_with_the_mend(two_circles: Dataset) -> None:
    with pytest.raises(DataError, match=r"catalogue\.parquet"):
        ContentRecommender().fit(replace(two_circles, catalogue=None))


def test_a_catalogue_without_a_word_still_answers(two_circles: Dataset) -> None:
    two_circles = replace(two_circles, catalogue=None)
    bare = replace(two_circles, catalogue=type("Bare", (), {"items": (), "ids": ()})())

    content = ContentRecommender(ContentConfig.default()).fit(bare)

    assert content.text_model.dimensions == 0
    assert len(content.recommend(two_circles.history(0), 3).item_indices) == 3
