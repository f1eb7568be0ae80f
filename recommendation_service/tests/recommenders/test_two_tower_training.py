from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, random_array

from recsys.errors import DataError
from recsys.progress import ignore_progress
from recsys.recommenders.two_tower import LOSSES as LOSS_NAMES
from recsys.recommenders.two_tower import TwoTowerConfig, TwoTowerRecommender
from recsys.recommenders.two_tower_training import (
    MIN_DISLIKE,
    Batch,
    CandidateDraw,
    Candidates,
    Examples,
    TwoTowerModel,
    contrastive_loss,
    softmax_loss,
    split_histories,
    train_epochs,
)
from recsys.types import History

N_USERS, N_ITEMS, N_MAPPED, T = 40, 25, 22, 6


def make_examples(seed: int = 3) -> Examples:
    """Likes and dislikes, texts for some items, interests for some users; items 20 and 21 liked by nobody."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([0, 0, 0, -1.0, 0.5, 2.0, 5.0], (N_USERS, N_MAPPED)).astype(np.float32)
    weights[:, 20] = np.minimum(weights[:, 20], 0)
    weights[:, 21] = 0
    text = rng.normal(size=(N_ITEMS, T)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    text[::4] = 0
    interests = rng.normal(size=(N_USERS, T)).astype(np.float32)
    interests[::3] = 0
    return Examples(csr_matrix(weights), text, interests)


def configure(**overrides: object) -> TwoTowerConfig:
    return TwoTowerConfig.default(
        **{"dimensions": 5, "epochs": 2, "batch_users": 8, "learning_rate": 0.02, **overrides}
    )


@pytest.fixture
def batch() -> Batch:
    examples = make_examples()
    return split_histories(examples.user_items, examples.interests, 0.6, np.random.default_rng(0))


def cells(rows: np.ndarray, items: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(rows.tolist(), items.tolist(), strict=True))


def test_numpy_makes_the_vectors_torch_makes() -> None:
    examples, config = make_examples(), configure()
    model = TwoTowerModel(examples, config)
    with torch.no_grad():
        model.exponent += 0.3
        model.dislike -= 0.2
    served = TwoTowerRecommender(config)
    served._set_towers(model.towers())
    served._read_interests = lambda words: examples.interests[int(words[0])]  # a text model of its own
    everything = split_histories(examples.user_items, examples.interests, 1.0, np.random.default_rng(0))

    with torch.no_grad():
        users = torch.nn.functional.normalize(model.user_sums(everything, model.has_id), dim=1).numpy()
        items = model.item_vectors(torch.arange(N_ITEMS), model.has_id).numpy()

    matrix = examples.user_items
    bounds = zip(matrix.indptr, matrix.indptr[1:], strict=False)
    vectors = np.stack(
        [
            served.user_vector(
                History(matrix.indices[start:end], matrix.data[start:end], interests=(str(user),))
            )
            for user, (start, end) in enumerate(bounds)
        ]
    )
    np.testing.assert_allclose(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), users, atol=1e-5)
    np.testing.assert_allclose(served.item_vectors(), items, atol=1e-6)


def test_a_history_is_split_into_what_is_known_and_what_is_predicted(batch: Batch) -> None:
    known = cells(batch.input_rows, batch.input_items)
    targets = cells(batch.target_rows, batch.target_items)
    disliked = cells(batch.disliked_rows, batch.disliked_items)

    weights = make_examples().user_items.toarray()
    assert not known & (targets | disliked)
    assert all(weights[cell] > 0 for cell in targets)
    assert all(weights[cell] < 0 for cell in disliked)
    assert len(known) + len(targets) + len(disliked) == np.count_nonzero(weights)


def test_who_is_known_by_nothing_positive_predicts_nothing() -> None:
    user_items = csr_matrix(np.array([[2.0, 2.0, -1.0, 2.0]] * 400, np.float32))
    batch = split_histories(user_items, np.zeros((400, 0), np.float32), 0.3, np.random.default_rng(1))

    known_likes = np.bincount(batch.input_rows[batch.input_weights > 0], minlength=400)

    assert (known_likes == 0).any()  # the draw leaves some with nothing
    assert (known_likes[batch.target_rows] > 0).all()


def softmax_by_hand(
    scores: np.ndarray, batch: Batch, candidates: Candidates, config: TwoTowerConfig
) -> float:
    counts = make_examples().n_users_of_item()
    liked = np.maximum(counts[candidates.items], 1) / counts[counts > 0].mean()
    logits = scores / config.temperature - np.log(candidates.chance * liked**config.popularity_tilt)
    times = np.ones_like(scores)
    for row, item in cells(batch.disliked_rows, batch.disliked_items):
        times[row, candidates.items == item] = config.dislike_negatives
    for row, item in cells(batch.input_rows, batch.input_items):
        times[row, candidates.items == item] = 0
    n_targets = np.bincount(batch.target_rows)
    total = weight = 0.0
    for row, item in zip(batch.target_rows, batch.target_items, strict=True):
        found = logits[row, candidates.items == item][0]
        own = n_targets[row] ** -config.user_damping
        total += own * (np.log((times[row] * np.exp(logits[row])).sum()) - found)
        weight += own
    return total / weight


def contrastive_by_hand(
    scores: np.ndarray, batch: Batch, candidates: Candidates, config: TwoTowerConfig
) -> float:
    own = cells(batch.target_rows, batch.target_items) | cells(batch.input_rows, batch.input_items)
    disliked = cells(batch.disliked_rows, batch.disliked_items)
    n_targets = np.bincount(batch.target_rows)
    total = weight = 0.0
    for row, item in zip(batch.target_rows, batch.target_items, strict=True):
        wrong = 0.0
        for column, candidate in enumerate(candidates.items.tolist()):
            if (row, candidate) not in own:
                share = 1 / candidates.chance[column] / (1 / candidates.chance).sum()
                times = config.dislike_negatives if (row, candidate) in disliked else 1.0
                wrong += times * share * max(scores[row, column] - config.margin, 0)
        own_weight = n_targets[row] ** -config.user_damping
        missed = 1 - scores[row, candidates.items == item][0]
        total += own_weight * (missed + config.negative_weight * wrong)
        weight += own_weight
    return total / weight


@pytest.mark.parametrize("negatives", [N_ITEMS, 4], ids=["whole catalogue", "sampled"])
@pytest.mark.parametrize(
    ("loss", "by_hand"), [(softmax_loss, softmax_by_hand), (contrastive_loss, contrastive_by_hand)]
)
def test_a_loss_is_what_a_loop_over_the_cells_gives(
    batch: Batch, loss: object, by_hand: object, negatives: int
) -> None:
    config = configure(temperature=0.3, margin=0.1, negative_weight=7.0, dislike_negatives=3.0)
    counts = make_examples().n_users_of_item()
    candidates = CandidateDraw(counts, negatives, np.random.default_rng(2)).draw(batch)
    scores = np.random.default_rng(4).uniform(-1, 1, (N_USERS, len(candidates.items))).astype(np.float32)
    weights = np.bincount(batch.target_rows)[batch.target_rows] ** -config.user_damping

    ours = loss(torch.from_numpy(scores), batch, candidates, torch.from_numpy(weights).float(), config)

    assert len(batch.disliked_items)
    assert float(ours) == pytest.approx(by_hand(scores, batch, candidates, config), rel=1e-4)


def test_the_chance_of_a_candidate_is_how_often_it_is_drawn() -> None:
    """Targets drawn by how often an item is liked, as the logQ correction takes them to be."""
    counts = np.array([50, 20, 10, 5, 3, 1, 1, 0, 1, 1])
    rng = np.random.default_rng(5)
    draw = CandidateDraw(counts, 3, rng)
    none = np.empty(0, np.int64)
    seen, chance = np.zeros(10), np.zeros(10)

    for _ in range(4_000):
        targets = rng.choice(10, 6, p=counts / counts.sum())
        one = Batch(np.zeros((1, 0)), none, none, none, np.zeros(6, np.int64), targets, none, none)
        candidates = draw.draw(one)
        seen[candidates.items] += 1
        chance[candidates.items] = candidates.chance

    np.testing.assert_allclose(seen / 4_000, chance, atol=0.03)
    assert seen[7] == 0  # liked by nobody


def test_with_more_negatives_than_items_every_liked_item_is_a_candidate_for_certain(batch: Batch) -> None:
    draw = CandidateDraw(make_examples().n_users_of_item(), 1_000, np.random.default_rng(0))

    candidates = draw.draw(batch)

    assert set(range(20)) <= set(candidates.items)
    assert 21 not in candidates.items
    assert (candidates.chance == 1).all()


def test_an_item_nobody_liked_is_its_text_alone() -> None:
    examples, config = make_examples(), configure()
    towers = list(train_epochs(examples, config, ignore_progress))[-1][1]

    expected = towers.with_new_items(examples.text_vectors[20:])

    np.testing.assert_allclose(towers.items[20:], expected.items[N_ITEMS:], atol=1e-5)
    np.testing.assert_allclose(towers.inputs[20:], expected.inputs[N_ITEMS:], atol=1e-5)


def test_a_dislike_is_learned_to_count_below_zero() -> None:
    towers = list(train_epochs(make_examples(), configure(epochs=20), ignore_progress))[-1][1]

    exponent, dislike = towers.signals
    assert exponent > 0
    assert dislike >= MIN_DISLIKE


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_loss_falls(loss: str) -> None:
    losses = [
        loss for loss, _ in train_epochs(make_examples(), configure(epochs=25, loss=loss), ignore_progress)
    ]

    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def two_epochs() -> Iterator[np.ndarray]:
    user_items = csr_matrix(random_array((300, 500), density=0.05, rng=1, dtype=np.float32))
    examples = Examples(user_items, np.zeros((500, 0), np.float32), np.zeros((300, 0), np.float32))
    config = configure(dimensions=32, batch_users=64, negatives=100)
    for _, towers in islice(train_epochs(examples, config, ignore_progress), 2):
        yield from (towers.items, towers.inputs)


def test_the_same_seed_gives_the_same_bits() -> None:
    for first, second in zip(two_epochs(), two_epochs(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_number_of_threads_is_as_it_was_after_training() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        next(train_epochs(make_examples(), configure(), ignore_progress))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_loss_that_is_not_finite_stops_the_training_with_the_mend() -> None:
    with pytest.raises(DataError, match=r"two_tower\.temperature"):
        list(train_epochs(make_examples(), configure(temperature=1e-38), ignore_progress))
