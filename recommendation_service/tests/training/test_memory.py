"""A fit that does not fit is refused before it starts, with both numbers and the way out."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.errors import DataError
from recsys.recommenders.table import RECOMMENDERS, make_recommender
from recsys.training.choosing import fit_one
from recsys.training.memory import (
    Size,
    _dimensions,
    _needs,
    check_fit,
    check_processing,
    estimate_fit_bytes,
)

MB = 1024**2


@pytest.fixture
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    cells = (rng.random((300, 200)) < 0.1).astype(np.float32) * 4.0
    return Dataset(csr_matrix(cells), IdMap(map(str, range(300))), IdMap(map(str, range(200))))


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_every_recommender_has_an_estimate_that_fits_here(name: str, dataset: Dataset) -> None:
    recommender = make_recommender(name)

    assert 0 < estimate_fit_bytes(name, dataset, recommender.config) < 1024 * MB
    check_fit(recommender, dataset)


# name, what is not the default, users, items, cells, letters of a text, the MB that fit_memory.py measured.
MEASURED = [
    ("als", {"factors": 16}, 50_000, 20_000, 5_000_000, 0, 103),
    ("als_ratings", {"factors": 32}, 200_000, 50_000, 4_000_000, 0, 185),
    ("als_ratings", {"factors": 32, "engine": "irspack"}, 200_000, 50_000, 4_000_000, 0, 330),
    ("als_ratings", {"factors": 16}, 50_000, 20_000, 5_000_000, 0, 195),
    ("als_ratings", {"factors": 16, "engine": "irspack"}, 50_000, 20_000, 5_000_000, 0, 293),
    ("als_ratings", {"factors": 128}, 200_000, 50_000, 1_000_000, 0, 294),
    ("content", {}, 20_000, 60_000, 300_000, 174, 378),
    ("content", {}, 20_000, 60_000, 300_000, 505, 672),
    ("content", {}, 200_000, 10_000, 2_000_000, 174, 104),
    ("hybrid_text", {"factors": 32}, 20_000, 60_000, 300_000, 174, 451),
    ("hybrid_text", {"factors": 32}, 20_000, 60_000, 300_000, 505, 708),
    ("hybrid_text", {"factors": 32}, 100_000, 20_000, 1_000_000, 174, 296),
    ("hybrid_text", {"factors": 128}, 20_000, 60_000, 300_000, 174, 455),
    ("hybrid_text", {"factors": 16}, 20_000, 5_000, 2_000_000, 174, 221),
    ("two_tower", {"dimensions": 32}, 5_000, 60_000, 100_000, 505, 855),
    ("two_tower", {"dimensions": 32}, 50_000, 10_000, 500_000, 174, 441),
    ("two_tower", {"dimensions": 128}, 20_000, 30_000, 200_000, 0, 572),
]


@pytest.mark.parametrize(
    ("name", "changes", "users", "items", "cells", "letters", "measured"),
    MEASURED,
    ids=[f"{name} {users}x{items}" for name, _, users, items, *_ in MEASURED],
)
def test_an_estimate_lies_above_what_was_measured_and_not_far_above(
    name: str, changes: dict[str, object], users: int, items: int, cells: int, letters: int, measured: int
) -> None:
    config = make_recommender(name, **changes).config
    size = Size(users, items, cells, letters * items)

    estimate = _needs(name, config).of(size, _dimensions(config))

    assert measured * MB < estimate < 2 * measured * MB


def test_letters_are_those_of_the_catalogue(dataset: Dataset) -> None:
    texts = Catalogue((CatalogueItem("0", "Ab", "cde", "fghi"), CatalogueItem("new", "j")))

    size = Size.of(replace(dataset, catalogue=texts))

    assert (size.users, size.items, size.letters) == (300, 201, 10)
    assert Size.of(dataset).letters == 0


@pytest.mark.parametrize("engine", ["implicit", "irspack"])
def test_the_number_of_factors_it_names_would_fit(dataset: Dataset, engine: str) -> None:
    recommender = make_recommender("als", factors=4096, engine=engine)
    free = estimate_fit_bytes("als", dataset, make_recommender("als", factors=1000, engine=engine).config)

    with pytest.raises(DataError, match=r"als needs about 0\.\d\d GB for 300 users, 200 items") as refused:
        check_fit(recommender, dataset, free=free)

    told = str(refused.value)
    assert f"{free / 1024**3:.2f} GB are free" in told
    assert "--max-users" in told
    most = re.search(r"als\.factors=(\d+) or less", told)
    assert most is not None
    assert 999 <= int(most[1]) <= 1000
    check_fit(make_recommender("als", factors=int(most[1]), engine=engine), dataset, free=free)


def test_where_no_factor_would_fit_it_names_none(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="--max-items") as refused:
        check_fit(make_recommender("als"), dataset, free=MB)

    assert "factors=" not in str(refused.value)


def test_a_batch_is_named_where_there_is_one(dataset: Dataset) -> None:
    with pytest.raises(DataError, match=r"a smaller two_tower\.batch_users"):
        check_fit(make_recommender("two_tower"), dataset, free=MB)


def test_training_starts_with_the_check(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.training.memory.free_bytes", lambda: MB)

    with pytest.raises(DataError, match=r"popularity needs about .* are free"):
        fit_one("popularity", dataset, {}, {})


def test_nothing_is_refused_where_the_system_does_not_tell(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.training.memory.free_bytes", lambda: None)

    check_fit(make_recommender("als"), dataset)


def test_a_processing_is_refused_too(dataset: Dataset) -> None:
    check_processing(dataset)
    with pytest.raises(DataError, match=r"Processing needs about .* process fewer users or items"):
        check_processing(dataset, free=MB)
