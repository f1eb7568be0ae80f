"""A part of a dataset: the most popular items and users at random, nothing else changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.opening import open_dataset
from recsys.datasets.subsample import describe_subsample, subsample
from recsys.datasets.user_items import Dataset, save_dataset
from recsys.errors import ConfigError


def make_dataset(n_users: int = 30, n_items: int = 12) -> Dataset:
    rng = np.random.default_rng(1)
    weights = rng.choice([0, 0, 0, 2.0, -1.0], size=(n_users, n_items)).astype(np.float32)
    weights[:, 0] = 3.5
    cells = csr_matrix(weights)
    times = csr_matrix((np.arange(cells.nnz) + 1.0, cells.indices, cells.indptr), cells.shape)
    ids = IdMap(f"u{user}" for user in range(n_users)), IdMap(f"i{item}" for item in range(n_items))
    return Dataset(cells, *ids, last_event_at=times, manifest={"kept": True})


@given(max_users=st.integers(1, 40), max_items=st.integers(1, 15), seed=st.integers(0, 3))
def test_what_is_kept_is_as_it_was(max_users: int, max_items: int, seed: int) -> None:
    whole = make_dataset()

    part = subsample(whole, max_users=max_users, max_items=max_items, seed=seed)

    assert part.n_users <= max_users
    assert part.n_items <= max_items
    rows = whole.user_mapping.indices(part.user_mapping.ids)
    columns = whole.item_mapping.indices(part.item_mapping.ids)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(part.user_items.toarray(), whole.user_items.toarray()[rows][:, columns])
    assert part.last_event_at is not None
    assert whole.last_event_at is not None
    np.testing.assert_array_equal(
        part.last_event_at.toarray(), whole.last_event_at.toarray()[rows][:, columns]
    )
    assert (np.diff(part.user_items.indptr) > 0).all()
    assert (np.bincount(part.user_items.indices, minlength=part.n_items) > 0).all()


def test_the_items_are_the_most_popular_and_the_users_follow_the_seed() -> None:
    whole = make_dataset()
    likes = (whole.user_items.toarray() > 0).sum(axis=0)

    part = subsample(whole, max_items=4)
    assert set(part.item_mapping.ids) == {f"i{i}" for i in np.argsort(-likes, kind="stable")[:4]}

    drawn = [subsample(whole, max_users=10, seed=seed).user_mapping.ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_it_says_what_was_kept_of_what() -> None:
    whole = make_dataset()

    part = subsample(whole, max_users=10)

    assert part.manifest["kept"] is True
    assert part.manifest["subsample"]["users"] == [10, 30]
    told = describe_subsample(part)
    assert told is not None
    assert told.startswith("A part of the data: 10 of 30 users, ")
    assert describe_subsample(whole) is None


def test_nothing_to_take_away_is_the_same_dataset() -> None:
    whole = make_dataset()

    assert subsample(whole, max_users=30, max_items=12) is whole
    assert subsample(whole) is whole


@pytest.mark.parametrize("most", [{"max_users": 0}, {"max_items": -3}])
def test_a_number_below_one_is_refused_by_the_name_of_its_flag(most: dict[str, int], tmp_path: Path) -> None:
    save_dataset(make_dataset(), tmp_path)
    flag = "--" + next(iter(most)).replace("_", "-")

    with pytest.raises(ConfigError, match=f"{flag} is .*; it must be a whole number from 1"):
        open_dataset(tmp_path, **most)
