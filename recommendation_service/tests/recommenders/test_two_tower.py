from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import CatalogueItem, UserTable
from recsys.datasets.splits import Split, split_random
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.recommenders.two_tower import Towers, TwoTowerConfig, TwoTowerRecommender
from recsys.types import History

SMALL = {"dimensions": 8, "epochs": 30, "batch_users": 8, "learning_rate": 0.02}
BANKS, ROBOTS = ("bank", "lending"), ("robot", "welding")


def make(**overrides: object) -> TwoTowerRecommender:
    return TwoTowerRecommender(TwoTowerConfig.default(**{**SMALL, **overrides}))


@pytest.fixture
def told_circles(two_circles: Dataset) -> Dataset:
    """The two circles, each user interested in what their circle is about."""
    ids = two_circles.user_mapping.ids
    interests = tuple((BANKS, ROBOTS)[user % 2] for user in range(len(ids)))
    return replace(two_circles, users=UserTable(ids, interests, (False,) * len(ids)))


@pytest.fixture
def two_tower(told_circles: Dataset) -> TwoTowerRecommender:
    return make().fit(told_circles)


def acts(liked: list[int], disliked: Sequence[int] = ()) -> History:
    items = np.array([*liked, *disliked], np.int32)
    weights = np.array([2.0] * len(liked) + [-1.0] * len(disliked), np.float32)
    return History(items, weights)


def without(history: History, position: int) -> History:
    kept = np.arange(len(history.item_indices)) != position
    return replace(history, item_indices=history.item_indices[kept], weights=history.weights[kept])


def everything(two_tower: TwoTowerRecommender) -> np.ndarray:
    return np.arange(two_tower.n_items, dtype=np.int32)


def test_acts_and_interests_add_up_to_the_score(
    two_tower: TwoTowerRecommender, told_circles: Dataset
) -> None:
    history = told_circles.history(0)  # holds a dislike

    shares = two_tower.contributions(history, everything(two_tower)).sum(axis=0)
    interests = two_tower.interest_share(history, everything(two_tower))

    assert np.abs(interests).min() > 0
    np.testing.assert_allclose(shares + interests, two_tower.score_batch([history])[0], atol=1e-5)


def test_a_tilt_multiplies_what_the_softmax_says_by_a_power_of_popularity(two_circles: Dataset) -> None:
    plain, tilted = (make(epochs=3, popularity_tilt=tilt).fit(two_circles) for tilt in (0.0, 0.5))
    history = two_circles.history(3)
    length = np.linalg.norm(plain.user_vector(history))

    before, after = (one.score_batch([history])[0] / length for one in (plain, tilted))

    n_users = np.zeros(plain.n_items)
    n_users[: two_circles.n_items] = np.diff(two_circles.positive.tocsc().indptr)
    relative = np.maximum(n_users, 1) / n_users[n_users > 0].mean()
    odds = np.exp((after - before) / plain.config.temperature)
    np.testing.assert_allclose(odds, relative**0.5, rtol=1e-3)


def test_with_a_tilt_a_new_startup_is_as_unpopular_as_the_least(two_circles: Dataset) -> None:
    tilted = make(epochs=3, popularity_tilt=0.5).fit(two_circles)

    extended = tilted.with_new_items([CatalogueItem(id="new", name="Qwertz")])

    assert extended.item_vectors()[-1, -1] == tilted.item_vectors()[:, -1].min()


def test_taking_the_strongest_act_out_lowers_the_score(
    two_tower: TwoTowerRecommender, two_circles: Dataset
) -> None:
    for user in range(two_circles.n_users):
        history = two_circles.history(user)
        top = two_tower.recommend(history, 3, exclude=history.item_indices)
        shares = two_tower.contributions(history, top.item_indices)
        for column, item in enumerate(top.item_indices):
            weaker = without(history, int(shares[:, column].argmax()))
            assert two_tower.score_batch([weaker])[0][item] < top.scores[column]


