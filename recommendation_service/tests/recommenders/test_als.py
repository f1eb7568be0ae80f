from __future__ import annotations

import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import split_random
from recsys.datasets.user_items import Dataset
from recsys.engines import implicit_engine, irspack_engine
from recsys.engines.als_config import ALSConfig
from recsys.engines.fold_in import MIN_DISLIKE_CONFIDENCE
from recsys.engines.start import Start
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.recommenders.als import ALSRecommender
from recsys.recommenders.early_stopping import validation_metric
from recsys.types import History

ENGINES = ("implicit", "irspack")  # a fit by spark takes seconds; see engines/test_spark_engine.py
WEIGHTS = st.sampled_from([0.0, 0.0, 0.0, -1.0, 0.5, 2.0, 4.5])


def dataset_of(weights: np.ndarray) -> Dataset:
    n_users, n_items = weights.shape
    ids = [IdMap(f"{side}{index}" for index in range(n)) for side, n in (("u", n_users), ("i", n_items))]
    return Dataset(csr_matrix(weights.astype(np.float32)), *ids)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def implicit_gradient(x: np.ndarray, y: np.ndarray, cell: np.ndarray, config: ALSConfig) -> np.ndarray:
    """Half the gradient of `implicit`'s objective for one user, over every item."""
    confidence = np.where(cell == 0, 1.0, config.alpha * np.abs(cell))
    confidence[cell < 0] = np.maximum(confidence[cell < 0], MIN_DISLIKE_CONFIDENCE)
    return (confidence * (x @ y.T - (cell > 0))) @ y + config.regularization * x


def irspack_gradient(x: np.ndarray, y: np.ndarray, cell: np.ndarray, config: ALSConfig) -> np.ndarray:
    """Half the gradient of irspack's objective for one user, dislikes as our engine adds them."""
    liked, scores = cell > 0, x @ y.T
    dislike = np.where(cell < 0, np.maximum(-cell, (MIN_DISLIKE_CONFIDENCE - 1) * config.alpha0), 0.0)
    wish = np.where(liked, cell * (scores - 1.0), 0.0) + (dislike + config.alpha0) * scores
    frequency = config.alpha0 * len(y) + liked.sum()
    return wish @ y + config.regularization * frequency**config.nu * x


GRADIENTS = {"implicit": implicit_gradient, "irspack": irspack_gradient}


@pytest.mark.parametrize("engine", ENGINES)
@settings(deadline=None, max_examples=25)
@given(
    weights=arrays(np.float32, (6, 9), elements=WEIGHTS),
    alpha=st.sampled_from([0.5, 1.0, 4.0, 40.0]),
    alpha0=st.sampled_from([0.05, 0.5, 3.0]),
    nu=st.sampled_from([0.0, 0.7, 1.0]),
    factors=st.sampled_from([4, 12]),  # below and above the acts of a user
)
def test_fold_in_zeroes_the_gradient_of_the_dense_objective(
    weights: np.ndarray, alpha: float, alpha0: float, nu: float, factors: int, engine: str
) -> None:
    weights[0, 0] = 2.0  # somebody likes something, so there is something to learn
    dataset = dataset_of(weights)
    config = ALSConfig.default(
        engine=engine, factors=factors, iterations=3, alpha=alpha, alpha0=alpha0, nu=nu, regularization=0.05
    )
    als = ALSRecommender(config).fit(dataset)

    for user in range(6):
        x, y = als.fold_in(dataset.history(user)).astype(np.float64), als.item_factors.astype(np.float64)
        gradient = GRADIENTS[engine](x, y, weights[user].astype(np.float64), config)
        size = np.linalg.norm(x) * np.linalg.norm(y) ** 2 * 200.0  # times the largest confidence
        np.testing.assert_allclose(gradient, 0, atol=1e-6 * max(size, 1.0))


def test_the_trained_users_are_near_their_fold_in(two_circles: Dataset, engine: str) -> None:
    without_dislikes = replace(two_circles, user_items=two_circles.positive)  # irspack trains without
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=6, iterations=60)).fit(without_dislikes)

    folded = np.stack([als.fold_in(without_dislikes.history(user)) for user in range(two_circles.n_users)])

    scores, trained = folded @ als.item_factors.T, als.user_factors @ als.item_factors.T
    np.testing.assert_allclose(scores, trained, atol=0.05)


