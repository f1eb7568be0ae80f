"""The files of people that come with MovieLens and Book-Crossing: age, gender, occupation, country."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from recsys.datasets.importers.book_crossing import find_book_crossing
from recsys.datasets.importers.book_crossing import read_rows as read_book_crossing_rows
from recsys.datasets.importers.movielens import find_users
from recsys.errors import DataError

# Of MovieLens 1M, by the number in its file.
OCCUPATIONS_1M = (
    *("other", "educator", "artist", "administrator", "student", "customer service", "healthcare"),
    *("executive", "farmer", "homemaker", "K-12 student", "lawyer", "programmer", "retired", "sales"),
    *("scientist", "self-employed", "technician", "tradesman", "unemployed", "writer"),
)
OLDEST = 110  # ages above it are slips
Facts = dict[str, object]


def read_users(path: Path, file_format: str) -> pa.Table | None:
    """A table of `id` and what else is told of people; None where nothing is.

    MovieLens: age (years; in 1M the lower end of a bracket), gender, occupation; Book-Crossing: age and
    country. Zip codes and towns, of which nearly everybody has their own, are left out.

    Raises:
        DataError: a line does not have the columns of its format.
    """
    if file_format == "movielens":
        file = find_users(path)
        return None if file is None else _read(file, *_movielens_lines(file))
    if file_format == "book-crossing":
        file = find_book_crossing(path).users
        return None if file is None else _read(file, read_book_crossing_rows(file), _book_crossing)
    return None


def _read(
    path: Path, rows: Iterable[tuple[int, Sequence[str]]], parse: Callable[[Sequence[str]], Facts]
) -> pa.Table:
    people: list[Facts] = []
    for number, row in rows:
        try:
            people.append(parse(row))
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: {row!r:.80} is not a person; restore the file."
            ) from None
    return pa.Table.from_pylist(people)


def _movielens_lines(
    path: Path,
) -> tuple[Iterable[tuple[int, Sequence[str]]], Callable[[Sequence[str]], Facts]]:
    lines = path.read_text(encoding="latin-1").splitlines()
    if path.suffix == ".dat":
        rows = [(number, line.split("::")) for number, line in enumerate(lines, start=1) if line.strip()]
        return rows, _movielens_1m
    delimiter = "|" if "|" in lines[0] else "\t"
    rows = [(number, line.split(delimiter)) for number, line in enumerate(lines, start=1) if line.strip()]
    return (row for row in rows if ":" not in row[1][0]), _movielens_100k  # a typed header: user_id:token


def _movielens_100k(row: Sequence[str]) -> Facts:
    user_id, age, gender, occupation, _ = row
    return {"id": user_id.strip(), "age": float(age), "gender": gender, "occupation": occupation}


def _movielens_1m(row: Sequence[str]) -> Facts:
    user_id, gender, age, occupation, _ = row
    return {
        "id": user_id.strip(),
        "age": float(age),
        "gender": gender,
        "occupation": OCCUPATIONS_1M[int(occupation)],
    }


def _book_crossing(row: Sequence[str]) -> Facts:
    user_id, location, age = row[:3]
    country = location.rpartition(",")[2].strip().lower()
    years = float(age) if age.replace(".", "", 1).isdecimal() else 0.0
    return {"id": user_id.strip(), "age": years if 0 < years <= OLDEST else None, "country": country or None}
