"""Rating folders: what is written in batches comes back as columns, and bad input is refused."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.catalogue import Catalogue, CatalogueItem
from recsys.datasets.rating_tables import load_table
from recsys.datasets.ratings import MANIFEST_FILE, RATINGS_FILE, RatingBatch, load_ratings, save_ratings
from recsys.errors import DataError

TWO_BATCHES = (
    RatingBatch(["ann", "bob"], ["m1", "m1"], [5.0, 3.0], [100.0, 200.0], ["loved it", ""]),
    RatingBatch(["ann"], ["m2"], [1.0], [300.0], ["no"]),
)


def as_triples(folder: Path) -> dict[tuple[str, str], float]:
    dataset = load_ratings(folder)
    users, items = dataset.user_mapping.ids, dataset.item_mapping.ids
    ratings = dataset.ratings
    return {
        (users[user], items[item]): float(points)
        for user, item, points in zip(ratings.user_index, ratings.item_index, ratings.points, strict=True)
    }


def test_ratings_written_in_batches_come_back_sorted_by_pair(tmp_path: Path) -> None:
    manifest = save_ratings(TWO_BATCHES, tmp_path, source={"importer": "movielens"})

    dataset = load_ratings(tmp_path)
    assert dataset.user_mapping.ids == ("ann", "bob")
    assert dataset.item_mapping.ids == ("m1", "m2")
    assert dataset.ratings.user_index.tolist() == [0, 0, 1]
    assert dataset.ratings.item_index.tolist() == [0, 1, 0]
    assert dataset.ratings.points.tolist() == [5.0, 1.0, 3.0]
    assert dataset.ratings.rated_at is not None
    assert dataset.ratings.rated_at.tolist() == [100.0, 300.0, 200.0]
    assert dataset.manifest == manifest
    assert manifest["importer"] == "movielens"
    assert manifest["counts"] == {"users": 2, "items": 2, "ratings": 3}
    assert manifest["density"] == 0.75
    assert manifest["rating_range"] == [1.0, 5.0]
    assert pq.read_table(tmp_path / RATINGS_FILE)["text"].to_pylist() == ["loved it", "", "no"]


def test_times_and_texts_are_left_out_when_the_source_has_none(tmp_path: Path) -> None:
    save_ratings([RatingBatch(["ann"], ["m1"], [4.0])], tmp_path)

    assert pq.read_schema(tmp_path / RATINGS_FILE).names == ["user_index", "item_index", "rating"]
    assert load_ratings(tmp_path).ratings.rated_at is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 10), st.integers(0, 3)),
        min_size=1,
    ),
    st.integers(1, 4),
)
def test_a_pair_rated_twice_keeps_its_latest_rating(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int, int]], batch_size: int
) -> None:
    folder = tmp_path_factory.mktemp("ratings")
    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    columns = (zip(*batch, strict=True) for batch in batches)
    save_ratings((RatingBatch(*(list(column) for column in batch)) for batch in columns), folder)

    expected: dict[tuple[str, str], tuple[int, float]] = {}
    for user, item, points, rated_at in rows:
        if rated_at >= expected.get((user, item), (-1, 0.0))[0]:
            expected[user, item] = (rated_at, float(points))
    assert as_triples(folder) == {pair: points for pair, (_, points) in expected.items()}


def test_only_one_batch_is_held_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def batches() -> Iterator[RatingBatch]:
        for number in range(20):
            points = np.full(1000, 3.0, dtype=np.float32)
            alive.append(weakref.ref(points))
            ids = [f"{number}-{row}" for row in range(1000)]
            yield RatingBatch(ids, ids, points)
            del points
            assert sum(array() is not None for array in alive) <= 2  # the loop variable and its rows

    save_ratings(batches(), tmp_path)
    assert len(load_ratings(tmp_path).ratings) == 20_000


def test_a_failed_import_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    save_ratings(TWO_BATCHES, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(DataError, match="Rating number 4 has the rating nan"):
        save_ratings([*TWO_BATCHES, RatingBatch(["z"], ["m9"], [np.nan], [0.0], [""])], tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_catalogue_is_kept_and_removed_with_its_ratings(tmp_path: Path) -> None:
    catalogue = Catalogue((CatalogueItem("m1", "Alien", tags=("Horror",)),))

    save_ratings(TWO_BATCHES, tmp_path, catalogue=catalogue)
    assert load_ratings(tmp_path).catalogue == catalogue

    save_ratings(TWO_BATCHES, tmp_path)
    assert load_ratings(tmp_path).catalogue is None


def test_a_table_a_person_laid_there_outlives_another_import(tmp_path: Path) -> None:
    people = pa.table({"id": ["ann"], "age": [30]})
    save_ratings(TWO_BATCHES, tmp_path, users=people)
    save_ratings(TWO_BATCHES, tmp_path)
    assert not (tmp_path / "users.parquet").exists()  # of the earlier import

    for name in ("users", "items"):
        pq.write_table(people, tmp_path / f"{name}.parquet")
    save_ratings(TWO_BATCHES, tmp_path)

    assert load_table(tmp_path / "users.parquet", load_ratings(tmp_path).user_mapping)["age"][0].as_py() == 30
    assert (tmp_path / "items.parquet").exists()


def test_a_table_of_ones_own_in_the_catalogues_place_is_told_where_it_belongs(tmp_path: Path) -> None:
    save_ratings(TWO_BATCHES, tmp_path)
    pq.write_table(pa.table({"id": ["m1"], "price": [2.0]}), tmp_path / "catalogue.parquet")

    with pytest.raises(
        DataError, match=r"catalogue.parquet lacks the columns name, .*is called items.parquet"
    ):
        load_ratings(tmp_path)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (RatingBatch([], [], []), "No ratings found"),
        (RatingBatch(["ann"], ["m1"], [np.inf]), "Rating number 1 has the rating inf"),
        (RatingBatch(["ann"], ["m1"], [1.0], [np.nan]), "Rating number 1 has the time nan"),
        (RatingBatch([None], ["m1"], [1.0]), "1 ratings have no user id"),  # type: ignore[list-item]
        (RatingBatch(["ann"], [""], [1.0]), "must have 1 to 64 characters"),
        (RatingBatch(["ann"], ["m" * 65], [1.0]), "must have 1 to 64 characters"),
    ],
)
def test_unusable_ratings_are_refused(tmp_path: Path, batch: RatingBatch, message: str) -> None:
    with pytest.raises(DataError, match=message):
        save_ratings([batch], tmp_path)


def test_batches_that_differ_in_their_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have rated_at, text and others have not"):
        save_ratings([TWO_BATCHES[0], RatingBatch(["ann"], ["m2"], [1.0])], tmp_path)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="recsys import"):
        load_ratings(tmp_path)

    save_ratings(TWO_BATCHES, tmp_path)
    whole = (tmp_path / RATINGS_FILE).read_bytes()
    (tmp_path / RATINGS_FILE).write_bytes(whole[:-1] + b"?")
    with pytest.raises(DataError, match="is not the file its manifest was written for"):
        load_ratings(tmp_path)

    (tmp_path / RATINGS_FILE).write_bytes(whole)
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(DataError, match="schema version 1"):
        load_ratings(tmp_path)


def test_a_manifest_that_lists_other_files_cannot_hide_ratings_outside_the_mappings(tmp_path: Path) -> None:
    manifest = save_ratings(TWO_BATCHES, tmp_path)
    other = tmp_path / "other"
    save_ratings([RatingBatch(["ann", "cat"], ["m1", "m3"], [1.0, 1.0])], other)
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({**manifest, "files": {}}))
    (tmp_path / "user_mapping.json").write_text('{"ann": 0}')

    with pytest.raises(DataError, match="does not fit its mappings"):
        load_ratings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("files", None, "lists no files"),
        ("files", {RATINGS_FILE: {"bytes": "many"}}, "not its bytes and sha256"),
        ("rating_range", None, "says rating_range: None, not the lowest and the highest points"),
        ("rating_range", [5.0, 1.0], r"says rating_range: \[5.0, 1.0\]"),
        ("scale", [1, "x"], r"says scale: \[1, 'x'\]"),
        ("scale", [1, float("inf")], r"says scale: \[1, inf\]"),
    ],
)
def test_a_manifest_that_does_not_count_is_refused(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    manifest = save_ratings(TWO_BATCHES, tmp_path)
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({**manifest, name: value}))
    with pytest.raises(DataError, match=message):
        load_ratings(tmp_path)