def test_an_empty_or_unknown_history_scores_nothing(two_circles: Dataset, engine: str) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=6, iterations=2)).fit(two_circles)
    unknown = History(np.array([als.n_items, -1], np.int32), np.array([2.0, 2.0], np.float32))
    dislikes = History(np.array([0, 1], np.int32), np.array([-1.0, -1.0], np.float32))

    assert not als.score_batch([History.empty(), unknown, dislikes]).any()
    assert not als.contributions(unknown, np.arange(3, dtype=np.int32)).any()


@pytest.mark.parametrize("factors", [3, 30])  # below and above the acts of a user
def test_contributions_add_up_to_the_score(two_circles: Dataset, engine: str, factors: int) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=factors, iterations=8)).fit(two_circles)
    history = two_circles.history(0)  # holds a dislike
    unknown = History(
        np.append(history.item_indices, als.n_items).astype(np.int32), np.append(history.weights, 3.0)
    )

    shares = als.contributions(unknown, np.arange(als.n_items, dtype=np.int32))

    np.testing.assert_allclose(shares.sum(axis=0), als.score_batch([history])[0], atol=1e-4)
    assert not shares[unknown.weights < 0].any()
    assert not shares[-1].any()


@pytest.mark.parametrize("factors", [3, 30])  # below and above the acts of a user
def test_losses_are_what_a_fold_in_without_the_act_loses(
    two_circles: Dataset, engine: str, factors: int
) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=factors, iterations=3)).fit(two_circles)
    items = np.arange(als.n_items, dtype=np.int32)
    unknown = als.n_items + 1  # a startup of the catalogue alone
    history = History(
        np.array([0, unknown, 2, 1, 4, 3], np.int32), np.array([2.0, 1.0, 0.5, -1.0, 3.5, -1.0], np.float32)
    )
    acts = [5, 0, 1, 2, 4, 3]

    losses = als.losses(history, items, acts)

    before = als.score_items(history, items)
    for row, act in zip(losses, acts, strict=True):
        np.testing.assert_allclose(
            row, before - als.score_items(history.without(act), items), rtol=1e-4, atol=1e-5
        )
    assert (losses[2] == 0).all()
    assert als.losses(history, items, []).shape == (0, als.n_items)


def test_taking_the_largest_contribution_away_lowers_the_score(two_circles: Dataset, engine: str) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=6, iterations=8)).fit(two_circles)
    history = two_circles.history(4)
    top = als.recommend(history, 1, exclude=history.item_indices)
    shares = als.contributions(history, top.item_indices)[:, 0]

    kept = np.arange(len(shares)) != shares.argmax()
    without = History(history.item_indices[kept], history.weights[kept])

    assert als.score_batch([without])[0][top.item_indices[0]] < top.scores[0]


@pytest.mark.parametrize(
    "parameters",
    [{"alpha": 0.5}, {"engine": "irspack", "alpha0": 0.01}, {"engine": "irspack", "alpha0": 5.0}],
)
def test_a_dislike_lowers_the_item_however_little_it_weighs(
    two_circles: Dataset, parameters: dict[str, object]
) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=8, **parameters)).fit(two_circles)
    history = two_circles.history(2)
    unseen = int(als.recommend(history, 1, exclude=history.item_indices).item_indices[0])

    disliked = History(
        np.append(history.item_indices, unseen).astype(np.int32), np.append(history.weights, -1.0)
    )

    assert als.score_batch([disliked])[0][unseen] < als.score_batch([history])[0][unseen]


def test_without_a_positive_act_it_knows_it_says_why_not(two_circles: Dataset) -> None:
    als = ALSRecommender(ALSConfig.default(factors=6, iterations=2)).fit(two_circles)

    assert als.why_not(two_circles.history(0)) is None
    assert "no positive act" in (als.why_not(History.empty()) or "")
    unknown = History(np.array([als.n_items], np.int32), np.array([2.0], np.float32))
    assert "no positive act" in (als.why_not(unknown) or "")


def test_only_dislikes_are_refused(two_circles: Dataset) -> None:
    dislikes = replace(two_circles, user_items=-abs(two_circles.user_items))

    with pytest.raises(DataError, match="dislikes"):
        ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(dislikes)


