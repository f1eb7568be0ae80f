"""The training of mf: the gradients and penalties it says, rows it did not touch left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recsys.errors import DataError
from recsys.progress import ignore_progress
from recsys.recommenders.mf import Examples, MFConfig, Pairs
from recsys.recommenders.mf_tables import Placed, Table, Workers
from recsys.recommenders.mf_training import _Model, train


def examples(*, n_users: int = 60, n_items: int = 40, share: float = 0.5, seed: int = 0) -> Examples:
    """Points from 1 to 5 of a world of rank 2 with biases and no noise."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(n_users, 2)) @ rng.normal(size=(2, n_items)) + rng.normal(size=n_items)
    users, items = np.nonzero(rng.random(raw.shape) < share)
    points = np.clip(3 + 0.6 * raw[users, items], 1, 5).astype(np.float32)
    pairs = Pairs(users.astype(np.int32), items.astype(np.int32), points)
    return Examples(pairs, n_users, n_items, 1.0, 5.0)


def divided(world: Examples, seed: int = 1) -> tuple[Examples, Pairs]:
    order = np.random.default_rng(seed).permutation(len(world.pairs))
    cut = len(order) * 4 // 5
    return Examples(
        world.pairs.take(order[:cut]), world.n_users, world.n_items, world.low, world.high
    ), world.pairs.take(order[cut:])


def config(**overrides: object) -> MFConfig:
    """Small and quick; no decay, no history."""
    small: dict[str, object] = {
        "factors": 4, "epochs": 30, "batch_size": 64, "learning_rate": 0.03,
        "weight_decay": 0.0, "bias_decay": 0.0, "history": False,
    }  # fmt: skip
    return MFConfig.default(**{**small, **overrides})


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_a_world_without_noise_is_learned(output: str) -> None:
    known, held_back = divided(examples())

    training = train(known, held_back, config(output=output, epochs=120, patience=120), ignore_progress)

    spread = float(np.var(held_back.points))
    assert training.curve[training.best_epoch - 1].validation < 0.1 * spread
    assert training.curve[-1].train < 0.02 * spread


def test_the_curve_is_the_loss_of_the_factors_and_the_best_epoch_is_kept() -> None:
    known, held_back = divided(examples(share=0.2))

    training = train(known, held_back, config(epochs=80, patience=4), ignore_progress)

    losses = [point.validation for point in training.curve]
    assert training.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == training.best_epoch + 4  # it stopped when its patience ended
    best = training.curve[training.best_epoch - 1]
    assert training.factors.mean_squared_error(held_back) == best.validation
    assert training.factors.mean_squared_error(known.pairs) == best.train


def test_without_a_validation_part_all_epochs_run_and_the_last_is_kept() -> None:
    training = train(examples(), None, config(epochs=7, patience=1), ignore_progress)

    assert [(point.epoch, point.validation) for point in training.curve] == [(n, None) for n in range(1, 8)]
    assert training.best_epoch == 7
    assert training.factors.mean_squared_error(examples().pairs) == training.curve[-1].train


def test_one_seed_gives_one_model_and_another_seed_another() -> None:
    known, _ = divided(examples())
    one, two, other = (
        train(known, None, config(epochs=3, dropout=0.2, seed=seed), ignore_progress).factors
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.user_factors, two.user_factors)
    np.testing.assert_array_equal(one.item_biases, two.item_biases)
    assert not np.allclose(one.user_factors, other.user_factors)


def test_who_has_no_rating_has_neither_a_vector_nor_a_bias() -> None:
    known, _ = divided(examples())
    wider = Examples(known.pairs, known.n_users + 2, known.n_items + 3, 1.0, 5.0)

    factors = train(wider, None, config(epochs=2), ignore_progress).factors

    assert not factors.user_factors[-2:].any()
    assert not factors.item_factors[-3:].any()
    assert not factors.user_biases[-2:].any()
    assert factors.user_factors[:-2].any(axis=1).all()