def test_a_dislike_lowers_what_is_like_it(two_tower: TwoTowerRecommender) -> None:
    before, after = two_tower.score_batch([acts([1, 3, 5, 0]), acts([1, 3, 5, 0], [7])])

    rank_before, rank_after = (np.argsort(np.argsort(-scores)) for scores in (before, after))
    robots = np.array([9, 11, 13, 15])
    assert rank_after[robots].mean() > rank_before[robots].mean()
    assert (after[robots] < before[robots]).all()


def test_a_startup_made_after_the_training_is_placed_by_its_text(two_tower: TwoTowerRecommender) -> None:
    new = CatalogueItem(id="new", name="Weldo", short_description="robot factory welding")

    extended = two_tower.with_new_items([new])

    assert extended.n_items == two_tower.n_items + 1 == len(extended.item_vectors())
    scores = extended.score_batch([acts([1, 3, 5]), acts([0, 2, 4])])[:, two_tower.n_items]
    assert scores[0] > scores[1]
    similar = extended.similar_items(two_tower.n_items, 3).item_indices
    assert (similar % 2 == 1).all()


def test_an_act_on_a_startup_made_after_the_training_counts(two_tower: TwoTowerRecommender) -> None:
    extended = two_tower.with_new_items(
        [CatalogueItem(id="new", name="Weldo", short_description="robot factory welding")]
    )

    top = extended.recommend(acts([two_tower.n_items]), 5).item_indices

    assert two_tower.why_not(acts([two_tower.n_items])) is not None
    assert extended.why_not(acts([two_tower.n_items])) is None
    assert (top[top < two_tower.n_items] % 2 == 1).all()


def test_a_new_startup_of_unknown_words_scores_zero(two_tower: TwoTowerRecommender) -> None:
    extended = two_tower.with_new_items([CatalogueItem(id="new", name="Qwertz")])

    assert extended.score_batch([acts([1, 3])])[0][-1] == 0.0


def test_interests_alone_bring_what_they_name(two_tower: TwoTowerRecommender) -> None:
    top = two_tower.recommend(History.empty(ROBOTS), 5).item_indices

    assert (top % 2 == 1).all()


@pytest.mark.parametrize(
    "history", [History.empty(), acts([], [3]), acts([999]), History.empty(("qwertz",))], ids=repr
)
def test_without_a_known_like_or_interest_it_cannot_answer(
    two_tower: TwoTowerRecommender, history: History
) -> None:
    assert "no positive act or interest" in str(two_tower.why_not(history))


def test_a_stronger_act_counts_more(two_tower: TwoTowerRecommender) -> None:
    signals = two_tower._fitted().act_weights(np.array([0.5, 2.0, 5.0, -1.0], np.float32))

    assert (np.diff(signals[:3]) > 0).all()
    assert signals[3] <= -0.5


def test_without_a_catalogue_it_learns_from_acts_alone(two_circles: Dataset) -> None:
    two_tower = make().fit(replace(two_circles, catalogue=None))

    history = two_circles.history(4)
    top = two_tower.recommend(history, 2, exclude=history.item_indices).item_indices
    assert two_tower.n_items == two_circles.n_items
    assert (top % 2 == 0).all()
    assert not two_tower.score_batch([History.empty(ROBOTS)]).any()


def test_a_dataset_of_single_acts_is_refused_with_the_mend(two_circles: Dataset) -> None:
    single = csr_matrix(np.eye(two_circles.n_users, two_circles.n_items, dtype=np.float32))

    with pytest.raises(DataError, match="two positive cells"):
        make().fit(replace(two_circles, user_items=single, last_event_at=None))


@pytest.fixture
def validation(two_circles: Dataset) -> Split:
    return split_random(two_circles, 0.3, seed=1)