def test_nan_is_refused_before_the_engine_sees_it(two_circles: Dataset) -> None:
    two_circles.user_items.data[3] = np.nan

    with pytest.raises(DataError, match="not a finite number"):
        ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(two_circles)


def test_irspack_never_sees_a_dislike(two_circles: Dataset) -> None:
    config = ALSConfig.default(engine="irspack", factors=4, iterations=5)
    without_dislikes = replace(two_circles, user_items=two_circles.positive)

    assert two_circles.negative.nnz
    np.testing.assert_array_equal(
        ALSRecommender(config).fit(two_circles).item_factors,
        ALSRecommender(config).fit(without_dislikes).item_factors,
    )


def test_one_seed_gives_the_same_factors_on_any_number_of_cpus(
    two_circles: Dataset, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ALSConfig.default(engine=engine, factors=4, iterations=5)
    fitted = []
    for cpus in (1, 2):
        for module in (implicit_engine, irspack_engine):
            monkeypatch.setattr(module, "available_cpus", lambda n=cpus: n)
        fitted.append(ALSRecommender(config).fit(two_circles))

    np.testing.assert_array_equal(fitted[0].item_factors, fitted[1].item_factors)
    np.testing.assert_array_equal(fitted[0].user_factors, fitted[1].user_factors)
    other_seed = ALSRecommender(replace(config, seed=7)).fit(two_circles)
    assert not np.array_equal(other_seed.user_factors, fitted[0].user_factors)


def test_progress_ends_at_the_whole(two_circles: Dataset, engine: str) -> None:
    fractions: list[float] = []

    ALSRecommender(ALSConfig.default(engine=engine, factors=2, iterations=4)).fit(
        two_circles, lambda report: fractions.append(report.fraction)
    )

    assert fractions == [0.25, 0.5, 0.75, 1.0]


def test_the_pickled_model_holds_the_published_factors(
    two_circles: Dataset, engine: str, tmp_path: Path
) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=3, iterations=2)).fit(two_circles)
    als.save(tmp_path)

    model = pickle.loads((tmp_path / "als_v1.pkl").read_bytes())  # noqa: S301  # our own, written above

    items = model.get_item_embedding() if engine == "irspack" else model.item_factors
    np.testing.assert_array_equal(items, np.load(tmp_path / "als_v1_item_factors.npy"))


def test_a_release_of_irspack_is_loaded_with_its_own_objective(two_circles: Dataset, tmp_path: Path) -> None:
    als = ALSRecommender(ALSConfig.default(engine="irspack", factors=4, iterations=4)).fit(two_circles)
    als.save(tmp_path)
    histories = [two_circles.history(user) for user in range(5)]

    loaded = ALSRecommender.load(tmp_path, asdict(als.config))

    np.testing.assert_array_equal(loaded.score_batch(histories), als.score_batch(histories))


def test_files_in_another_basis_are_rotated_at_load(
    two_circles: Dataset, engine: str, tmp_path: Path
) -> None:
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=4, iterations=8)).fit(two_circles)
    als.save(tmp_path)
    basis, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))
    for name in ("als_v1_user_factors.npy", "als_v1_item_factors.npy"):
        np.save(tmp_path / name, (np.load(tmp_path / name) @ basis).astype(np.float32))
    histories = [two_circles.history(user) for user in range(5)]

    loaded = ALSRecommender.from_files(tmp_path, als.config)

    np.testing.assert_allclose(loaded.score_batch(histories), als.score_batch(histories), atol=1e-4)
    np.testing.assert_allclose(
        loaded.user_factors @ loaded.item_factors.T, als.user_factors @ als.item_factors.T, atol=1e-4
    )


def test_factors_that_are_not_finite_are_refused_on_load(two_circles: Dataset, tmp_path) -> None:
    als = ALSRecommender(ALSConfig.default(factors=2, iterations=1)).fit(two_circles)
    als.save(tmp_path)
    factors = np.load(tmp_path / "als_v1_item_factors.npy")
    factors[0, 0] = np.inf
    np.save(tmp_path / "als_v1_item_factors.npy", factors)

    with pytest.raises(ArtifactError, match="not finite"):
        ALSRecommender.from_files(tmp_path, als.config)


