"""The text files of public benchmarks: both formats, who is unknown to whom, and bad lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.public_split import (
    FileFormat,
    detect_format,
    load_public_split,
    load_public_train,
)
from recsys.datasets.splits import Split
from recsys.errors import DataError


def load(tmp_path: Path, train: str, test: str) -> Split:
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    return load_public_split(tmp_path / "train.txt", tmp_path / "test.txt")


def test_lists_become_cells_of_weight_one(tmp_path: Path) -> None:
    split = load(tmp_path, train="0 2 10 1\n1 10\n\n2 1\n", test="0 11\n1\n2 2 10\n")

    assert split.train.user_mapping.ids == ("0", "1", "2")
    assert split.train.item_mapping.ids == ("1", "2", "10")
    assert split.train.user_items.toarray().tolist() == [[1, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert split.train.user_items.dtype == np.float32
    assert split.test.toarray().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert split.train.last_event_at is None
    assert split.strategy == "public split train.txt / test.txt"


@pytest.mark.parametrize(
    ("train", "test"), [("0 2 10 1\n1 10\n\n2 1\n", "0 99\n"), ("a\tx\t5\na\ty\t-1\nb\tx\n", "a\tz\t4\n")]
)
def test_a_train_file_by_itself_is_read_as_with_its_test_file(tmp_path: Path, train: str, test: str) -> None:
    with_test = load(tmp_path, train, test).train

    alone = load_public_train(tmp_path / "train.txt")

    assert alone.item_mapping.ids == with_test.item_mapping.ids
    assert alone.user_mapping.ids == with_test.user_mapping.ids
    assert (alone.user_items != with_test.user_items).nnz == 0


def test_a_train_file_of_dislikes_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a x -1\na y -2\n")

    with pytest.raises(DataError, match="dislikes"):
        load_public_train(tmp_path / "train.txt")


def test_triples_carry_ratings_and_a_dislike_is_never_relevant(tmp_path: Path) -> None:
    split = load(tmp_path, train="a\tx\t5\na\ty\t-1\nb\tx\n", test="b\ty\t4\nb\tz\t-2\na\tz\t3.5\n")

    assert split.train.user_items.toarray().tolist() == [[5.0, -1.0], [1.0, 0.0]]
    assert split.train.item_mapping.ids == ("x", "y")
    assert split.test.toarray().tolist() == [[0.0, 0.0, 3.5], [0.0, 4.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "file_format"),
    [
        ("0 1 2\n0 3 4\n", FileFormat.TRIPLES),
        ("0 1\n0 3\n1 2\n", FileFormat.TRIPLES),
        ("0 1 2\n1 3 4\n", FileFormat.LISTS),  # nobody comes twice
        ("0 1 2\n1 3 4 5\n", FileFormat.LISTS),
        ("0 1 2\n1\n2 5 6\n", FileFormat.LISTS),
    ],
)
def test_the_format_follows_from_the_lines(tmp_path: Path, text: str, file_format: FileFormat) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text)
    assert detect_format(path) is file_format


def test_a_test_file_with_a_line_a_user_is_read_like_its_train_file(tmp_path: Path) -> None:
    split = load(tmp_path, train="0 1 5\n0 2 3\n1 1 4\n", test="0 3 5\n1 2 4\n")

    assert split.test.toarray().tolist() == [[0.0, 0.0, 5.0], [0.0, 4.0, 0.0]]


def test_a_user_of_the_test_file_alone_has_an_empty_row(tmp_path: Path) -> None:
    split = load(tmp_path, train="0 1 2 3\n", test="7 1\n")

    assert split.train.user_mapping.ids == ("0", "7")
    assert split.train.history(1).item_indices.tolist() == []
    assert split.test.toarray().tolist() == [[0, 0, 0], [1, 0, 0]]


def test_of_a_repeated_pair_the_last_line_counts(tmp_path: Path) -> None:
    split = load(tmp_path, train="0 1 5\n0 2 1\n0 1 2\n", test="0 3 1\n0 3 4\n")

    assert split.train.user_items.toarray().tolist() == [[2.0, 1.0]]
    assert split.test.toarray().tolist() == [[0.0, 0.0, 4.0]]


def test_test_pairs_that_are_in_train_are_left_out_and_the_strategy_says_so(tmp_path: Path) -> None:
    split = load(tmp_path, train="0 1 2 3\n", test="0 2 4 5\n")

    assert split.test.toarray().tolist() == [[0, 0, 0, 1, 1]]
    assert split.strategy.endswith("(1 test pairs that are in train too left out)")


pairs = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1)


@given(train=pairs, test=pairs)
def test_every_pair_lands_in_the_cell_its_ids_say(
    tmp_path_factory: pytest.TempPathFactory, train: set[tuple[int, int]], test: set[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("split")
    lists = {
        name: "".join(
            f"u{user} {' '.join(f'i{item}' for owner, item in sorted(cells) if owner == user)}\n"
            for user in sorted({user for user, _ in cells})
        )
        + "u99 \n" * (name == "train")  # one field: never a triple file
        for name, cells in (("train", train), ("test", test))
    }
    if test <= train:
        with pytest.raises(DataError, match="no pair to use"):
            load(folder, **lists)
        return
    split = load(folder, **lists)

    users, items = split.train.user_mapping.ids, split.train.item_mapping.ids
    rows, columns = split.train.user_items.nonzero()
    assert {(int(users[r][1:]), int(items[c][1:])) for r, c in zip(rows, columns, strict=True)} == train
    known = {(u, i) for u, i in test - train if f"i{i}" in items}
    rows, columns = split.test[:, : len(items)].nonzero()
    assert {(int(users[r][1:]), int(items[c][1:])) for r, c in zip(rows, columns, strict=True)} == known
    assert split.test.nnz == len(test - train)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("0 1 2 3 4\n0 5 6 7 8\n", "0 9\n", r"train.txt, line 2: user 0 comes a second time"),
        ("0 1 5\n0 2 five\n", "0 9\n", r"train.txt, line 2: the rating is 'five'"),
        ("0 1 5\n0 2 nan\n", "0 9\n", r"line 2: the rating is 'nan'"),
        ("0 1 5\n0 2 0\n", "0 9\n", r"line 2: the rating is '0'; it must be a number other than 0"),
        ("0 1 5\n0 2 4\n", "0 9 1 874965758\n", r"test.txt, line 1 has 4 fields"),
        ("", "0 9\n", r"train.txt holds no pair to use"),
        ("0 1 2 3\n", "0\n", r"test.txt holds no pair to use"),
        ("0,1,5\n0,2,4\n", "0,9,3\n", r"train.txt holds no pair to use; its lines must read"),
        ("0 1 -1\n0 2 -1\n", "0 9\n", r"train.txt holds no pair to use"),
    ],
)
def test_files_that_cannot_be_a_split_are_refused(
    tmp_path: Path, train: str, test: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, train, test)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read as text"):
        load_public_split(tmp_path / "nowhere.txt", tmp_path / "nowhere.txt")
    (tmp_path / "binary").write_bytes(b"\x80\x81\xff")
    with pytest.raises(DataError, match="cannot be read as text"):
        load_public_split(tmp_path / "binary", tmp_path / "binary")
