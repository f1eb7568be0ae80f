"""The MovieLens layouts, each in a small folder made here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.datasets.importers import read_catalogue, read_ratings
from recsys.errors import DataError

FLAGS_ANIMATION_COMEDY = "|".join("1" if genre in (3, 5) else "0" for genre in range(19))
LAYOUTS = {
    "100k": {
        "u.data": "196\t1\t3\t881250949\n186\t2\t5\t891717742\n",
        "u.item": (
            f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS_ANIMATION_COMEDY}\n"
            f"2|Misérables, Les (1995)|01-Jan-1995||http://x|{'|'.join('0' * 19)}\n"
        ),
    },
    "100k with a typed header": {
        "u.data": "196\t1\t3\t881250949\n186\t2\t5\t891717742\n",
        "ml-100k.item": (
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
            "1\tToy Story\t1995\tAnimation Comedy\n2\tMisérables, Les\t1995\tunknown\n"
        ),
    },
    "1m": {
        "ratings.dat": "196::1::3::881250949\n186::2::5::891717742\n",
        "movies.dat": "1::Toy Story (1995)::Animation|Comedy\n2::Misérables, Les (1995)::unknown\n",
    },
    "20m": {
        "ratings.csv": "userId,movieId,rating,timestamp\n196,1,3.0,881250949\n186,2,5.0,891717742\n",
        "movies.csv": (
            "movieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n"
            '2,"Misérables, Les (1995)",(no genres listed)\n'
        ),
    },
}


@pytest.fixture(params=[(name, encoding) for name in LAYOUTS for encoding in ("utf-8", "latin-1")], ids=str)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One data set in one layout; the names of the films in the given encoding."""
    layout, encoding = request.param
    for name, text in LAYOUTS[layout].items():
        (tmp_path / name).write_text(text, encoding=encoding)
    return tmp_path


def test_the_ratings_are_the_same_in_every_layout(folder: Path) -> None:
    (batch,) = read_ratings(folder, "movielens")

    assert batch.user_ids.to_pylist() == ["196", "186"]
    assert batch.item_ids.to_pylist() == ["1", "2"]
    assert batch.ratings.tolist() == [3.0, 5.0]
    assert batch.rated_at.tolist() == [881250949.0, 891717742.0]


def test_the_films_are_the_same_in_every_layout(folder: Path) -> None:
    catalogue = read_catalogue(folder, "movielens")
    assert catalogue is not None
    first, second = catalogue.items

    assert (first.id, first.name, first.tags) == ("1", "Toy Story (1995)", ("Animation", "Comedy"))
    assert first.short_description == "Animation and comedy film of 1995"
    assert first.created_at == datetime(1995, 1, 1, tzinfo=UTC).timestamp()
    assert (second.name, second.tags) == ("Misérables, Les (1995)", ())


def test_naming_the_ratings_file_finds_the_films_beside_it(folder: Path) -> None:
    ratings = next(path for path in folder.iterdir() if path.name.startswith(("u.data", "ratings")))
    assert len(list(read_ratings(ratings, "movielens"))) == 1
    assert read_catalogue(ratings, "movielens") == read_catalogue(folder, "movielens")


def test_a_film_without_a_year_keeps_its_title(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n7,Babylon 5,Sci-Fi\n", encoding="utf-8")
    catalogue = read_catalogue(tmp_path, "movielens")
    assert catalogue is not None
    assert (catalogue.items[0].name, catalogue.items[0].created_at) == ("Babylon 5", 0.0)


def test_ratings_without_films_have_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n")
    assert read_catalogue(tmp_path, "movielens") is None
    assert read_catalogue(tmp_path / "u.data", "csv") is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("movies.dat", "1::Toy Story (1995)::Comedy\n2::broken\n", "line 2: '2::broken' is not a film"),
        ("movies.csv", "movieId,title,genres\n1\n", "line 2: '1' is not a film"),
        ("u.item", "1|Toy Story (1995)|01-Jan-1995\n", "line 1: .* is not a film"),
        ("movies.dat", "1::Toy\0Story::Comedy\n", "line 1: .* is not a film"),
        ("x.item", "a\tb\tc\td\n1\t\t1995\tComedy\n", "line 2: .* is not a film"),
    ],
)
def test_a_broken_film_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_catalogue(tmp_path, "movielens")


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no u\.data, ratings\.dat or ratings\.csv"):
        list(read_ratings(tmp_path, "movielens"))
    with pytest.raises(DataError, match="does not exist"):
        list(read_ratings(tmp_path / "nothing", "movielens"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.data", "1\t2\t3\t4\n1\t2\tx\t4\n", "u.data, line 2: the rating 'x' is not a number"),
        ("ratings.dat", "1::2::3::4\n1::2::3\n", "ratings.dat, line 2"),
    ],
)
def test_a_broken_rating_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_ratings(tmp_path, "movielens"))
