"""The MovieLens files (Harper & Konstan, TiiS 2015): 100K, 1M, 10M and the CSV ones since 20M."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recsys.datasets.catalogue import CatalogueItem
from recsys.datasets.importers.tables import DelimitedTable, check_file
from recsys.errors import DataError

# Of u.item, in the order of its columns of flags.
GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *(
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
NO_GENRE = ("", "unknown", "(no genres listed)")
TITLE_AND_YEAR = re.compile(r"(?P<title>.*?)\s*\((?P<year>\d{4})\)\s*")


@dataclass(frozen=True, slots=True)
class MovieLensFiles:
    """The ratings of one MovieLens data set, the points there can be, and its file of films, if any."""

    ratings: DelimitedTable
    scale: tuple[float, float]
    films: Path | None


def find_movielens(path: Path) -> MovieLensFiles:
    """Find the files in a folder, or beside the ratings file that is named.

    Raises:
        DataError: the path does not exist, or holds none of the known files.
    """
    if path.is_dir():
        folder = path
        candidates = (folder / name for name in ("u.data", "ratings.dat", "ratings.csv"))
        ratings = next((file for file in candidates if file.is_file()), None)
        if ratings is None:
            raise DataError(
                f"{path.absolute()} holds no u.data, ratings.dat or ratings.csv; name a MovieLens folder."
            )
    else:
        check_file(path)
        folder, ratings = path.parent, path
    films = (folder / "u.item", *sorted(folder.glob("*.item")), folder / "movies.dat", folder / "movies.csv")
    return MovieLensFiles(
        _ratings_table(ratings), _scale(ratings), next((file for file in films if file.is_file()), None)
    )


def find_users(path: Path) -> Path | None:
    """The file of people in a folder, or beside the ratings file that is named."""
    folder = path if path.is_dir() else path.parent
    candidates = (folder / "u.user", *sorted(folder.glob("*.user")), folder / "users.dat")
    return next((file for file in candidates if file.is_file()), None)


def read_films(path: Path) -> Iterator[CatalogueItem]:
    """The films as catalogue items: genres as tags, born on the first day of their year.

    Raises:
        DataError: a line does not have the columns of its format.
    """
    lines = _decode(path).splitlines()
    n_header, parse = _layout(path, lines)
    for number, line in enumerate(lines[n_header:], start=n_header + 1):
        if not line.strip():
            continue
        try:
            yield _film(*parse(line))
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is not a film; restore the file."
            ) from None


def _ratings_table(path: Path) -> DelimitedTable:
    if path.suffix == ".dat":  # "::" is read as two colons with an empty column between them
        return DelimitedTable(path, ":", ("user", "_1", "item", "_2", "rating", "_3", "timestamp"))
    if path.suffix in (".data", ".base", ".test"):
        return DelimitedTable(path, "\t", ("user", "item", "rating", "timestamp"))
    return DelimitedTable(path)


def _scale(path: Path) -> tuple[float, float]:
    """Whole stars in 100K and 1M, which comes with its users; half stars since 10M, which does not."""
    has_halves = path.suffix == ".csv" or (
        path.suffix == ".dat" and not (path.parent / "users.dat").is_file()
    )
    return (0.5, 5.0) if has_halves else (1.0, 5.0)


Fields = tuple[str, str, str, Sequence[str]]  # id, title, year, genres


def _layout(path: Path, lines: Sequence[str]) -> tuple[int, Callable[[str], Fields]]:
    """How many lines come before the films, and how to take one apart."""
    if path.suffix == ".dat":
        return 0, _parse_dat
    if path.suffix == ".csv":
        return 1, _parse_csv
    if lines and "|" in lines[0]:
        return 0, _parse_flags
    return 1, _parse_tabs


def _parse_dat(line: str) -> Fields:
    item_id, title, genres = line.split("::")
    return (item_id, *_split_title(title), genres.split("|"))


def _parse_csv(line: str) -> Fields:
    item_id, title, genres = next(csv.reader([line]))[:3]
    return (item_id, *_split_title(title), genres.split("|"))


def _parse_flags(line: str) -> Fields:
    item_id, title, _, _, _, *flags = line.split("|")
    genres = [name for name, flag in zip(GENRES_100K, flags, strict=True) if flag == "1"]
    return (item_id, *_split_title(title), genres)


def _parse_tabs(line: str) -> Fields:
    item_id, title, year, genres = line.split("\t")
    return item_id, title, year if year.isdecimal() else "", genres.split()


def _split_title(text: str) -> tuple[str, str]:
    found = TITLE_AND_YEAR.fullmatch(text)
    return (found["title"], found["year"]) if found else (text.strip(), "")


def _film(item_id: str, title: str, year: str, genres: Sequence[str]) -> CatalogueItem:
    tags = tuple(genre for genre in genres if genre not in NO_GENRE)
    if not item_id.strip() or not title.strip() or "\0" in title:
        raise ValueError("no id, no title, or one that is not text")
    return CatalogueItem(
        id=item_id.strip(),
        name=f"{title} ({int(year)})" if year else title,
        short_description=f"{_enumerate(tags)} film{f' of {year}' if year else ''}".strip().capitalize(),
        tags=tags,
        industry="Film",
        created_at=datetime(int(year), 1, 1, tzinfo=UTC).timestamp() if year else 0.0,
    )


def _enumerate(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _decode(path: Path) -> str:
    """The text of a file in UTF-8 or, as the older sets are, Latin-1."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
