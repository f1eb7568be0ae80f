"""A CSV of startups becomes the catalogue, and a second one brings it up to date."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from config.import_ids import import_id
from recsys.errors import DataError
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.types import ProgressReport
from startups import importing
from startups.importing import PARSERS, import_startups
from startups.models import Startup
from startups.yc_companies import COLUMNS, as_plain_row

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = f"""id,{",".join(PARSERS)}
17,Acme,Robots,"Robots that weed;
and sow",agritech; robotics,Food,FR,Lyon,seed,12,https://acme.example,no,2024-05-11
"""
YC_ROW = {
    "company_id": "271",
    "company_name": "Airbed",
    "short_description": "Beds",
    "long_description": "Beds in\r\nrooms",
    "batch": "W09",
    "status": "Public",
    "tags": "['Marketplace', 'Travel', 'Crypto / Web3']",
    "location": "Paris, France",
    "country": "FR",
    "year_founded": "2008.0",
    "num_founders": "3",
    "team_size": "6132.0",
    "website": "http://airbed.example",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a CSV of its own."""

    def make(text: str | bytes) -> Path:
        path = tmp_path / f"{uuid4().hex}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def write_yc(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(YC_ROW))
        writer.writeheader()
        writer.writerows(rows)
    return path


def facts(startup: Startup) -> dict[str, Any]:
    return {name: getattr(startup, name) for name in PARSERS}


def test_every_column_of_a_plain_file_is_kept(redis: Redis, write: Callable[[str], Path]) -> None:
    summary = import_startups(write(PLAIN))

    startup = Startup.objects.get()
    assert (summary.n_read, summary.n_new, summary.n_changed, summary.ignored_columns) == (1, 1, 0, ())
    assert startup.pk == import_id("import", "startup", "17")
    assert facts(startup) == {
        "name": "Acme",
        "short_description": "Robots",
        "long_description": "Robots that weed;\nand sow",
        "tags": ["agritech", "robotics"],
        "industry": "Food",
        "country": "FR",
        "city": "Lyon",
        "stage": "seed",
        "team_size": 12,
        "website": "https://acme.example",
        "is_active": False,
        "created_at": datetime(2024, 5, 11, tzinfo=UTC),
    }


def test_a_name_is_enough_and_known_again(redis: Redis, write: Callable[[str], Path]) -> None:
    path = write("name\nAcme\nBolt\n")
    assert import_startups(path).n_new == 2
    summary = import_startups(path)
    assert (summary.n_new, summary.n_changed) == (0, 0)
    startup = Startup.objects.get(name="Acme")
    assert (startup.is_active, startup.tags, startup.team_size) == (True, [], None)


def test_a_uuid_is_the_id_of_the_row(redis: Redis, write: Callable[[str], Path]) -> None:
    startup_id = uuid4()
    import_startups(write(f"id,name\n{startup_id},Acme\n"))
    assert Startup.objects.get().pk == startup_id


def test_a_second_file_changes_what_differs_and_touches_nothing_else(
    redis: Redis, write: Callable[[str], Path]
) -> None:
    import_startups(write("id,name,tags,city\n1,Acme,ai,Paris\n2,Bolt,b2b,Lyon\n"))
    before = Startup.objects.get(name="Bolt").updated_at

    summary = import_startups(write("id,name,tags\n1,Acme,ai|robots\n2,Bolt,b2b\n3,Cove,\n"))

    assert (summary.n_read, summary.n_new, summary.n_changed) == (3, 1, 1)
    acme = Startup.objects.get(name="Acme")
    assert (acme.tags, acme.city) == (["ai", "robots"], "Paris")  # the file says nothing of cities
    assert Startup.objects.get(name="Bolt").updated_at == before


def test_an_owner_set_in_the_admin_stays(redis: Redis, write: Callable[[str], Path], make_user: Any) -> None:
    import_startups(write("name,city\nAcme,Paris\n"))
    owner = make_user()
    Startup.objects.update(owner=owner)
    import_startups(write("name,city\nAcme,Lyon\n"))
    assert (Startup.objects.get().owner, Startup.objects.get().city) == (owner, "Lyon")


def test_empty_values_of_activity_and_birth_keep_what_is_there(
    redis: Redis, write: Callable[[str], Path]
) -> None:
    import_startups(write("name,is_active,created_at\nAcme,no,2020-01-01\n"))
    summary = import_startups(write("name,is_active,created_at\nAcme,,\n"))
    assert summary.n_changed == 0
    assert not Startup.objects.get().is_active


