"""The Book-Crossing files (Ziegler et al., WWW 2005): points from 1 to 10, and 0 for "read, not rated"."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.importers.tables import DelimitedTable, check_file
from recsys.errors import DataError

RATING_FILES = ("BX-Book-Ratings.csv", "Book-Ratings.csv", "Ratings.csv")
BOOK_FILES = ("BX-Books.csv", "BX_Books.csv", "Books.csv")
USER_FILES = ("BX-Users.csv", "Users.csv")
ENCODING = "latin-1"
SCALE = (1.0, 10.0)
FIRST_YEAR, LAST_YEAR = 1400, 2100  # other years in the file are slips
LONGEST_NAME = 500


@dataclass(frozen=True, slots=True)
class BookCrossingFiles:
    """The ratings, and the files of books and people when they are there."""

    ratings: DelimitedTable
    books: Path | None
    users: Path | None


def find_book_crossing(path: Path) -> BookCrossingFiles:
    """Find the files in a folder, or beside the ratings file that is named.

    Raises:
        DataError: the path does not exist, or holds no file of ratings.
    """
    folder, ratings = (path, _first(path, RATING_FILES)) if path.is_dir() else (path.parent, path)
    if ratings is None:
        raise DataError(
            f"{path.absolute()} holds none of {', '.join(RATING_FILES)}; name a Book-Crossing folder."
        )
    check_file(ratings)
    table = DelimitedTable(ratings, encoding=ENCODING, escape="\\")
    return BookCrossingFiles(table, _first(folder, BOOK_FILES), _first(folder, USER_FILES))


def read_books(path: Path) -> Iterator[CatalogueItem]:
    """The books as catalogue items: the author as a tag, born on the first day of their year.

    Raises:
        DataError: a line has no number or title of a book.
    """
    for number, row in read_rows(path):
        if len(row) < 4 or not row[0].strip() or not row[1].strip():
            raise DataError(f"{path}, line {number}: {row!r:.80} is not a book; restore the file.")
        yield _book(*(value.strip().replace("\0", "") for value in row[:4]))


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows below the names of the columns, each with the line it ends on."""
    delimiter = DelimitedTable(path, encoding=ENCODING).delimiter_used()
    with path.open(encoding=ENCODING, newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, escapechar="\\")
        next(rows)
        for row in rows:
            if row:
                yield rows.line_num, row


def _book(isbn: str, title: str, author: str, year: str) -> CatalogueItem:
    is_year = year.isdecimal() and FIRST_YEAR <= int(year) <= LAST_YEAR
    return CatalogueItem(
        id=isbn,
        name=title[:LONGEST_NAME],
        short_description=f"Book by {author}" if author else "Book",
        tags=(author,) if author else (),
        industry="Book",
        created_at=datetime(int(year), 1, 1, tzinfo=UTC).timestamp() if is_year else 0.0,
    )


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
