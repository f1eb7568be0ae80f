"""Rating folders as categories: found by name, checked, divided or taken as they come."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.id_map import IdMap
from recsys.datasets.rating_splits import check_no_pair_shared
from recsys.datasets.ratings import RatingBatch, save_ratings
from recsys.errors import DataError
from recsys.recommenders.svd import SVDRecommender
from recsys.training.rating_data import (
    Category,
    SplitOptions,
    _item_features,
    find_categories,
    hash_dataset,
    hash_features,
    load_category,
)


class OfFeatures(SVDRecommender):
    uses_features = True


class NeedsFeatures(OfFeatures):
    needs_features = True


class StopsEarly(SVDRecommender):
    uses_validation: ClassVar[bool] = True


def write(
    folder: Path,
    rows: list[tuple[str, str, float]],
    catalogue: Catalogue | None = None,
    scale: tuple[float, float] | None = (1.0, 5.0),
) -> Path:
    users, items, points = (list(column) for column in zip(*rows, strict=True))
    batch = RatingBatch(users, items, points)
    save_ratings([batch], folder, source={"scale": scale}, catalogue=catalogue)
    return folder


def grid_of_ratings(n_users: int = 12, n_items: int = 10) -> list[tuple[str, str, float]]:
    return [(f"u{u}", f"i{i}", float(1 + (u * i) % 5)) for u in range(n_users) for i in range(n_items)]


def test_a_folder_of_ratings_is_a_category_and_one_of_folders_several(tmp_path: Path) -> None:
    for name in ("books", "games"):
        write(tmp_path / "all" / name, grid_of_ratings())
    (tmp_path / "all" / ".hidden").mkdir()
    write(tmp_path / "films", grid_of_ratings())

    found = find_categories([tmp_path / "all", tmp_path / "films"])

    assert [(one.name, one.folder.parent.name) for one in found][:2] == [("books", "all"), ("games", "all")]
    assert found[2].name == "films"


def test_a_folder_that_is_none_or_holds_nothing_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}/nowhere is not a folder"):
        find_categories([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no ratings: looked for manifest.json and ratings"):
        find_categories([tmp_path / "empty"])
    write(tmp_path / "a" / "x", grid_of_ratings())
    write(tmp_path / "b" / "x", grid_of_ratings())
    with pytest.raises(DataError, match="Two folders are called x"):
        find_categories([tmp_path / "a", tmp_path / "b"])


def test_a_category_is_divided_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = write(tmp_path / "films", grid_of_ratings())

    data = load_category(Category("films", folder), SplitOptions(seed=2))

    split = data.split
    check_no_pair_shared(split.train, split.validation, split.test)
    assert len(split.train) + len(split.validation) + len(split.test) == 120
    assert data.points_range == (1.0, 5.0)
    assert data.dataset_hash == hash_dataset(folder)
    assert data.facts()["train"]["ratings"] == len(split.train)
    assert data.facts()["train"]["sparsity"] == pytest.approx(1 - len(split.train) / 120, abs=0.02)


def test_the_kept_fit_learns_from_validation_too_unless_it_stops_by_it(tmp_path: Path) -> None:
    data = load_category(Category("films", write(tmp_path, grid_of_ratings())), SplitOptions())
    assert len(data.learned_from(SVDRecommender)) == len(data.split.train) + len(data.split.validation)
    assert data.learned_from(StopsEarly) is data.split.train


def write_parts(folder: Path, parts: list[int]) -> Category:
    """The ratings of the grid, the last ones of them in the parts given, the others in train."""
    rows = grid_of_ratings()[: 80 + len(parts)]
    users, items, points = (list(column) for column in zip(*rows, strict=True))
    batch = RatingBatch(users, items, points, parts=np.array([0] * 80 + parts, np.uint8))
    save_ratings([batch], folder, source={"scale": (1.0, 5.0)})
    return Category(folder.name, folder)


def test_given_parts_are_taken_as_they_come(tmp_path: Path) -> None:
    data = load_category(write_parts(tmp_path, [1] * 10 + [2] * 15), SplitOptions(seed=5, by="global"))

    split = data.split
    assert (len(split.train), len(split.validation), len(split.test)) == (80, 10, 15)
    assert set(split.validation.user_index) == {8}  # the first eight users are in train
    assert split.strategy == "the train, valid and test files as they came"
    assert data.notes[0].startswith("divided as its files were (80 train, 10 valid, 15 test)")
    fitted = OfFeatures().fit(data.data_of(split.train, OfFeatures()))
    assert not fitted.is_known(split.validation.user_index, split.validation.item_index).any()
    assert data.held_back() is split.validation
    assert len(data.learned_from(SVDRecommender)) == 90


def test_a_part_may_be_missing_but_not_train(tmp_path: Path) -> None:
    data = load_category(write_parts(tmp_path / "a", [2] * 10), SplitOptions())
    assert data.held_back() is None
    assert (len(data.learned_from(SVDRecommender)), len(data.split.test)) == (80, 10)

    rows = grid_of_ratings()
    users, items, points = (list(column) for column in zip(*rows, strict=True))
    parts = np.full(len(rows), 2, np.uint8)
    save_ratings([RatingBatch(users, items, points, parts=parts)], tmp_path / "b")
    with pytest.raises(DataError, match=r"b/ratings.parquet has no rows of a train file"):
        load_category(Category("b", tmp_path / "b"), SplitOptions())


def test_repeated_pairs_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "films", [*grid_of_ratings(), ("u0", "i0", 5.0), ("u1", "i1", 5.0)])

    assert load_category(Category("films", folder), SplitOptions()).notes == (
        "2 ratings of a pair rated again later left out: the latest counts",
    )


def test_the_range_is_the_scale_of_the_import_and_a_guess_is_told(tmp_path: Path) -> None:
    rows = [("u0", "i0", 0.0), *grid_of_ratings()[1:]]
    wide = load_category(
        Category("wide", write(tmp_path / "wide", grid_of_ratings(), scale=(1, 10))), SplitOptions()
    )
    zeros = load_category(Category("zeros", write(tmp_path / "zeros", rows, scale=(1, 10))), SplitOptions())
    none = load_category(Category("none", write(tmp_path / "none", rows, scale=None)), SplitOptions())

    assert (wide.points_range, wide.notes) == ((1, 10), ())
    assert (zeros.points_range, zeros.notes) == ((0, 10), ())
    assert none.points_range == (0, 5)
    assert "points are taken to go from 0 to 5, the extremes found" in none.notes[0]
    alike = write(tmp_path / "alike", [(user, item, 3.0) for user, item, _ in rows], scale=None)
    with pytest.raises(DataError, match="All ratings are 3 and no scale is known; import them with --scale"):
        load_category(Category("alike", alike), SplitOptions())


def test_features_stand_in_index_order_without_ids(tmp_path: Path) -> None:
    items = tuple(CatalogueItem(f"i{i}", f"Film {i}", tags=(f"t{i}",)) for i in reversed(range(9)))
    folder = write(tmp_path / "films", grid_of_ratings(), Catalogue(items))
    pq.write_table(pa.table({"id": ["u3", "u0"], "age": [30, 20]}), folder / "users.parquet")

    data = load_category(Category("films", folder), SplitOptions())

    assert data.item_names is not None
    assert data.item_names[:2] == ("Film 0", "Film 1")
    with_features = data.data_of(data.split.train, OfFeatures())
    assert with_features.item_features is not None
    assert with_features.user_features is not None
    assert with_features.item_features["tags"].to_pylist()[:2] == [["t0"], ["t1"]]
    assert with_features.item_features["tags"].to_pylist()[9] is None  # i9 is not in the catalogue
    assert with_features.user_features["age"].to_pylist()[:4] == [20, None, None, 30]
    assert "id" not in with_features.item_features.column_names
    assert data.data_of(data.split.train, SVDRecommender()).item_features is None


def test_a_category_too_small_to_divide_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "films", [("u0", "i0", 1.0)])
    with pytest.raises(DataError, match="collect more ratings"):
        load_category(Category("films", folder), SplitOptions())


def write_table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_features_of_a_catalogue_are_years_and_no_ids_or_texts(tmp_path: Path) -> None:
    write_table(
        tmp_path / "catalogue.parquet",
        id=["a", "b"],
        owner_id=["x", "y"],
        name=["A", "B"],
        tags=[["t"], []],
        created_at=pa.array([0, 10**9], pa.timestamp("s", tz="UTC")),
    )

    features = _item_features(tmp_path, IdMap(["b", "unknown", "a"]))

    assert features is not None
    assert features.to_pylist() == [
        {"tags": [], "created_at": 2001},
        {"tags": None, "created_at": None},
        {"tags": ["t"], "created_at": 1970},
    ]


def test_columns_of_ones_own_stand_beside_those_of_the_catalogue_or_alone(tmp_path: Path) -> None:
    mapping = IdMap(["i1", "i0", "i9"])
    write_table(tmp_path / "items.parquet", id=["i0", "i1"], price=[1.5, 2.5], tags=["a|b", None])
    alone = _item_features(tmp_path, mapping)
    assert alone is not None
    assert alone.to_pylist()[:2] == [{"price": 2.5, "tags": None}, {"price": 1.5, "tags": "a|b"}]

    catalogue = write_table(tmp_path / "catalogue.parquet", id=["i0"], name=["A"], city=["Hue"])
    both = _item_features(tmp_path, mapping)
    assert both is not None
    assert both.to_pylist() == [
        {"city": None, "price": 2.5, "tags": None},
        {"city": "Hue", "price": 1.5, "tags": "a|b"},
        {"city": None, "price": None, "tags": None},
    ]
    write_table(catalogue, id=["i0"], price=[3.0])
    with pytest.raises(
        DataError, match=r"items.parquet has the column 'price', and so has catalogue.parquet"
    ):
        _item_features(tmp_path, mapping)


def test_a_side_without_a_table_is_told_and_one_is_needed_where_features_are_asked_for(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "films", grid_of_ratings())
    data = load_category(Category("films", folder), SplitOptions())

    assert data.feature_notes(SVDRecommender()) == ()
    assert data.feature_notes(OfFeatures()) == (
        f"no user features: looked for {folder}/users.parquet",
        f"no item features: looked for {folder}/catalogue.parquet and {folder}/items.parquet",
    )
    data.data_of(data.split.train, OfFeatures())
    looked = f"{folder}/users.parquet, {folder}/catalogue.parquet, {folder}/items.parquet"
    with pytest.raises(DataError, match=f"svd was asked to use features and .* looked for {looked}"):
        data.data_of(data.split.train, NeedsFeatures())

    write_table(folder / "items.parquet", id=["i0"], price=[1.0])
    assert len(data.feature_notes(OfFeatures())) == 1
    assert data.data_of(data.split.train, NeedsFeatures()).item_features is not None


def test_the_hash_of_features_is_of_every_table_and_no_other_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "films", grid_of_ratings())
    hashes = [hash_features(folder)]
    (folder / "notes.txt").write_text("mine")
    assert hash_features(folder) == hashes[0]
    for name in ("users", "items", "catalogue"):
        write_table(folder / f"{name}.parquet", id=["u0", "i0"], age=[1, 2])
        hashes.append(hash_features(folder))
    write_table(folder / "items.parquet", id=["u0", "i0"], age=[1, 3])
    hashes.append(hash_features(folder))
    assert len(set(hashes)) == 5