def test_the_live_catalogue_follows(redis: Redis, write: Callable[[str], Path]) -> None:
    import_startups(write("name,is_active\nAcme,yes\nBolt,no\n"))
    catalogue = LiveCatalogueStore(redis).fetch()
    assert {startup.name for startup in catalogue.startups.values()} == {"Acme", "Bolt"}
    assert catalogue.inactive == {str(Startup.objects.get(name="Bolt").pk)}


def test_a_company_file_is_read_as_it_is(redis: Redis, tmp_path: Path) -> None:
    inactive = {**YC_ROW, "company_id": "272", "status": "Inactive", "website": "https://", "tags": "[]"}
    summary = import_startups(write_yc(tmp_path / "yc.csv", YC_ROW, inactive))

    assert (summary.n_new, summary.ignored_columns) == (2, ())
    public = Startup.objects.get(pk=import_id("yc", "startup", "271"))
    assert facts(public) == {
        "name": "Airbed",
        "short_description": "Beds",
        "long_description": "Beds in\r\nrooms",
        "tags": ["marketplace", "travel", "crypto-web3"],
        "industry": "Mobility",
        "country": "FR",
        "city": "Paris",
        "stage": "public",
        "team_size": 6132,
        "website": "http://airbed.example",
        "is_active": True,
        "created_at": datetime(2009, 1, 1, tzinfo=UTC),
    }
    gone = Startup.objects.get(pk=import_id("yc", "startup", "272"))
    assert (gone.is_active, gone.stage, gone.website, gone.tags, gone.industry) == (
        False,
        "inactive",
        "",
        [],
        "",
    )


def test_tags_written_in_two_ways_are_the_same_company(redis: Redis, tmp_path: Path) -> None:
    import_startups(write_yc(tmp_path / "old.csv", YC_ROW))
    newer = {**YC_ROW, "tags": "['marketplace', 'travel', 'crypto-web3']"}
    summary = import_startups(write_yc(tmp_path / "new.csv", newer))
    assert (summary.n_new, summary.n_changed) == (0, 0)