@pytest.mark.parametrize(
    "wrong",
    [
        {"factors": 0},
        {"regularization": 0},
        {"iterations": 0},
        {"alpha": -1},
        {"alpha0": 0},
        {"nu": -0.1},
        {"nu": 1.1},
        {"seed": 2**31},
        {"engine": "magic"},
        {"check_every": 0},
        {"patience": -1},
        {"warm_iterations": 0},
        {"checkpoint_every": -1},
        {"normalize": "l1"},
        {"use_gpu": True, "engine": "irspack"},
        {"factors": 50, "use_gpu": True},
    ],
)
def test_a_parameter_out_of_range_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"als.{next(iter(wrong))}"):
        ALSConfig.default(**wrong)


def test_factors_that_overflow_name_the_mend(engine: str) -> None:
    weights = np.full((6, 9), 1e30, np.float32)

    with pytest.raises(DataError, match=r"raise als\.regularization or check the largest weights"):
        ALSRecommender(ALSConfig.default(engine=engine, factors=4, iterations=3)).fit(dataset_of(weights))


def test_where_it_started_stands_in_the_facts_of_the_manifest(two_circles: Dataset, tmp_path: Path) -> None:
    als = ALSRecommender(ALSConfig.default(factors=4, iterations=1))
    als.start_from(Start(np.ones((two_circles.n_items, 4), np.float32), facts={"from": "text", "share": 0.4}))

    facts = als.fit(two_circles).save(tmp_path)

    assert facts["start"] == {"from": "text", "share": 0.4}
    cold = ALSRecommender(ALSConfig.default(factors=4, iterations=1)).fit(two_circles)
    assert "start" not in cold.save(tmp_path)


def test_a_release_older_than_some_parameters_is_loaded(two_circles: Dataset, tmp_path: Path) -> None:
    als = ALSRecommender(ALSConfig.default(factors=4, iterations=3)).fit(two_circles)
    als.save(tmp_path)
    then = ("engine", "factors", "regularization", "iterations", "alpha", "alpha0", "nu", "seed")
    recipe = {name: value for name, value in asdict(als.config).items() if name in then}

    loaded = ALSRecommender.load(tmp_path, recipe)

    histories = [two_circles.history(user) for user in range(5)]
    np.testing.assert_array_equal(loaded.score_batch(histories), als.score_batch(histories))


def test_a_recipe_without_what_every_release_had_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="als lacks alpha, alpha0, engine"):
        ALSRecommender.load(tmp_path, {"factors": 4})


def test_both_condition_numbers_are_those_of_the_dense_systems(
    two_circles: Dataset, engine: str, tmp_path: Path
) -> None:
    config = ALSConfig.default(engine=engine, factors=4, iterations=3, alpha0=0.3, nu=0.5)
    als = ALSRecommender(config).fit(two_circles)

    found = als.save(tmp_path)["condition_numbers"]

    for side, fixed, others in (
        ("users", als.item_factors, two_circles.n_items),
        ("items", als.user_factors, two_circles.n_users),
    ):
        weight = 1.0 if engine == "implicit" else 0.3
        ridge = config.regularization * (1.0 if engine == "implicit" else (0.3 * others) ** 0.5)
        system = weight * fixed.T.astype(np.float64) @ fixed + ridge * np.eye(4)
        assert found[side] == pytest.approx(np.linalg.cond(system), rel=1e-3)


