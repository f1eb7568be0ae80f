"""Files of ratings as people have them, imported by `recsys import`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cli import main
from recsys.datasets.rating_tables import load_table
from recsys.datasets.ratings import PARTS, USERS_FILE, load_ratings

BOOKS = (
    '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher"\n'
    '"0451";"Les Mis\xe9rables &amp; \\"more\\"";"Victor Hugo";"1862";"A"\n'
    '"0452";"Emma";"";"0";"B"\n'
)
USERS = (
    '"User-ID";"Location";"Age"\n"7";"nyc, new york, usa";"33"\n"8";"paris, ,france";NULL\n'
    '"9";"x, y, ";"244"\n'
)
POINTS = (
    '"User-ID";"ISBN";"Book-Rating"\n"7";"0451";"0"\n"7";"0452";"9"\n"8";"0451";"10"\n"9";"04\\"52";"11"\n'
)


@pytest.fixture
def book_crossing(tmp_path: Path) -> Path:
    folder = tmp_path / "bx"
    folder.mkdir()
    for name, text in (
        ("BX-Book-Ratings.csv", POINTS),
        ("BX-Books.csv", BOOKS),
        ("BX-Users.csv", USERS),
    ):
        (folder / name).write_text(text, encoding="latin-1")
    return folder


def run(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, object]]:
    assert main(["import", *command]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_book_crossing_without_its_zeros(
    book_crossing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (counts,) = run(
        capsys, str(book_crossing), "--format", "book-crossing", "--output", str(tmp_path / "out")
    )

    assert counts == {"users": 3, "items": 3, "ratings": 3, "zeros_dropped": 1, "clipped": 1}
    dataset = load_ratings(tmp_path / "out")
    assert dataset.ratings.points.tolist() == [9, 10, 10]
    assert dataset.item_mapping.ids == ("0452", "0451", '04"52')
    assert dataset.catalogue is not None
    book = dataset.catalogue.items[0]
    assert (book.name, book.tags, book.short_description) == (
        'Les Misérables &amp; "more"',
        ("Victor Hugo",),
        "Book by Victor Hugo",
    )
    assert load_table(tmp_path / "out" / USERS_FILE, dataset.user_mapping).to_pylist() == [
        {"age": 33.0, "country": "usa"},
        {"age": None, "country": "france"},
        {"age": None, "country": None},
    ]


def test_book_crossing_with_its_zeros(
    book_crossing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--format", "book-crossing", "--zeros", "keep", "--output", str(tmp_path / "out")]
    (counts,) = run(capsys, str(book_crossing), *options)
    assert counts == {"users": 3, "items": 3, "ratings": 4, "clipped": 1}
    assert load_ratings(tmp_path / "out").manifest["rating_range"] == [0, 10]


def test_people_of_movielens_come_with_the_ratings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ratings.dat").write_text("1::10::5::978300760\n3::10::4::978300761\n1::10::3::978300762\n")
    (tmp_path / "users.dat").write_text("1::F::25::12::48067\n2::M::1::10::55117\n")
    (counts,) = run(capsys, str(tmp_path), "--format", "movielens", "--output", str(tmp_path / "out"))

    assert counts == {"users": 2, "items": 1, "ratings": 3, "repeated_pairs": 1}
    dataset = load_ratings(tmp_path / "out")
    assert dataset.n_repeated == 1
    assert dataset.ratings.points.tolist() == [3, 4]
    assert load_table(tmp_path / "out" / USERS_FILE, dataset.user_mapping).to_pylist() == [
        {"age": 25.0, "gender": "F", "occupation": "programmer"},
        {"age": None, "gender": None, "occupation": None},
    ]


@pytest.mark.parametrize(
    ("names", "scale"),
    [
        (["u.data"], (1, 5)),
        (["ratings.dat", "users.dat"], (1, 5)),
        (["ratings.dat"], (0.5, 5)),
        (["ratings.csv"], (0.5, 5)),
    ],
)
def test_movielens_is_of_whole_stars_or_of_half_ones(
    tmp_path: Path, names: list[str], scale: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "u.data": "1\t10\t3\t978300760\n2\t10\t4\t978300761\n",
        "ratings.dat": "1::10::3::978300760\n2::10::4::978300761\n",
        "ratings.csv": "userId,movieId,rating,timestamp\n1,10,3,978300760\n2,10,4,978300761\n",
        "users.dat": "1::F::25::12::48067\n",
    }
    for name in names:
        (tmp_path / name).write_text(texts[name])

    run(capsys, str(tmp_path), "--format", "movielens", "--output", str(tmp_path / "out"))

    assert load_ratings(tmp_path / "out").points_range == scale


def test_a_scale_that_is_given_is_kept_with_the_ratings_and_clips_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,3\nb,x,12\n")
    command = [str(path), "--format", "csv", "--output", str(tmp_path / "out")]

    assert run(capsys, *command, "--scale", "1:10")[0]["clipped"] == 1
    dataset = load_ratings(tmp_path / "out")
    assert (dataset.ratings.points.tolist(), dataset.points_range) == ([3, 10], (1, 10))

    run(capsys, *command)
    dataset = load_ratings(tmp_path / "out")
    assert dataset.manifest["scale"] is None
    assert dataset.points_range == (3, 12)


def amazon_row(user: str, item: str, rating: float, hour: int) -> dict[str, object]:
    return {"user_id": user, "parent_asin": item, "rating": rating, "timestamp": 1_600_000_000_000 + hour}


def test_a_category_a_file_becomes_a_folder_a_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "amazon"
    source.mkdir()
    rows = [amazon_row("a", "x", 5, 0), amazon_row("b", "x", 1, 1), amazon_row("b", "y", 7, 2)]
    (source / "Books.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for part, some in zip(PARTS, (rows[:2], rows[1:2], rows[2:]), strict=True):
        pq.write_table(pa.Table.from_pylist(some), source / f"All_Beauty.5core.{part}.small.parquet")

    told = run(capsys, str(source), "--format", "amazon", "--output", str(tmp_path / "out"))

    assert [line["category"] for line in told] == ["All_Beauty.5core.small", "Books"]
    assert told[1] == {"category": "Books", "users": 2, "items": 2, "ratings": 3, "clipped": 1}
    ratings = load_ratings(tmp_path / "out" / "All_Beauty.5core.small").ratings
    assert ratings.parts is not None
    assert [PARTS[part] for part in ratings.parts] == ["train", "valid", "test"]
    assert load_ratings(tmp_path / "out" / "Books").ratings.parts is None


def test_a_category_that_fails_is_named_and_the_others_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "amazon"
    source.mkdir()
    (source / "Bad.jsonl").write_text('{"user_id": "a"}\n')
    (source / "Good.csv").write_text("user_id,parent_asin,rating,timestamp\na,x,5,1600000000000\n")
    (source / "meta_Good.jsonl").write_text('{"title": "a description", "parent_asin": "x"}\n')

    assert main(["import", str(source), "--format", "amazon", "--output", str(tmp_path / "out")]) == 1

    out, err = capsys.readouterr()
    assert json.loads(out)["category"] == "Good"
    assert "Bad.jsonl has no column for the item" in err
    assert "1 categories were not imported: Bad" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["Good"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["readme.txt"], "holds no .jsonl, .jsonl.gz, .parquet or .csv file"),
        (["A.csv", "A.parquet"], "A.csv and A.parquet are both the whole of A"),
        (["A.csv", "A.test.csv"], "A comes whole (A.csv) and in parts"),
        (["A.test.csv"], "A has no .train file beside A.test.csv"),
    ],
)
def test_files_that_do_not_fit_each_other_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("user,item,rating\na,x,3\n")
    assert main(["import", str(tmp_path), "--format", "amazon", "--output", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_a_core_keeps_texts_and_times_of_what_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ratings.csv"
    pairs = ["ax", "ay", "bx", "by", "cz"]
    lines = [f"{user},{item},4,{60 * n},{user} on {item}" for n, (user, item) in enumerate(pairs)]
    path.write_text("\n".join(["user,item,rating,timestamp,text", *lines]) + "\n")
    options = ["--format", "csv", "--output", str(tmp_path / "out"), "--k-core", "2"]

    (counts,) = run(capsys, str(path), *options)

    assert counts == {"users": 2, "items": 2, "ratings": 4, "left_out": 1}
    dataset = load_ratings(tmp_path / "out")
    assert dataset.ratings.rated_at is not None
    assert dataset.ratings.rated_at.tolist() == [0, 60, 120, 180]
    texts = pq.read_table(tmp_path / "out" / "ratings.parquet")["text"].to_pylist()
    assert texts == ["a on x", "a on y", "b on x", "b on y"]
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_limits_that_leave_nothing_keep_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,3\n")
    command = [str(path), "--format", "csv", "--output", str(tmp_path / "out")]
    run(capsys, *command)

    assert main(["import", *command, "--k-core", "5"]) == 1

    assert "Nothing is left of 1 ratings by k-core 5; lower k-core or the caps." in capsys.readouterr().err
    assert len(load_ratings(tmp_path / "out").ratings) == 1


def test_nothing_but_zeros_says_how_to_keep_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\na,x,0\nb,x,0\n")
    command = ["import", str(path), "--format", "csv", "--output", str(tmp_path / "out")]

    assert main(command) == 1

    assert "all 2 are 0, which says that none was given; --zeros keep" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--zeros", "keep"]) == 0


def test_files_named_by_their_part_alone_are_of_their_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "Books"
    source.mkdir()
    for part, row in zip(PARTS, ("a,x,5", "b,x,4", "a,y,1"), strict=True):
        (source / f"{part}.csv").write_text(f"user_id,parent_asin,rating\n{row}\n")

    (told,) = run(capsys, str(source), "--format", "amazon", "--output", str(tmp_path / "out"))

    assert told == {"category": "Books", "users": 2, "items": 2, "ratings": 3}
    assert load_ratings(tmp_path / "out" / "Books").ratings.parts is not None


@pytest.mark.parametrize(("size", "ratings"), [("small", 10_000), ("7", 7), ("full", 12_000)])
def test_a_sample_has_a_name_or_a_number(
    tmp_path: Path, size: str, ratings: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ratings.csv"
    lines = [f"{user},{item},3" for user in range(120) for item in range(100)]
    path.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    command = [str(path), "--format", "csv", "--output", str(tmp_path / "out"), "--sample", size]
    assert run(capsys, *command)[0]["ratings"] == ratings


def test_a_sample_of_another_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["import", "x.csv", "--format", "csv", "--output", str(tmp_path), "--sample", "tiny"])
    assert "'tiny' is neither a number nor one of small, medium, large, full" in capsys.readouterr().err


def test_a_scale_is_written_with_a_colon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["import", "x.csv", "--format", "csv", "--output", str(tmp_path), "--scale", "1-5"])
    assert "'1-5' is not LOW:HIGH; write it like 1:5" in capsys.readouterr().err
