"""Two tasks, one user: the gradient of a step, what cold items get, and what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.splits import split_random
from recsys.datasets.user_items import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.features.text import TextModel
from recsys.recommenders import text_start
from recsys.recommenders.content import ContentConfig, fit_catalogue_text
from recsys.recommenders.hybrid_text import Adam, HybridTextConfig, HybridTextRecommender
from recsys.recommenders.hybrid_text_kernel import run_block
from recsys.recommenders.sampling import NegativePools, shares_of
from recsys.training.choosing import choose_on_validation
from recsys.types import Float32Array, Float64Array, History

SMALL = {"factors": 2, "epochs": 40, "n_popular": 0, "regularization": 0.05}


def fitted(dataset: Dataset, **values: object) -> HybridTextRecommender:
    return HybridTextRecommender(HybridTextConfig.default(**{**SMALL, **values})).fit(dataset)


def test_a_step_goes_along_the_gradient_of_both_tasks() -> None:
    """Rate 1, one like, one item left to draw: each vector moves by its gradient, found by differences."""
    rng = np.random.default_rng(4)
    texts = rng.normal(size=(2, 5))
    user, own, projection = rng.normal(size=(1, 3)), rng.normal(size=(2, 3)), rng.normal(size=(5, 3))
    weight, decay = 0.3, 0.02

    def objective(numbers: Float64Array) -> float:
        x, (p, n), w = numbers[:3], numbers[3:9].reshape(2, 3), numbers[9:].reshape(5, 3)
        by_own, by_text = x @ (p - n), x @ w.T @ (texts[0] - texts[1])
        gain = -(1 - weight) * np.log1p(np.exp(-by_own)) - weight * np.log1p(np.exp(-by_text))
        return float(gain - decay / 2 * (x @ x + p @ p + n @ n))

    start = np.concatenate([part.ravel() for part in (user, own, projection)])
    expected = approx_fprime(start, objective, 1e-6)
    users, items = user.astype(np.float32), own.astype(np.float32)
    gained = np.zeros((2, 3), np.float32)
    pools = NegativePools.build(csr_matrix(np.array([[2.0, 0.0]], np.float32)), n_popular=0)
    own_loss, text_loss, counts, _ = run_block(
        *(np.zeros(1, np.int32), np.zeros(1, np.int32), 1),
        *(pools.seen, pools.explicit, pools.implicit, pools.popularity),
        *(shares_of("uniform", explicit=0.15, implicit=0.15), users, items),
        *((texts @ projection).astype(np.float32), gained, weight, 1.0, decay),
        np.array([7], np.uint64),
    )

    moved = [users - user, items - own, texts.T @ gained]
    np.testing.assert_allclose(np.concatenate([m.ravel() for m in moved]), expected, atol=2e-4)
    x, (p, n) = user[0], own
    np.testing.assert_allclose(own_loss, np.log1p(np.exp(-x @ (p - n))), rtol=1e-4)
    np.testing.assert_allclose(
        text_loss, np.log1p(np.exp(-x @ projection.T @ (texts[0] - texts[1]))), rtol=1e-4
    )
    assert counts.tolist() == [0, 0, 0, 1]


def test_adam_finds_the_lowest_point_whatever_the_scale() -> None:
    adam = Adam(np.array([5.0, -3.0], np.float32))
    for _ in range(2_000):
        adam.step(np.array([1e3, 1e-2], np.float32) * (adam.values - np.array([1.0, 2.0])), 0.02)

    np.testing.assert_allclose(adam.values, [1.0, 2.0], atol=0.05)


def test_startups_nobody_acted_on_stand_where_their_text_puts_them(two_circles: Dataset) -> None:
    hybrid = fitted(two_circles)

    for user in range(two_circles.n_users):
        scores = hybrid.score_items(two_circles.history(user), np.array([16, 17], np.int32))
        assert (scores.argmax() == user % 2).all()


def test_startups_created_later_are_placed_and_served_from_a_release(
    two_circles: Dataset, tmp_path: Path
) -> None:
    hybrid = fitted(two_circles)
    facts = hybrid.save(tmp_path)
    loaded = HybridTextRecommender.load(tmp_path, asdict(hybrid.config))

    extended = loaded.with_new_items(
        [CatalogueItem("n0", "New", "bank lending"), CatalogueItem("n1", "New", "factory welding")]
    )

    assert (extended.n_items, loaded.n_items) == (20, 18)
    for user in (0, 1, 2, 3):
        scores = extended.score_items(two_circles.history(user), np.array([18, 19], np.int32))
        assert scores.argmax() == user % 2
    assert facts["texts"]["vectors"] == "tfidf"
    assert facts["texts"]["share_covered"] == 1.0
    assert len(facts["texts"]["version"]) == 12
    assert {"own_loss", "text_loss", "loss"} <= set(facts["learning_curve"][-1])


def test_its_texts_are_read_by_one_model_fitted_once(
    two_circles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(dataset: Dataset, config: ContentConfig) -> tuple[TextModel, Float32Array]:
        made.append(fit_catalogue_text(dataset, config))
        return made[-1]

    monkeypatch.setattr(text_start, "fit_catalogue_text", counted)

    hybrid = fitted(two_circles, epochs=1)

    ((model, _),) = made
    assert hybrid.text_model is model


def test_the_fewer_likes_the_more_of_the_text(two_circles: Dataset) -> None:
    own, likes = np.ones((2, 2), np.float32), np.array([0, 30])
    for cold_acts, expected in ((0.0, [0.0, 0.7]), (10.0, [0.0, 0.7 * 0.75])):
        hybrid = HybridTextRecommender(HybridTextConfig.default(cold_acts=cold_acts))
        hybrid._texts, hybrid.projection = np.zeros((3, 4), np.float32), np.zeros((4, 2), np.float32)

        np.testing.assert_allclose(hybrid._mixed(own, likes)[:2, 0], expected, rtol=1e-6)


def test_both_losses_fall(two_circles: Dataset) -> None:
    curve = fitted(two_circles).learning_curve

    for loss in ("loss", "own_loss", "text_loss"):
        assert curve[-1][loss] < 0.8 * curve[0][loss]


def test_vectors_may_come_from_a_file(two_circles: Dataset, tmp_path: Path) -> None:
    """Then startups created later cannot be placed."""
    np.save(tmp_path / "v.npy", np.eye(2, dtype=np.float32)[np.arange(18) % 2])
    (tmp_path / "v.ids.txt").write_text("\n".join(two_circles.all_items.ids), encoding="utf-8")

    hybrid = fitted(two_circles, vectors=str(tmp_path / "v.npy"))

    assert hybrid.score_items(two_circles.history(1), np.array([16, 17], np.int32)).argmax() == 1
    assert hybrid.with_new_items([CatalogueItem("n0", "New", "bank")]) is hybrid
    assert hybrid.save(tmp_path)["texts"]["vectors"] == "v.npy"


@pytest.mark.parametrize(
    "vectors", [np.zeros((18, 3)), np.ones((18, 3)), np.outer(np.arange(1, 19), np.ones(3))]
)
def test_vectors_that_tell_no_item_from_another_are_refused(
    two_circles: Dataset, tmp_path: Path, vectors: Float64Array
) -> None:
    """As of a text start: it would have learned nothing from them, and said nothing."""
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.ids.txt").write_text("\n".join(two_circles.all_items.ids), encoding="utf-8")

    with pytest.raises(DataError, match="The vectors of 18 items are all alike"):
        fitted(two_circles, vectors=str(tmp_path / "v.npy"))


def test_its_epochs_are_chosen_on_a_validation_part(two_circles: Dataset) -> None:
    overrides = {"hybrid_text": {**SMALL, "check_every": 2, "patience": 2}}

    choices = choose_on_validation(
        two_circles, ["hybrid_text"], overrides, validation_split=0.2, k=10, seed=1
    )

    curve = choices.facts["hybrid_text"]["learning_curve"]
    looks = {int(point["epoch"]): point["recall"] for point in curve if "recall" in point}
    assert choices.overrides["hybrid_text"]["epochs"] == max(looks, key=lambda epoch: looks[epoch])


def test_what_is_kept_of_early_stopping_is_what_so_many_epochs_give(two_circles: Dataset) -> None:
    validation = split_random(two_circles, 0.2, seed=3)
    config = HybridTextConfig.default(**{**SMALL, "check_every": 2, "patience": 1, "epochs": 100})

    hybrid = HybridTextRecommender(config).fit_early_stopping(validation)

    again = HybridTextRecommender(replace(config, epochs=hybrid.best_epoch)).fit(validation.train)
    np.testing.assert_array_equal(again.item_factors, hybrid.item_factors)
    np.testing.assert_array_equal(again.projection, hybrid.projection)


def test_somebody_new_is_ordered_by_likes_of_startups_nobody_else_acted_on(two_circles: Dataset) -> None:
    hybrid = fitted(two_circles)
    history = History(np.array([16], np.int32), np.array([2.0], np.float32))

    assert hybrid.why_not(history) is None
    assert (hybrid.recommend(history, 5, exclude=history.item_indices).item_indices % 2 == 0).all()


def test_without_a_catalogue_it_says_what_it_lacks(two_circles: Dataset) -> None:
    bare = replace(two_circles, catalogue=None)

    assert HybridTextRecommender.why_not_fit(bare) == "the dataset has no catalogue.parquet"
    silent = Catalogue(tuple(CatalogueItem(id=i, name="") for i in bare.item_mapping.ids))
    untold = HybridTextRecommender.why_not_fit(replace(bare, catalogue=silent))
    assert untold == "no startup of the catalogue has a text"
    with pytest.raises(DataError, match=r"need catalogue\.parquet"):
        fitted(bare)


def test_a_projection_of_another_training_is_refused(two_circles: Dataset, tmp_path: Path) -> None:
    hybrid = fitted(two_circles)
    hybrid.save(tmp_path)
    np.save(tmp_path / "hybrid_text_projection.npy", np.zeros((3, 2), np.float32))

    with pytest.raises(ArtifactError, match="its projection takes 3; train again"):
        HybridTextRecommender.load(tmp_path, asdict(hybrid.config))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"content_weight": 1.1}, r"hybrid_text\.content_weight is 1\.1; it must be from 0 to 1"),
        ({"vectors": "none"}, r"hybrid_text\.vectors is 'none'; it must be tfidf, minilm, or a file"),
        ({"cold_acts": -1}, r"hybrid_text\.cold_acts is -1"),
        ({"projection_rate": 0}, r"hybrid_text\.projection_rate is 0"),
        ({"learning_rate": 2}, r"hybrid_text\.learning_rate is 2"),
    ],
)
def test_what_cannot_work_is_refused_by_name(values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        HybridTextConfig.default(**values)
