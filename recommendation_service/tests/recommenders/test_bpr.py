"""Pairwise learning: one step by hand, who stands as a negative, stopping, and folding in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import split_random
from recsys.datasets.user_items import Dataset
from recsys.errors import ConfigError, DataError
from recsys.metrics.pairwise import area_under_curve
from recsys.recommenders import bpr as module
from recsys.recommenders import bpr_kernel as kernel
from recsys.recommenders.bpr import BPRConfig, BPRRecommender
from recsys.recommenders.bpr_kernel import run_epoch
from recsys.recommenders.sampling import KINDS, NegativePools, shares_of
from recsys.types import Float32Array, History


def learn(
    weights: np.ndarray,
    users: Float32Array,
    items: Float32Array,
    *,
    negatives: str = "hard_mixed",
    multiple: int = 1,
    rate: float = 0.1,
    decay: float = 0.01,
    n_popular: int = 50,
) -> tuple[float, np.ndarray, np.ndarray]:
    """One epoch over dense signed weights; both factor matrices are changed."""
    cells = csr_matrix(weights.astype(np.float32))
    pools = NegativePools.build(cells, n_popular=n_popular)
    pairs = np.nonzero(weights > 0)
    return run_epoch(
        *(side.astype(np.int32) for side in pairs),
        np.array([0, len(pairs[0])]),
        multiple,
        *(pools.seen, pools.explicit, pools.implicit, pools.popularity),
        shares_of(negatives, explicit=0.15, implicit=0.15),
        *(users, items),
        *(rate, rate, decay),
        np.array([7], np.uint64),
    )


def factors(*shape: int, seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_one_step_goes_along_the_gradient_from_the_old_user() -> None:
    users, items = factors(1, 3), factors(2, 3, seed=1)
    x, p, n = (row.astype(np.float64) for row in (users[0], items[0], items[1]))

    loss, counts, scores = learn(np.array([[2.0, 0.0]]), users, items, negatives="uniform")

    slope = 1.0 / (1.0 + np.exp(x @ p - x @ n))
    np.testing.assert_allclose(loss, -np.log(1.0 - slope), rtol=1e-5)
    np.testing.assert_allclose(users[0], x + 0.1 * (slope * (p - n) - 0.01 * x), rtol=1e-5)
    np.testing.assert_allclose(items[0], p + 0.1 * (slope * x - 0.01 * p), rtol=1e-5)
    np.testing.assert_allclose(items[1], n + 0.1 * (-slope * x - 0.01 * n), rtol=1e-5)
    assert counts.tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(scores[3], x @ n, rtol=1e-5)


def test_seen_items_are_negatives_only_where_they_are_disliked() -> None:
    """Items 0 and 1 liked, 2 disliked, 3 never touched: nothing but 2 and 3 may be pushed away."""
    users, items = np.ones((1, 2), np.float32), np.zeros((4, 2), np.float32)

    _, counts, _ = learn(np.array([[2.0, 1.0, -1.0, 0.0]]), users, items, multiple=2_000, decay=0.0)

    pushed = (items @ np.ones(2)).tolist()
    assert pushed[0] > 0
    assert pushed[1] > 0
    assert pushed[2] < 0
    assert pushed[3] < 0
    shares = dict(zip(KINDS, (counts / counts.sum()).tolist(), strict=True))
    assert shares["explicit"] == pytest.approx(0.15, abs=0.02)
    assert shares["implicit"] == 0.0  # the one untouched item is liked by nobody, so it is not popular
    assert shares["uniform"] == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # Somebody else makes item 3 popular: the one untouched item is an implicit hard negative.
        ([[2.0, 0.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]], {"explicit": 0.15, "implicit": 0.15, "uniform": 0.7}),
        ([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], {"implicit": 0.15, "uniform": 0.85}),
    ],
)
def test_a_missing_kind_gives_its_share_to_uniform(
    weights: list[list[float]], expected: dict[str, float]
) -> None:
    table = np.array(weights)
    table[1, 3] = 2.0  # liked by the other user

    _, counts, _ = learn(table, factors(2, 2), factors(4, 2), multiple=10_000)

    # Of the first user's half of the samples; the other user has an implicit one too: item 0.
    shares = dict(zip(KINDS, (counts / counts.sum()).tolist(), strict=True))
    half = {"explicit": 0.0, "implicit": 0.15, "uniform": 0.85}
    for kind in ("explicit", "implicit", "uniform"):
        assert shares[kind] == pytest.approx((expected.get(kind, 0.0) + half[kind]) / 2, abs=0.02)
    assert shares["popular"] == 0.0


def test_with_neither_kind_their_shares_go_to_popular_items() -> None:
    """No dislikes, and no item counts as most popular."""
    table = np.array([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 2.0, 0.0]])

    _, counts, _ = learn(table, factors(2, 2), factors(4, 2), multiple=10_000, n_popular=0)

    shares = dict(zip(KINDS, (counts / counts.sum()).tolist(), strict=True))
    assert shares["popular"] == pytest.approx(0.3, abs=0.02)
    assert shares["uniform"] == pytest.approx(0.7, abs=0.02)


def test_a_dislike_is_never_a_positive_and_the_curve_tells_the_kinds(two_circles: Dataset) -> None:
    config = BPRConfig.default(factors=4, epochs=3, n_popular=4, negatives="hard_mixed")

    bpr = BPRRecommender(config).fit(two_circles)

    assert [point["epoch"] for point in bpr.learning_curve] == [1, 2, 3]
    for point in bpr.learning_curve:
        assert sum(point[f"{kind}_share"] for kind in KINDS) == pytest.approx(1.0)
        assert point["explicit_share"] > 0
    users, liked = module.positive_pairs(two_circles.user_items)
    assert (two_circles.user_items[users, liked] > 0).all()
    assert len(users) == two_circles.positive.nnz


def test_it_stops_when_recall_no_longer_rises_and_keeps_the_best(two_circles: Dataset) -> None:
    validation = split_random(two_circles, 0.2, seed=3)
    config = BPRConfig.default(factors=4, epochs=400, check_every=2, patience=2)

    bpr = BPRRecommender(config).fit_early_stopping(validation)

    looks = {int(point["epoch"]): point["recall"] for point in bpr.learning_curve if "recall" in point}
    assert bpr.best_epoch == max(looks, key=lambda epoch: looks[epoch])
    assert max(looks) == bpr.best_epoch + 4
    again = BPRRecommender(replace(config, epochs=bpr.best_epoch)).fit(validation.train)
    np.testing.assert_array_equal(again.item_factors, bpr.item_factors)


def test_a_look_measures_the_area_under_the_curve_on_request(two_circles: Dataset) -> None:
    validation = split_random(two_circles, 0.2, seed=3)
    config = BPRConfig.default(factors=4, epochs=20, check_every=2, patience=5, track_auc=True)

    bpr = BPRRecommender(config).fit_early_stopping(validation)

    looks = [point for point in bpr.learning_curve if "recall" in point]
    assert all(0 <= point["auc"] <= 1 for point in looks)
    assert looks[0]["auc"] < max(point["auc"] for point in looks)
    best = next(point for point in looks if point["epoch"] == bpr.best_epoch)
    scores = bpr.user_factors @ bpr.item_factors.T
    areas = area_under_curve(scores, validation.test, validation.train.user_items)
    assert best["auc"] == pytest.approx(np.nanmean(areas), abs=1e-5)
    without = BPRRecommender(replace(config, track_auc=False)).fit_early_stopping(validation)
    assert not any("auc" in point for point in without.learning_curve)
    np.testing.assert_array_equal(without.item_factors, bpr.item_factors)


def test_factors_begin_near_zero() -> None:
    sides = BPRRecommender(BPRConfig.default(factors=32))._first_factors((500, 300), np.random.default_rng(1))

    for side, rows in zip(sides, (500, 300), strict=True):
        assert side.shape == (rows, 32)
        assert side.std() == pytest.approx(0.01, rel=0.03)
        assert abs(side.mean()) < 0.0005


def test_each_epoch_is_logged_with_what_was_seen_of_it(
    two_circles: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = BPRConfig.default(factors=2, epochs=4, check_every=2)

    BPRRecommender(config).fit_early_stopping(split_random(two_circles, 0.2, seed=3))

    lines = [record.message for record in caplog.records if record.message.startswith("bpr: epoch")]
    assert len(lines) == 4
    assert [("recall" in line) for line in lines] == [False, True, False, True]
    assert all("loss" in line for line in lines)


def test_the_rate_falls_by_a_tenth_every_ten_epochs_and_an_epoch_has_its_samples(
    two_circles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[float, int]] = []

    def watched(*given: Any) -> Any:
        learned = run_epoch(*given)
        calls.append((given[11], int(learned[1].sum())))
        return learned

    monkeypatch.setattr(kernel, "run_epoch", watched)
    config = BPRConfig.default(factors=2, epochs=21, learning_rate=0.05, samples_per_positive=3)

    BPRRecommender(config).fit(two_circles)

    assert config.learning_rate_decay == 0.9
    assert [rate for rate, _ in calls] == pytest.approx([0.05] * 10 + [0.045] * 10 + [0.0405])
    assert {samples for _, samples in calls} == {3 * two_circles.positive.nnz}


@pytest.mark.parametrize("negatives", ["hard_mixed", "popularity", "uniform"])
def test_a_seed_gives_the_same_bits(two_circles: Dataset, negatives: str) -> None:
    config = BPRConfig.default(factors=4, epochs=5, n_popular=4, negatives=negatives)
    one, same = (BPRRecommender(config).fit(two_circles) for _ in range(2))
    other = BPRRecommender(replace(config, seed=config.seed + 1)).fit(two_circles)

    assert one.item_factors.tobytes() == same.item_factors.tobytes()
    assert one.user_factors.tobytes() == same.user_factors.tobytes()
    assert one.item_factors.tobytes() != other.item_factors.tobytes()


def test_a_trained_history_has_its_trained_vector_in_any_order(two_circles: Dataset) -> None:
    bpr = BPRRecommender(BPRConfig.default(factors=4, epochs=5)).fit(two_circles)
    history = two_circles.history(4)
    shuffled = History(history.item_indices[::-1].copy(), history.weights[::-1].copy())

    np.testing.assert_array_equal(bpr.user_vector(shuffled), bpr.user_factors[4])
    assert not np.array_equal(bpr.user_vector(history.without(0)), bpr.user_factors[4])


def test_somebody_new_is_ordered_as_their_likes_are(two_circles: Dataset) -> None:
    config = BPRConfig.default(factors=2, epochs=40, n_popular=0, regularization=0.05)
    bpr = BPRRecommender(config).fit(two_circles)

    for circle in (0, 1):
        liked = np.array([circle, circle + 2, circle + 4], np.int32)
        top = bpr.recommend(History(liked, np.full(3, 2.0, np.float32)), 3, exclude=liked)
        assert (top.item_indices % 2 == circle).all()


def test_a_new_user_is_compared_with_items_from_all_of_the_catalogue() -> None:
    """Somebody has every second of the first 500 items: what they lack is drawn evenly all the same."""
    bpr = BPRRecommender(BPRConfig.default(factors=1, seed=5))
    bpr._set_items(np.arange(1_000, dtype=np.float32)[:, np.newaxis])  # an item's factor is its place
    bpr.user_factors = np.zeros((1, 1), np.float32)
    items = np.arange(0, 500, 2, dtype=np.int32)

    others, _ = bpr._negatives_of(History(items, np.full(len(items), 2.0, np.float32)))

    places = others[:, 0]
    assert len(places) == module.FOLD_IN_NEGATIVES
    assert not np.isin(places, items).any()
    assert (places > 750).sum() == pytest.approx(module.FOLD_IN_NEGATIVES / 3, abs=25)


def test_a_new_dislike_lowers_the_item_disliked(two_circles: Dataset) -> None:
    bpr = BPRRecommender(BPRConfig.default(factors=4, epochs=20, negatives="hard_mixed")).fit(two_circles)
    likes = History(np.array([0, 2], np.int32), np.full(2, 2.0, np.float32))
    and_dislike = History(np.array([0, 2, 4], np.int32), np.array([2.0, 2.0, -1.0], np.float32))

    before, after = (bpr.score_items(one, np.array([4], np.int32))[0] for one in (likes, and_dislike))

    assert after < before


def test_people_who_have_everything_teach_nothing() -> None:
    everything = csr_matrix(np.ones((2, 3), np.float32))
    dataset = Dataset(everything, IdMap(["a", "b"]), IdMap(["x", "y", "z"]))

    with pytest.raises(DataError, match="nothing to order"):
        BPRRecommender().fit(dataset)
    assert BPRRecommender.why_not_fit(dataset) == "nobody likes one startup and has no cell with another"


def test_a_loss_that_is_not_finite_stops_the_training_by_name() -> None:
    ours = np.ones((2, 2), np.float32)

    with pytest.raises(DataError, match=r"bpr stopped being finite in epoch 3; lower bpr\.learning_rate"):
        module.check_finite("bpr", 2, float("nan"), ours, ours)


def test_a_training_that_diverges_is_stopped_by_name(two_circles: Dataset) -> None:
    config = BPRConfig.default(
        factors=4,
        epochs=50,
        learning_rate=1,
        learning_rate_decay=1,
        regularization=0,
        samples_per_positive=1000,
    )

    with pytest.raises(DataError, match=r"bpr stopped being finite in epoch \d+; lower bpr\.learning_rate"):
        BPRRecommender(config).fit(two_circles)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"negatives": "hard"}, r"bpr\.negatives is 'hard'; it must be one of hard_mixed"),
        ({"explicit_share": 0.7, "implicit_share": 0.4}, r"bpr\.implicit_share is 0\.4"),
        ({"learning_rate": 0}, r"bpr\.learning_rate is 0"),
        ({"epochs": 0}, r"bpr\.epochs is 0"),
        ({"samples_per_positive": 10**20}, r"bpr\.samples_per_positive is 1\d+; it must be from 1 to 1000"),
    ],
)
def test_what_cannot_work_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        BPRConfig.default(**values)
