"""The text files public benchmarks are published as: a train file and a test file of id pairs.

A line is `user item item ...` (a list file, one line a user) or `user item [rating]` (a triple
file, one line a pair), separated by spaces or tabs. Ids are opaque; that most files number from 0
does not matter. A line of two fields can be either, so the train file decides for both: it is a
triple file when every line has two or three fields and some user comes on two lines. A test file
with a line a user (leave-one-out) is then read like its train file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from recsys.datasets.id_map import IdMap
from recsys.datasets.splits import Split
from recsys.datasets.user_items import Dataset, cells_where, check_user_items
from recsys.errors import DataError
from recsys.types import Float32Array, Int32Array


class FileFormat(Enum):
    """How the lines of a file are to be read."""

    LISTS = "user item item ..."
    TRIPLES = "user item [rating]"


def load_public_split(train_path: Path, test_path: Path) -> Split:
    """Read a train file and a test file as a split.

    A pair of a list weighs 1, a triple what its rating says (below zero: a dislike, which is never
    relevant); of a pair that comes twice the last line counts. Indices follow the ids, as numbers
    when all are whole numbers. Only items of the train file are in the item mapping; the others of
    the test file stand in the columns of `test` after them: no recommender can offer them, but
    they count in recall. Users of the test file alone have an empty row in train. Test pairs that
    are in train too are left out, and the strategy says so.

    Raises:
        DataError: a file is missing, a line does not fit its format, or nothing is left to learn
            from or to test with.
    """
    file_format = detect_format(train_path)
    train, test = _read_pairs(train_path, file_format), _read_pairs(test_path, file_format)
    train_items = _sort_ids(train.item_ids)
    test_only_items = _sort_ids(set(test.item_ids).difference(train_items))
    user_ids = _sort_ids({*train.user_ids, *test.user_ids})
    user_index = {user_id: index for index, user_id in enumerate(user_ids)}
    item_index = {item_id: index for index, item_id in enumerate((*train_items, *test_only_items))}

    user_items = _build_matrix(train, user_index, item_index, len(train_items))
    held_back = _build_matrix(test, user_index, item_index, len(item_index))
    relevant, n_repeated = _cells_not_in(cells_where(held_back, held_back.data > 0), user_items)
    for path, matrix in ((train_path, cells_where(user_items, user_items.data > 0)), (test_path, relevant)):
        if matrix.nnz == 0:
            raise DataError(f"{path} holds no pair to use; its lines must read {file_format.value!r}.")
    strategy = f"public split {train_path.name} / {test_path.name}"
    if n_repeated:
        strategy += f" ({n_repeated:,} test pairs that are in train too left out)"
    return Split(Dataset(user_items, IdMap(user_ids), IdMap(train_items)), relevant, strategy)


def load_public_train(train_path: Path) -> Dataset:
    """The train file of a public split by itself, read as `load_public_split` reads it.

    Raises:
        DataError: the file is missing, a line does not fit its format, or it holds no positive pair.
    """
    pairs = _read_pairs(train_path, detect_format(train_path))
    user_ids, item_ids = _sort_ids(pairs.user_ids), _sort_ids(pairs.item_ids)
    user_index = {user_id: index for index, user_id in enumerate(user_ids)}
    item_index = {item_id: index for index, item_id in enumerate(item_ids)}
    user_items = _build_matrix(pairs, user_index, item_index, len(item_ids))
    check_user_items(user_items)
    return Dataset(user_items, IdMap(user_ids), IdMap(item_ids))


def detect_format(train_path: Path) -> FileFormat:
    """A triple file has two or three fields in every line, and a user on two lines."""
    users: set[str] = set()
    some_user_repeats = False
    for _, fields in _read_lines(train_path):
        if len(fields) not in (2, 3):
            return FileFormat.LISTS
        some_user_repeats = some_user_repeats or fields[0] in users
        users.add(fields[0])
    return FileFormat.TRIPLES if some_user_repeats else FileFormat.LISTS


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The pairs of one file; `users` and `items` (n_pairs,) point into the ids as they first came."""

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: Int32Array
    items: Int32Array
    weights: Float32Array


