"""A fit that does not fit is refused before it starts, with both numbers and the way out."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.errors import DataError
from recsys.recommenders.table import RECOMMENDERS, make_recommender
from recsys.training.choosing import fit_one
from recsys.training.memory import check_fit, check_processing, estimate_fit_bytes

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
