from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, load_npz, save_npz

from recsys.datasets.catalogue import Catalogue, CatalogueItem, UserTable
from recsys.datasets.user_items import (
    EVENT_TYPES_FILE,
    ITEM_MAPPING_FILE,
    LAST_EVENT_FILE,
    MANIFEST_FILE,
    MATRIX_FILE,
    USER_MAPPING_FILE,
    Dataset,
    build_user_items,
    load_dataset,
    save_dataset,
)
from recsys.datasets.weights import Cells
from recsys.errors import DataError

USER_IDS = ["bob", "ann", "cid"]
ITEM_IDS = ["yard", "acme", "zeta", "mill"]


def make_cells(pairs: list[tuple[int, int, float]]) -> Cells:
    users, items, weights = (np.array(column) for column in zip(*pairs, strict=True))
    n = len(pairs)
    return Cells(
        users, items, weights.astype(np.float32), np.arange(n, dtype=np.float64), np.full(n, 4, np.uint8)
    )


@pytest.fixture
def dataset() -> Dataset:
    """Three users, four startups acted on and one not: 3 x 4, so a swap of sides shows."""
    cells = make_cells([(0, 0, 2.0), (0, 2, -1.0), (1, 1, 3.5), (2, 3, 0.5), (2, 0, 1.0)])
    catalogue = Catalogue(
        tuple(
            CatalogueItem(id=i, name=i.title(), tags=("fintech",), created_at=5.5)
            for i in ["acme", "newco", "yard"]
        )
    )
    users = UserTable(("ann", "bob"), (("fintech",), ()), (False, True))
    return build_user_items(cells, USER_IDS, ITEM_IDS, catalogue=catalogue, users=users)


def test_mappings_are_sorted_by_id_and_cells_follow_them(dataset: Dataset) -> None:
    assert dataset.user_mapping.ids == ("ann", "bob", "cid")
    assert dataset.item_mapping.ids == ("acme", "mill", "yard", "zeta")
    assert dataset.user_items.toarray().tolist() == [[3.5, 0, 0, 0], [0, 0, 2, -1], [0, 0.5, 1, 0]]
    assert dataset.last_event_at is not None
    assert dataset.last_event_at[1, 3] == 1.0  # the second cell of the list


def test_the_views_show_the_same_cells_by_sign(dataset: Dataset) -> None:
    assert dataset.positive.toarray()[1].tolist() == [0, 0, 2, 0]
    assert dataset.negative.toarray()[1].tolist() == [0, 0, 0, -1]
    assert dataset.seen.toarray()[1].tolist() == [0, 0, 1, 1]


def test_the_item_space_is_the_mapping_then_what_nobody_acted_on(dataset: Dataset) -> None:
    assert dataset.all_items.ids == ("acme", "mill", "yard", "zeta", "newco")


def test_a_history_is_the_users_row_with_their_interests(dataset: Dataset) -> None:
    history = dataset.history(0)

    assert history.item_indices.tolist() == [0]
    assert history.interests == ("fintech",)


def test_a_saved_dataset_loads_the_same(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)

    loaded = load_dataset(tmp_path)

    assert (loaded.user_items != dataset.user_items).nnz == 0
    assert loaded.user_mapping.ids == dataset.user_mapping.ids
    assert loaded.catalogue == dataset.catalogue
    assert loaded.users == dataset.users
    assert loaded.event_types is not None
    assert loaded.event_types.dtype == np.uint8
    assert loaded.manifest["counts"] == {
        "users": 3,
        "items": 4,
        "interactions": 5,
        "dislikes": 1,
        "catalogue": 3,
    }


