"""Which way of finding the best items a release gets, and that it is used and checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.artifacts import norm_order
from recsys.artifacts.norm_order import use_norm_order, write_norm_order
from recsys.artifacts.publish import Trained, publish_release
from recsys.artifacts.release import open_release
from recsys.datasets.id_map import IdMap
from recsys.datasets.user_items import Dataset
from recsys.engines.als_config import ALSConfig
from recsys.errors import ArtifactError
from recsys.recommenders.als import ALSRecommender

N_USERS, N_ITEMS, FACTORS = 40, 6_000, 16


def acts_on(n_items: int) -> Dataset:
    """Every user has acted on so many of the items."""
    rng = np.random.default_rng(5)
    items = np.concatenate([rng.choice(N_ITEMS, n_items, replace=False) for _ in range(N_USERS)])
    cells = (np.full(len(items), 2.0, np.float32), (np.repeat(np.arange(N_USERS), n_items), items))
    return Dataset(
        csr_matrix(cells, (N_USERS, N_ITEMS)),
        IdMap(f"u{n}" for n in range(N_USERS)),
        IdMap(f"s{n}" for n in range(N_ITEMS)),
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return acts_on(10)


def als_with(norm_spread: float, folder: Path) -> ALSRecommender:
    """Over factors whose norms are spread as told."""
    rng = np.random.default_rng(6)
    factors = rng.normal(size=(N_ITEMS, FACTORS)) * rng.lognormal(0, norm_spread, (N_ITEMS, 1))
    np.save(folder / "als_v1_item_factors.npy", factors.astype(np.float32))
    np.save(folder / "als_v1_user_factors.npy", np.zeros((N_USERS, FACTORS), np.float32))
    return ALSRecommender.from_files(folder, ALSConfig.default(factors=FACTORS))


def test_norms_that_differ_are_pruned_and_equal_ones_scanned(dataset: Dataset, tmp_path: Path) -> None:
    skewed, flat = tmp_path / "skewed", tmp_path / "flat"
    facts = {}
    for folder, spread in ((skewed, 2.0), (flat, 0.0)):
        folder.mkdir()
        facts[folder] = write_norm_order(folder, als_with(spread, folder), dataset)

    assert facts[skewed]["retrieval"] == "pruned scan"
    assert facts[skewed]["scan_share"] < norm_order.PAYS_BELOW
    assert facts[flat]["retrieval"] == "full scan"
    assert facts[flat]["scan_share"] >= norm_order.PAYS_BELOW
    assert facts[flat]["scan_share_users"] == N_USERS
    assert sorted(path.name for path in skewed.glob("*scan*")) == [
        f"als_scan_{part}.npy" for part in ("axes", "head", "norms", "order", "tail_norms")
    ]
    assert not list(flat.glob("*scan*"))


def test_both_ways_give_the_same_lists(dataset: Dataset, tmp_path: Path) -> None:
    als = als_with(2.0, tmp_path)
    histories = [dataset.history(user) for user in range(N_USERS)]
    scanned = [als.recommend(history, 20, exclude=history.item_indices) for history in histories]

    use_norm_order(tmp_path, als, write_norm_order(tmp_path, als, dataset))
    assert als.search.norm_order is not None

    for history, before in zip(histories, scanned, strict=True):
        after = als.recommend(history, 20, exclude=history.item_indices)
        assert after.item_indices.tolist() == before.item_indices.tolist()
        assert after.scores.tobytes() == before.scores.tobytes()


def test_nobody_to_measure_on_is_a_full_scan(dataset: Dataset, tmp_path: Path) -> None:
    als = als_with(2.0, tmp_path)
    nobody = Dataset(csr_matrix((0, N_ITEMS), dtype=np.float32), IdMap(()), dataset.item_mapping)

    assert write_norm_order(tmp_path, als, nobody) == {"retrieval": "full scan", "scan_share_users": 0}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release whose als is pruned, whatever it measures; nearly every item has a length."""
    dataset = acts_on(400)
    monkeypatch.setattr(norm_order, "PAYS_BELOW", 2.0)
    als = ALSRecommender(ALSConfig.default(factors=4, iterations=1)).fit(dataset)
    release = publish_release(tmp_path, dataset, [Trained(als, vars(als.config), 0.0, 0.0)])
    return tmp_path / "releases" / release.version


def test_a_release_tells_how_it_searches_and_does(published: Path) -> None:
    facts = json.loads((published / "manifest.json").read_text())["recommenders"]["als"]["facts"]
    assert facts["retrieval"] == "pruned scan"
    als = open_release(published).recommenders["als"]
    assert isinstance(als, ALSRecommender)
    assert als.search.norm_order is not None


def test_an_order_of_other_items_is_refused(published: Path) -> None:
    path = published / "als_scan_order.npy"
    order = np.load(path)
    path.unlink()
    np.save(path, order + 1)

    with pytest.raises(ArtifactError, match="does not fit its 6000 item vectors"):
        open_release(published, verify=False)


def test_an_order_that_hides_the_best_is_found_by_the_golden_query(published: Path) -> None:
    """The shortest vectors come first, and what bounds the products of the others is nothing."""
    for name, damage in (("order", np.flip), ("head", np.zeros_like), ("tail_norms", np.zeros_like)):
        path = published / f"als_scan_{name}.npy"
        array = damage(np.load(path))
        path.unlink()
        np.save(path, array)

    with pytest.raises(ArtifactError, match="does not answer as it did"):
        open_release(published, verify=False)