def test_ill_posed_systems_are_told_with_the_mend(
    two_circles: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    ALSRecommender(ALSConfig.default(factors=30, regularization=1e-6, iterations=2)).fit(two_circles)

    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any(
        "ill posed side=items" in message and "raise als.regularization" in message for message in warned
    )


def test_well_posed_systems_are_not_warned_of(
    two_circles: Dataset, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    ALSRecommender(ALSConfig.default(engine=engine, factors=4, regularization=0.1)).fit(two_circles)

    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_early_stopping_keeps_the_best_iteration(two_circles: Dataset, engine: str) -> None:
    validation = split_random(two_circles, 0.2, 3)
    config = ALSConfig.default(engine=engine, factors=4, iterations=30, check_every=1, patience=2)

    als = ALSRecommender(config).fit_early_stopping(validation)

    looks = {point["iteration"]: point["ndcg"] for point in als.learning_curve}
    assert als.best_iteration == max(looks, key=lambda iteration: looks[iteration])
    assert len(looks) == als.best_iteration + 2 < 30
    kept = validation_metric(als, validation, "ndcg", 10, config.seed)
    assert kept == pytest.approx(looks[als.best_iteration])
    exactly = ALSRecommender(replace(config, iterations=als.best_iteration)).fit(validation.train)
    np.testing.assert_allclose(als.item_factors, exactly.item_factors, atol=1e-5)


def test_early_stopping_needs_a_held_back_item(two_circles: Dataset) -> None:
    validation = split_random(two_circles, 0.2, 3)
    nothing = replace(validation, test=validation.test * 0)
    nothing.test.eliminate_zeros()

    with pytest.raises(DataError, match="nothing to stop early by"):
        ALSRecommender(ALSConfig.default(factors=4, patience=1)).fit_early_stopping(nothing)


class TestNormalized:
    """With `normalize: l2` a score is a cosine, whatever else is asked of it."""

    @pytest.fixture
    def both(self, two_circles: Dataset, engine: str) -> tuple[ALSRecommender, ALSRecommender]:
        config = ALSConfig.default(engine=engine, factors=4, iterations=5)
        plain, normalized = (
            ALSRecommender(replace(config, normalize=how)).fit(two_circles) for how in ("none", "l2")
        )
        return plain, normalized

    def test_a_score_is_the_cosine_of_what_was_solved(
        self, two_circles: Dataset, both: tuple[ALSRecommender, ALSRecommender]
    ) -> None:
        plain, normalized = both
        history = two_circles.history(0)

        scores = normalized.score_batch([history])[0]

        user = plain.fold_in(history)
        lengths = np.linalg.norm(plain.item_factors, axis=1) * np.linalg.norm(user)
        np.testing.assert_allclose(scores, plain.item_factors @ user / lengths, atol=1e-5)
        np.testing.assert_array_equal(normalized.fold_in(history), user)

    def test_shares_and_losses_still_add_up(
        self, two_circles: Dataset, both: tuple[ALSRecommender, ALSRecommender]
    ) -> None:
        als, history = both[1], two_circles.history(0)
        items = np.arange(als.n_items, dtype=np.int32)

        shares, losses = als.contributions(history, items), als.losses(history, items, [1, 0])

        np.testing.assert_allclose(shares.sum(axis=0), als.score_batch([history])[0], atol=1e-5)
        for act, row in zip((1, 0), losses, strict=True):
            left = als.score_items(history.without(act), items)
            np.testing.assert_allclose(row, als.score_items(history, items) - left, atol=1e-5)

    def test_the_files_hold_what_was_solved_and_load_gives_the_same_answers(
        self, two_circles: Dataset, both: tuple[ALSRecommender, ALSRecommender], tmp_path: Path
    ) -> None:
        plain, normalized = both
        normalized.save(tmp_path)

        loaded = ALSRecommender.load(tmp_path, asdict(normalized.config))

        np.testing.assert_array_equal(np.load(tmp_path / "als_v1_item_factors.npy"), plain.item_factors)
        histories = [two_circles.history(user) for user in range(5)]
        np.testing.assert_array_equal(loaded.score_batch(histories), normalized.score_batch(histories))


@settings(deadline=None, max_examples=20)
@given(weights=arrays(np.float32, (7, 9), elements=WEIGHTS), factors=st.sampled_from([4, 12]))
@pytest.mark.parametrize("engine", ENGINES)
def test_users_folded_in_together_are_those_folded_in_alone(
    weights: np.ndarray, factors: int, engine: str
) -> None:
    weights[0, 0] = 2.0
    dataset = dataset_of(weights)
    als = ALSRecommender(ALSConfig.default(engine=engine, factors=factors, iterations=2)).fit(dataset)
    unknown = History(np.array([3, 40], np.int32), np.array([1.0, 2.0], np.float32))
    histories = [*(dataset.history(user) for user in range(7)), unknown, History.empty()]

    together = als.user_vectors(histories)

    alone = np.stack([als.fold_in(history) for history in histories])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5 * max(np.abs(alone).max(), 1e-6))