def test_the_first_three_files_are_all_a_trainer_needs(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    for path in tmp_path.iterdir():
        if path.name not in (MATRIX_FILE, USER_MAPPING_FILE, ITEM_MAPPING_FILE):
            path.unlink()

    loaded = load_dataset(tmp_path / MATRIX_FILE)

    assert loaded.last_event_at is None
    assert loaded.catalogue is None
    assert (loaded.user_items != dataset.user_items).nnz == 0


def test_a_second_export_leaves_nothing_of_the_first(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)

    save_dataset(replace(dataset, catalogue=None, last_event_at=None), tmp_path)

    assert load_dataset(tmp_path).last_event_at is None
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.parametrize("n", [2, 3])
def test_min_interactions_repeats_until_nothing_more_falls_out(n: int) -> None:
    core = [(u, i, 1.0) for u in range(n) for i in range(n)]
    chain = [(n, 0, 1.0), (n, n, 1.0), (n + 1, n, 1.0)]  # falls apart from its loose end
    ids = [str(i) for i in range(n + 2)]

    dataset = build_user_items(make_cells(core + chain[: n - 1]), ids, ids, min_interactions=n)

    assert dataset.user_items.shape == (n, n)
    assert dataset.user_items.nnz == n * n


def test_a_filter_that_leaves_nothing_says_to_lower_it() -> None:
    with pytest.raises(DataError, match=r"Matrix too sparse.*Lower --min-interactions"):
        build_user_items(make_cells([(0, 0, 1.0)]), USER_IDS, ITEM_IDS, min_interactions=2)


def test_no_cells_say_no_interactions_found() -> None:
    nothing = Cells(*(np.empty(0, np.int64) for _ in range(5)))

    with pytest.raises(DataError, match="No interactions found"):
        build_user_items(nothing, [], [])


def test_a_swapped_matrix_is_called_transposed(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    save_npz(tmp_path / MATRIX_FILE, csr_matrix(dataset.user_items.T))

    with pytest.raises(DataError, match="transposed"):
        load_dataset(tmp_path)


def test_a_mapping_with_a_hole_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    (tmp_path / ITEM_MAPPING_FILE).write_text(json.dumps({"a": 0, "b": 1, "c": 2, "d": 4}))

    with pytest.raises(DataError, match="holes"):
        load_dataset(tmp_path)


def test_one_altered_byte_is_seen(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    damaged = bytearray((tmp_path / MATRIX_FILE).read_bytes())
    damaged[200] ^= 1
    (tmp_path / MATRIX_FILE).write_bytes(damaged)

    with pytest.raises(DataError, match="not the file its manifest was written for"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("damage", ["numbers", "wants a password"])
def test_a_damaged_archive_names_the_mend(dataset: Dataset, tmp_path: Path, damage: str) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    save_npz(tmp_path / MATRIX_FILE, dataset.user_items, compressed=True)
    content = bytearray((tmp_path / MATRIX_FILE).read_bytes())
    if damage == "numbers":
        start = content.index(b"data.npy") + len(b"data.npy") + 20
        content[start : start + 40] = bytes([255]) * 40
    else:
        content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / MATRIX_FILE).write_bytes(content)

    with pytest.raises(DataError, match=r"is not a sparse matrix .*export the dataset again"):
        load_dataset(tmp_path)


def test_a_truncated_matrix_names_the_mend(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    (tmp_path / MATRIX_FILE).write_bytes((tmp_path / MATRIX_FILE).read_bytes()[:100])

    with pytest.raises(DataError, match="export the dataset again"):
        load_dataset(tmp_path)


def test_times_of_other_cells_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    times = load_npz(tmp_path / LAST_EVENT_FILE).tolil()
    times[0, 2] = 5.0
    save_npz(tmp_path / LAST_EVENT_FILE, times.tocsr())

    with pytest.raises(DataError, match=f"{LAST_EVENT_FILE} does not have the cells"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("value", [99, -1])
def test_a_cell_outside_the_matrix_is_refused(
    dataset: Dataset, tmp_path: Path, part: str, value: int
) -> None:
    save_dataset(dataset, tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    damaged = dataset.user_items.copy()
    getattr(damaged, part)[1] = value
    save_npz(tmp_path / MATRIX_FILE, damaged)

    with pytest.raises(DataError, match=f"{MATRIX_FILE} is not a sparse matrix"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_time_that_is_no_finite_number_is_refused(dataset: Dataset, tmp_path: Path, value: float) -> None:
    assert dataset.last_event_at is not None
    dataset.last_event_at.data[2] = value
    save_dataset(dataset, tmp_path)

    with pytest.raises(DataError, match=f"{LAST_EVENT_FILE} holds a value that is not a finite number"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "files", [[], None, {MATRIX_FILE: {}}, {MATRIX_FILE: None}, {"../x": {"bytes": 1, "sha256": ""}}]
)
def test_a_manifest_of_another_shape_is_refused(dataset: Dataset, tmp_path: Path, files: object) -> None:
    save_dataset(dataset, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({**manifest, "files": files}))

    with pytest.raises(DataError, match=f"{MANIFEST_FILE} (says|names)"):
        load_dataset(tmp_path)


def test_a_missing_folder_says_to_export(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="generate_als_dataset"):
        load_dataset(tmp_path)


def test_the_content_hash_covers_times_and_users(dataset: Dataset) -> None:
    assert dataset.last_event_at is not None
    others = [
        replace(dataset, last_event_at=dataset.last_event_at + dataset.last_event_at),
        replace(dataset, last_event_at=None),
        replace(dataset, users=UserTable(("ann", "bob"), (("biotech",), ()), (False, True))),
        replace(dataset, users=None),
    ]

    assert len({one.content_hash for one in (dataset, *others)}) == 5
    assert replace(dataset).content_hash == dataset.content_hash


def test_the_same_dataset_writes_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    for folder in ("one", "other"):
        save_dataset(dataset, tmp_path / folder)

    for name in (MATRIX_FILE, USER_MAPPING_FILE, ITEM_MAPPING_FILE, LAST_EVENT_FILE, EVENT_TYPES_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
