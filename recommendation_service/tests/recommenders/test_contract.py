"""What every recommender promises, checked on each."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, DataError, InvalidRequestError, NotFittedError
from recsys.recommenders.base import Recommender
from recsys.recommenders.table import RECOMMENDERS, make_recommender, recommender_class
from recsys.types import History

SMALL = {
    "als_ratings": {"factors": 2, "iterations": 10, "regularization": 1.0},
    "als": {"factors": 2, "iterations": 10, "alpha": 5.0, "regularization": 1.0},
    "bpr": {"factors": 2, "epochs": 40, "n_popular": 0, "regularization": 0.05},
    "content": {"dimensions": 4, "prior_weight": 5.0},  # five acts tell these circles apart
    "hybrid_text": {"factors": 2, "epochs": 40, "n_popular": 0, "regularization": 0.05},
    "popularity": {},
    "two_tower": {"dimensions": 8, "epochs": 30, "batch_users": 8, "learning_rate": 0.02},
}


@pytest.fixture
def two_circles(two_circles: Dataset, request: pytest.FixtureRequest) -> Dataset:
    """The circles; for the recommender of ratings what was liked has 4 to 5 points, the rest 2."""
    asked_for = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if "als_ratings" not in asked_for.values():
        return two_circles
    cells = two_circles.user_items.copy()
    cells.data = np.where(cells.data > 0, 4.0 + cells.data / 3.5, -2.0).astype(np.float32)
    return replace(two_circles, user_items=cells)


def make(name: str) -> Recommender:
    return make_recommender(name, **SMALL.get(name, {}))


def fit(name: str, dataset: Dataset) -> Recommender:
    """Fitted, with the recommenders it is put together from."""
    recommender = make(name)
    recommender.attach({part: fit(part, dataset) for part in recommender.parts})
    return recommender.fit(dataset)


@pytest.fixture(params=sorted(RECOMMENDERS))
def fitted(request: pytest.FixtureRequest, two_circles: Dataset) -> Recommender:
    return fit(request.param, two_circles)


def test_a_batch_scores_as_one_by_one(fitted: Recommender, two_circles: Dataset) -> None:
    histories = [two_circles.history(user) for user in range(two_circles.n_users)]

    batch = fitted.score_batch(histories)

    one_by_one = np.concatenate([fitted.score_batch([history]) for history in histories])
    np.testing.assert_allclose(batch, one_by_one, rtol=1e-5, atol=1e-6)


def test_a_batch_of_lists_is_one_by_one(fitted: Recommender, two_circles: Dataset) -> None:
    histories = [two_circles.history(user) for user in range(two_circles.n_users)]
    seen = [history.item_indices for history in histories]

    batch = fitted.recommend_batch(histories, 5, exclude=seen)

    for history, left_out, together in zip(histories, seen, batch, strict=True):
        alone = fitted.recommend(history, 5, exclude=left_out)
        np.testing.assert_allclose(together.scores, alone.scores, rtol=1e-5, atol=1e-6)
        own = fitted.score_items(history, together.item_indices)
        np.testing.assert_allclose(own, together.scores, rtol=1e-4, atol=1e-5)
        assert not np.isin(together.item_indices, left_out).any()


def test_excluded_items_never_come_back(fitted: Recommender, two_circles: Dataset) -> None:
    history = two_circles.history(3)

    answer = fitted.recommend(history, fitted.n_items, exclude=history.item_indices)

    assert set(answer.item_indices) == set(range(fitted.n_items)) - set(history.item_indices)


def test_a_list_is_ordered_and_holds_each_item_once(fitted: Recommender, two_circles: Dataset) -> None:
    answer = fitted.recommend(two_circles.history(2), 7)

    assert len(set(answer.item_indices)) == 7
    assert (np.diff(answer.scores) <= 0).all()


def test_candidates_limit_the_list(fitted: Recommender, two_circles: Dataset) -> None:
    candidates = np.zeros(len(two_circles.all_items), np.bool_)
    candidates[[2, 5]] = True

    answer = fitted.recommend(two_circles.history(0), 10, candidates=candidates)

    assert set(answer.item_indices) == {2, 5}


def test_no_candidate_is_an_empty_list(fitted: Recommender, two_circles: Dataset) -> None:
    nothing = np.zeros(len(two_circles.all_items), np.bool_)

    assert len(fitted.recommend(two_circles.history(0), 10, candidates=nothing).item_indices) == 0


def test_save_and_load_change_nothing(fitted: Recommender, two_circles: Dataset, tmp_path: Path) -> None:
    histories = [two_circles.history(user) for user in range(4)]

    fitted.save(tmp_path)
    loaded = recommender_class(fitted.name).load(tmp_path, asdict(fitted.config))
    loaded.attach({part: fit(part, two_circles) for part in loaded.parts})

    np.testing.assert_array_equal(loaded.score_batch(histories), fitted.score_batch(histories))


def test_every_saved_array_loads_without_pickle(fitted: Recommender, tmp_path: Path) -> None:
    fitted.save(tmp_path)

    arrays = [np.load(path, allow_pickle=False) for path in tmp_path.glob("*.npy")]

    assert arrays
    assert all(np.isfinite(array).all() for array in arrays)


def test_the_same_data_gives_the_same_scores(fitted: Recommender, two_circles: Dataset) -> None:
    again = fit(fitted.name, two_circles)

    histories = [two_circles.history(5)]
    np.testing.assert_array_equal(again.score_batch(histories), fitted.score_batch(histories))


def test_loading_from_an_empty_folder_names_the_file(fitted: Recommender, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        recommender_class(fitted.name).load(tmp_path, asdict(fitted.config))


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_asked_before_it_is_fitted_it_says_so(name: str) -> None:
    with pytest.raises(NotFittedError, match=name):
        make(name).score_batch([History.empty()])


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_an_empty_matrix_is_refused_with_the_mend(name: str, two_circles: Dataset) -> None:
    empty = replace(two_circles, user_items=csr_matrix((3, 4), dtype=np.float32))

    with pytest.raises(DataError, match="No interactions found"):
        fit(name, empty)


@pytest.mark.parametrize(
    "name", ["als", "als_ratings", "bpr", "content", "ensemble", "hybrid_text", "two_tower"]
)
def test_the_two_circles_are_told_apart(name: str, two_circles: Dataset) -> None:
    recommender = fit(name, two_circles)

    for user in range(two_circles.n_users):
        history = two_circles.history(user)
        top = recommender.recommend(history, 3, exclude=history.item_indices).item_indices
        assert (top % 2 == user % 2).all()


@pytest.mark.parametrize(
    "name", ["als", "als_ratings", "bpr", "content", "ensemble", "hybrid_text", "two_tower"]
)
def test_similar_items_are_of_the_same_circle(name: str, two_circles: Dataset) -> None:
    recommender = fit(name, two_circles)

    similar = recommender.similar_items(4, 5)

    assert 4 not in similar.item_indices
    assert (similar.item_indices % 2 == 0).all()


def test_popularity_has_no_similar_items(two_circles: Dataset) -> None:
    with pytest.raises(InvalidRequestError, match="als or content"):
        fit("popularity", two_circles).similar_items(0, 5)


@pytest.mark.parametrize("name", ["content", "ensemble", "hybrid_text", "popularity", "two_tower"])
def test_startups_nobody_acted_on_are_scored(name: str, two_circles: Dataset) -> None:
    assert fit(name, two_circles).n_items == two_circles.n_items + 2