def _read_pairs(path: Path, file_format: FileFormat) -> _Pairs:
    read = _read_lists if file_format is FileFormat.LISTS else _read_triples
    user_numbers: dict[str, int] = {}
    item_numbers: dict[str, int] = {}
    users, items, weights = array("i"), array("i"), array("f")
    for user_id, item_id, weight in read(path):
        users.append(user_numbers.setdefault(user_id, len(user_numbers)))
        items.append(item_numbers.setdefault(item_id, len(item_numbers)))
        weights.append(weight)
    return _Pairs(
        tuple(user_numbers),
        tuple(item_numbers),
        np.array(users, dtype=np.int32),
        np.array(items, dtype=np.int32),
        np.array(weights, dtype=np.float32),
    )


def _read_lists(path: Path) -> Iterator[tuple[str, str, float]]:
    seen: set[str] = set()
    for number, (user_id, *item_ids) in _read_lines(path):
        if user_id in seen:
            raise DataError(
                f"{path}, line {number}: user {user_id} comes a second time. A file of lists has one line a "
                "user; a file of pairs has two or three fields in every line: user, item, rating."
            )
        seen.add(user_id)
        for item_id in item_ids:
            yield user_id, item_id, 1.0


def _read_triples(path: Path) -> Iterator[tuple[str, str, float]]:
    for number, fields in _read_lines(path):
        if len(fields) not in (2, 3):
            raise DataError(
                f"{path}, line {number} has {len(fields)} fields; its train file is of lines "
                f"{FileFormat.TRIPLES.value!r}, so it must be too."
            )
        yield fields[0], fields[1], _parse_rating(path, number, fields[2]) if len(fields) == 3 else 1.0


def _parse_rating(path: Path, number: int, text: str) -> float:
    try:
        rating = float(text)
    except ValueError:
        rating = np.nan
    if not np.isfinite(rating) or rating == 0:
        raise DataError(
            f"{path}, line {number}: the rating is {text!r}; it must be a number other than 0 "
            "(above 0: liked, below 0: disliked)."
        )
    return rating


def _read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that has any, with its number from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if fields := line.split():
                    yield number, fields
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as text ({error}); give the file of a public split."
        ) from error


def _sort_ids(ids: Iterable[str]) -> list[str]:
    ordered = sorted(ids)
    return sorted(ordered, key=int) if all(i.isdecimal() for i in ordered) else ordered


def _build_matrix(
    pairs: _Pairs, user_index: Mapping[str, int], item_index: Mapping[str, int], n_items: int
) -> csr_matrix:
    """(n_users, n_items) of the weights; of a repeated pair the last one."""
    rows = np.array([user_index[user_id] for user_id in pairs.user_ids], dtype=np.int64)[pairs.users]
    columns = np.array([item_index[item_id] for item_id in pairs.item_ids], dtype=np.int64)[pairs.items]
    cells, position_from_end = np.unique((rows * n_items + columns)[::-1], return_index=True)
    weights = pairs.weights[::-1][position_from_end]
    return csr_matrix((weights, (cells // n_items, cells % n_items)), (len(user_index), n_items))


def _cells_not_in(matrix: csr_matrix, other: csr_matrix) -> tuple[csr_matrix, int]:
    """The cells of a matrix that the other, with as many rows, does not store, and how many it does."""
    n_columns = matrix.shape[1]
    cells, taken = (
        np.repeat(np.arange(m.shape[0]) * n_columns, np.diff(m.indptr)) + m.indices for m in (matrix, other)
    )
    repeated = np.isin(cells, taken)
    return cells_where(matrix, ~repeated), int(repeated.sum())