@pytest.mark.parametrize(
    ("tags", "industry"),
    [
        ("['SaaS', 'Fintech']", "Fintech"),
        ("['Artificial Intelligence', 'Legal']", "Work"),
        ("['Artificial Intelligence', 'B2B']", "AI and data"),
        ("['B2B']", ""),
        ("", ""),
    ],
)
def test_the_industry_of_a_company_is_that_of_its_first_telling_tag(tags: str, industry: str) -> None:
    assert as_plain_row({**YC_ROW, "tags": tags})["industry"] == industry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": "__import__('os').getcwd()"}, "tags: .* is not a list of texts"),
        ({"tags": "['ai', 3]"}, "tags: .* is not a list of texts"),
        ({"tags": "['ai'"}, "tags: .* is not a list of texts"),
        ({"tags": "[" * 5_000}, "tags: .* is not a list of texts"),
        ({"batch": "2009"}, "batch: '2009' is not one like W23"),
        ({"company_name": ""}, "name: This field cannot be blank"),
        ({"team_size": "many"}, "team_size: 'many' is not a whole number"),
    ],
)
def test_a_company_that_cannot_be_is_named_by_line(
    redis: Redis, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    path = write_yc(tmp_path / "yc.csv", YC_ROW, {**YC_ROW, "company_id": "9", **change})
    with pytest.raises(DataError, match=rf"yc\.csv, line 5: {message}"):
        import_startups(path)
    assert not Startup.objects.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column `name`; its first line holds nothing"),
        ("title,city\nAcme,Paris\n", "has no column `name`; its first line holds title, city"),
        ("name,team_size\nAcme,-5\n", "line 2: team_size: Ensure this value is greater than or equal to 0"),
        ("name,website\nAcme,nowhere\n", "line 2: website: Enter a valid URL"),
        ("name,is_active\nAcme,perhaps\n", "line 2: is_active: 'perhaps' is neither yes nor no"),
        ("name,created_at\nAcme,soon\n", "line 2: created_at: 'soon' is not a date like"),
        ("name,created_at\nAcme,0001-01-01T00:00:00+14:00\n", "line 2: created_at: .* years 1000 to 9998"),
        ("name,created_at\nAcme,9999-12-31T23:00:00-14:00\n", "line 2: created_at: .* years 1000 to 9998"),
        (f"name\n{'x' * 256}\n", "line 2: name: Ensure this value has at most 255 characters"),
        ("name,tags\nAcme," + "|".join("abcdefghij" * 6) + "\n", "line 2: tags: .*no more than 50"),
        ("id,name\n1,Acme\n1,Bolt\n", "line 3: the startup of line 2 comes again"),
        ("name\nAcme\nAcme\n", "line 3: the startup of line 2 comes again"),
        ("id,name\n1,Acme\n2\n", "line 3: it has more or fewer values"),
        ("id,name\n1,Acme,Paris\n", "line 2: it has more or fewer values"),
        (b"name\nCaf\xe9\n", "is not UTF-8 text"),
        ("name\nAc\0me\n", "line 2: it holds a NUL character"),
    ],
)
def test_a_file_that_cannot_be_a_catalogue_is_refused(
    redis: Redis, write: Callable[[str | bytes], Path], text: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        import_startups(write(text))
    assert not Startup.objects.exists()


def test_a_zone_a_day_away_is_read_as_its_moment(redis: Redis, write: Callable[[str], Path]) -> None:
    import_startups(write("name,created_at\nAcme,2026-11-02T09:59:00+23:59\n"))

    assert Startup.objects.get().created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_the_mended_file_completes_what_a_bad_row_cut_short(
    redis: Redis, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ROWS_A_BATCH", 2)
    lines = [f"{i},Startup {i},{i}" for i in range(5)]
    with pytest.raises(DataError, match="line 5: team_size"):
        import_startups(write("\n".join(["id,name,team_size", *lines[:3], "3,Startup 3,three", lines[4]])))
    assert Startup.objects.count() == 2

    summary = import_startups(write("\n".join(["id,name,team_size", *lines])))
    assert (summary.n_new, Startup.objects.count()) == (3, 5)


names = st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=20).filter(str.strip)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.dictionaries(st.integers(0, 9), names, max_size=8),
    second=st.dictionaries(st.integers(0, 9), names, max_size=8),
)
def test_any_two_files_leave_the_later_word_on_each_startup(
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[int, str],
    second: dict[int, str],
) -> None:
    Startup.objects.all().delete()
    monkeypatch.setattr(importing, "ROWS_A_BATCH", 3)
    folder = tmp_path_factory.mktemp("files")
    for place, rows in enumerate((first, second)):
        with (folder / f"{place}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "name"), *rows.items()])

    import_startups(folder / "0.csv")
    summary = import_startups(folder / "1.csv")

    expected = {import_id("import", "startup", str(i)): name.strip() for i, name in (first | second).items()}
    assert dict(Startup.objects.values_list("pk", "name")) == expected
    assert summary.n_new == len(second.keys() - first.keys())
    assert summary.n_changed == sum(i in second and first[i].strip() != second[i].strip() for i in first)


def test_progress_reaches_the_end(
    redis: Redis, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ROWS_A_BATCH", 100)
    reports: list[ProgressReport] = []
    import_startups(
        write("name\n" + "\n".join(f"Startup {i}" for i in range(1_000))), progress=reports.append
    )
    assert len(reports) == 10
    assert reports[-1].fraction == 1.0


def test_the_number_of_queries_grows_with_batches_not_with_rows(
    redis: Redis, write: Callable[[str], Path], django_assert_max_num_queries: Any
) -> None:
    path = write("name\n" + "\n".join(f"Startup {i}" for i in range(500)))
    with django_assert_max_num_queries(12):
        import_startups(path)


def test_the_command_says_what_was_new_and_what_it_did_not_use(
    redis: Redis, write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("name,mood\nAcme,good\n")
    call_command("import_startups", str(path), "--source", "shop")
    call_command("import_startups", str(path), "--source", "shop")

    said = capsys.readouterr().out
    assert "Read 1 startups" in said
    assert "New: 1, changed: 0, as before: 0." in said
    assert "New: 0, changed: 0, as before: 1." in said
    assert "Columns not used: mood." in said
    assert Startup.objects.get().pk == import_id("shop", "startup", "Acme")


def test_the_command_names_the_mend(redis: Redis, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_startups", str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_startups", str(tmp_path))


def test_the_columns_of_a_company_file_are_known() -> None:
    assert set(COLUMNS) <= set(YC_ROW)