def test_weight_decay_shortens_the_vectors_and_a_strong_one_leaves_the_biases() -> None:
    known, _ = divided(examples())
    lengths = [
        float(
            np.abs(train(known, None, config(weight_decay=decay), ignore_progress).factors.user_factors).max()
        )
        for decay in (0.0, 0.01, 1.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2]
    assert lengths[2] < 0.01


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_penalty_of_an_epoch_is_that_of_the_objective(power: float) -> None:
    counts = np.array([1, 3, 8])
    table = Table(np.ones((3, 2), np.float32), 0.1, counts, power)
    batch_size = 4

    n_steps = counts.sum() / batch_size
    paid = table.decay * counts / batch_size  # each rating pays once an epoch

    np.testing.assert_allclose(paid, n_steps * 0.1 * (counts / counts.mean()) ** power, rtol=1e-6)


def test_a_step_is_that_of_adam_and_moves_no_other_row() -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3)).astype(np.float32)
    table = Table(start.copy(), 0.1, np.full(5, 1), 0.0)
    expected = torch.nn.Parameter(torch.from_numpy(start[[3, 1]]))
    adam = torch.optim.Adam([expected], lr=0.05, weight_decay=0.1)
    rows = np.array([3, 1], np.int32)
    placed = Placed(rows, rows, np.full(2, 1 / 5, np.float32))  # one rating of each in a batch of 5

    for n in range(1, 6):
        target = rng.normal(size=(2, 3)).astype(np.float32)
        table.step(placed, 2 * (table.values[rows] - target), 0.05, n, Workers(1))
        adam.zero_grad()
        (expected - torch.from_numpy(target)).square().sum().backward()
        adam.step()

    np.testing.assert_allclose(table.values[rows], expected.detach(), rtol=1e-5)
    np.testing.assert_array_equal(table.values[[0, 2, 4]], start[[0, 2, 4]])


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_compiled_gradients_are_those_of_autograd(output: str, dropout: float) -> None:
    known, _ = divided(examples())
    workers = Workers(2)
    chosen = config(output=output, dropout=dropout, factors=5)
    model = _Model(known, chosen, np.random.default_rng(0), workers)
    for _ in model.run_epoch(1):  # so that no bias is 0
        pass
    batch = known.pairs.take(np.arange(0, len(known.pairs), 3))
    users, items = model.users.place(batch.user_index), model.items.place(batch.item_index)
    drawn = model._draw(len(batch))

    compiled = model.plain_gradients(batch, users, items, drawn)
    expected = model.gradients(batch, users, items, drawn)
    workers.close()

    for of_side, of_side_expected in zip(compiled, expected, strict=True):
        for one, other in zip(of_side, of_side_expected, strict=True):
            assert np.abs(other).max() > 1e-3
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_places_number_the_rows_of_a_batch_and_leave_nothing_behind() -> None:
    model = _Model(examples(), config(), np.random.default_rng(0), Workers(1))
    for _ in range(2):
        placed = model.users.place(np.array([7, 3, 7, 9], np.int32))
        assert placed.rows.tolist() == [7, 3, 9]
        assert placed.places.tolist() == [0, 1, 0, 2]
        assert placed.shares.tolist() == [0.5, 0.25, 0.25]


def test_more_threads_give_the_same_bits() -> None:
    known, _ = divided(examples())
    one, three = (
        train(known, None, config(epochs=4, dropout=0.2, threads=n), ignore_progress).factors for n in (1, 3)
    )
    np.testing.assert_array_equal(one.user_factors, three.user_factors)
    np.testing.assert_array_equal(one.item_biases, three.item_biases)


def test_dropout_leaves_out_its_share() -> None:
    model = _Model(examples(), config(dropout=0.2, factors=50), np.random.default_rng(0), Workers(1))
    left_out = model._draw(2000) < model.dropped
    assert left_out.shape == (2000, 50)
    assert abs(left_out.mean() - 51 / 256) < 0.01


def test_a_loss_that_is_no_number_is_refused() -> None:
    world = examples()
    nowhere = Examples(world.pairs, world.n_users, world.n_items, 1.0, np.nan)
    with pytest.raises(DataError, match=r"stopped being a number in epoch 1; lower mf.learning_rate"):
        train(nowhere, None, config(epochs=2), ignore_progress)


def test_features_teach_of_who_has_no_rating() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 80)
    taste = rng.normal(size=(3, 30))
    users, items = np.nonzero(rng.random((80, 30)) < 0.6)
    points = np.clip(3 + taste[group[users], items], 1, 5).astype(np.float32)
    pairs = Pairs(users.astype(np.int32), items.astype(np.int32), points)
    is_new = users >= 60
    known, new = pairs.take(np.flatnonzero(~is_new)), pairs.take(np.flatnonzero(is_new))
    features = np.eye(3, dtype=np.float32)[group]

    def loss(user_features: np.ndarray | None) -> float:
        learned = Examples(known, 80, 30, 1.0, 5.0, user_features=user_features)
        return train(learned, None, config(epochs=60), ignore_progress).factors.mean_squared_error(new)

    assert loss(features) < 0.2 * loss(None)


def test_a_history_teaches_of_who_has_no_rating() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 120)
    seen = csr_matrix(
        (rng.random((120, 30)) < np.where((np.arange(30) % 2) == group[:, None], 0.7, 0.1)) * 1.0
    )
    users, items = np.nonzero(rng.random((120, 30)) < 0.5)
    points = np.where(items % 2 == group[users], 4.5, 1.5).astype(np.float32)
    pairs = Pairs(users.astype(np.int32), items.astype(np.int32), points)
    is_new = users >= 100
    known, new = pairs.take(np.flatnonzero(~is_new)), pairs.take(np.flatnonzero(is_new))

    def loss(history: csr_matrix | None) -> float:
        learned = Examples(known, 120, 30, 1.0, 5.0, history=history)
        return train(learned, None, config(epochs=30), ignore_progress).factors.mean_squared_error(new)

    assert loss(seen) < 0.4 * loss(None)
