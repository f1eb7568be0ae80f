"""A catalogue as columns gives back what was put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.artifacts.stored_catalogue import ARRAY_FILES, CATALOGUE_FILES, CODED_FIELDS, StoredCatalogue
from recsys.datasets.catalogue import CatalogueItem
from recsys.errors import ArtifactError

ITEMS = (
    CatalogueItem(
        "a", "Café", "Bänk", tags=("ai", "b2b"), industry="FinTech", owner_id="zoe", created_at=1.5
    ),
    None,
    CatalogueItem("c", "", industry="fintech", country="France", team_size=3, is_active=False),
    CatalogueItem("d", "Dö", owner_id="anna"),
    CatalogueItem("e", "E", stage="Seed", owner_id="zoe"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    StoredCatalogue.from_items(ITEMS).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("items", [ITEMS, (None, None), ()])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, items: tuple[CatalogueItem | None, ...]) -> None:
    StoredCatalogue.from_items(items).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(CATALOGUE_FILES)
    stored = StoredCatalogue.load(tmp_path, len(items))
    assert tuple(stored.item(index) for index in range(len(items))) == items
    assert [stored.name(index) for index in range(len(items))] == [i.name if i else "" for i in items]
    assert stored.created_at.tolist() == [i.created_at if i else 0.0 for i in items]
    assert stored.is_active.tolist() == [i is None or i.is_active for i in items]


def test_values_are_numbered_in_lower_case(folder: Path) -> None:
    codes = StoredCatalogue.load(folder, len(ITEMS)).codes
    assert {field: codes[field][0].tolist() for field in CODED_FIELDS} == {
        "industry": [0, -1, 0, -1, -1],
        "country": [-1, -1, 0, -1, -1],
        "stage": [-1, -1, -1, -1, 0],
    }
    assert [dict(codes[field][1]) for field in CODED_FIELDS] == [{"fintech": 0}, {"france": 0}, {"seed": 0}]


def test_an_owner_is_found_by_bisection(folder: Path) -> None:
    stored = StoredCatalogue.load(folder, len(ITEMS))
    owned = {user: stored.owned_by(user).tolist() for user in ("zoe", "anna", "ben")}
    assert owned == {"zoe": [0, 4], "anna": [3], "ben": []}
    assert [list(stored.owner_ids.ids)[owner] if owner >= 0 else None for owner in stored.owner] == [
        i.owner_id if i else None for i in ITEMS
    ]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("created_at", lambda array: array[:-1]),
        ("industry", lambda array: array + 1),
        ("owner", lambda array: array + 1),
        ("owned", lambda array: array + 4),
        ("owner_ids", lambda array: array[::-1]),
        ("name_bounds", lambda array: array[::-1]),
        ("entry_bounds", lambda array: array[:-1]),
        ("entries", lambda array: array[:-1]),
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(
    folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = folder / ARRAY_FILES[name]
    np.save(path, change(np.load(path)))
    with pytest.raises(ArtifactError, match="catalogue"):
        StoredCatalogue.load(folder, len(ITEMS))