def test_early_stopping_keeps_the_best_epoch(validation: Split) -> None:
    stopped = make(patience=4).fit_early_stopping(validation)

    measured = [point["ndcg"] for point in stopped.learning_curve]
    assert stopped.best_epoch == int(np.argmax(measured)) + 1
    assert len(measured) in (stopped.best_epoch + 4, SMALL["epochs"])
    as_long = make(epochs=stopped.best_epoch).fit(validation.train)
    np.testing.assert_array_equal(as_long.item_vectors(), stopped.item_vectors())


def test_early_stopping_needs_something_held_back(validation: Split) -> None:
    nothing = replace(validation, test=csr_matrix(validation.test.shape, dtype=np.float32))

    with pytest.raises(DataError, match="held-back"):
        make().fit_early_stopping(nothing)


def test_the_learning_curve_is_among_the_facts_of_a_release(validation: Split, tmp_path: Path) -> None:
    facts = make(epochs=3).fit_early_stopping(validation).save(tmp_path)

    curve = json.loads(json.dumps(facts))["learning_curve"]
    assert [point["epoch"] for point in curve] == [1, 2, 3]
    assert all(0 <= point["ndcg"] <= 1 and point["loss"] > 0 and point["seconds"] >= 0 for point in curve)
    assert facts["best_epoch"] in (1, 2, 3)


def test_progress_rises_within_an_epoch_to_the_whole(two_circles: Dataset) -> None:
    seen: list[float] = []

    make(epochs=2).fit(two_circles, lambda report: seen.append(report.fraction))

    assert len(seen) == 2 * 4  # 30 users in batches of 8
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_answering_needs_no_torch(two_tower: TwoTowerRecommender, tmp_path: Path) -> None:
    two_tower.save(tmp_path)
    recipe = json.dumps(asdict(two_tower.config))
    program = (
        "import json, sys; from pathlib import Path; import numpy as np\n"
        "from recsys.recommenders.table import recommender_class; from recsys.types import History\n"
        "two_tower = recommender_class('two_tower').load(Path(sys.argv[1]), json.loads(sys.argv[2]))\n"
        "history = History(np.array([1, 3], np.int32), np.array([2, 2], np.float32))\n"
        "print(json.dumps([two_tower.recommend(history, 3).item_indices.tolist(), 'torch' in sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), recipe],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )

    expected = two_tower.recommend(acts([1, 3]), 3).item_indices.tolist()
    assert json.loads(ran.stdout) == [expected, False]


def test_a_tower_of_another_size_is_refused(two_tower: TwoTowerRecommender, tmp_path: Path) -> None:
    two_tower.save(tmp_path)
    np.save(tmp_path / "two_tower_inputs.npy", two_tower._fitted().inputs[:-1])

    with pytest.raises(ArtifactError, match="do not fit each other"):
        TwoTowerRecommender.load(tmp_path, asdict(two_tower.config))


def test_a_text_model_of_another_training_is_refused(two_tower: TwoTowerRecommender, tmp_path: Path) -> None:
    two_tower.save(tmp_path)
    np.save(tmp_path / "two_tower_components.npy", two_tower.text_model.components[:, :-1])

    with pytest.raises(ArtifactError, match="text model of two_tower"):
        TwoTowerRecommender.load(tmp_path, asdict(two_tower.config))


def test_towers_survive_saving_bit_for_bit(two_tower: TwoTowerRecommender, tmp_path: Path) -> None:
    two_tower.save(tmp_path)

    loaded = asdict(Towers.load(tmp_path, SMALL["dimensions"]))

    for name, array in asdict(two_tower._fitted()).items():
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", 0),
        ("epochs", 0),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("loss", "hinge"),
        ("temperature", 0.0),
        ("margin", 1.0),
        ("negatives", 0),
        ("history_share", 1.0),
        ("dislike_negatives", 0.0),
        ("id_dropout", 1.0),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"two_tower.{name}"):
        TwoTowerConfig.default(**{name: value})
