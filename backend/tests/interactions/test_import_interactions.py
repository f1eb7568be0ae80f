"""Files of ratings and acts become users, startups and acts, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from accounts.models import User
from config.import_ids import import_id
from config.redis_client import redis_client
from interactions import bulk
from interactions.importing import import_interactions
from interactions.models import UserInteraction
from recsys.datasets.importers import RatingTypes, tables
from recsys.datasets.weights import SIGNALS
from recsys.errors import DataError
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.types import ProgressReport
from startups.models import Startup
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
RATINGS = """userId,movieId,rating,timestamp
1,10,5,881250949
1,11,4,881250950
2,10,3,881250951
2,11,1,881250952
"""
FILMS = """movieId,title,genres
10,Toy Story (1995),Animation|Comedy
11,GoldenEye (1995),Action
12,Unseen (1990),Drama
"""


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """A MovieLens folder of two users and three films."""
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "movies.csv").write_text(FILMS)
    return tmp_path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a CSV of its own."""

    def make(text: str) -> Path:
        path = tmp_path / f"{uuid4().hex}.csv"
        path.write_text(text)
        return path

    return make


@pytest.fixture
def redis_away() -> Iterator[None]:
    """No Redis answers where the settings say it does."""
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        redis_client.cache_clear()
        yield
    redis_client.cache_clear()


def load(path: Path, file_format: str = "csv", **options: Any) -> Any:
    return import_interactions(path, file_format, **{"source": "test", "now": NOW, **options})


def acts() -> set[tuple[str, str, str, float]]:
    """Every act as username, startup's name, type and time."""
    rows = UserInteraction.objects.values_list("user__username", "startup__name", "type", "occurred_at")
    return {(user, startup, kind, occurred_at.timestamp()) for user, startup, kind, occurred_at in rows}


def test_films_become_startups_and_ratings_acts(redis: Redis, movielens: Path) -> None:
    summary = load(movielens, "movielens", source="ml")

    assert acts() == {
        ("ml-1", "Toy Story (1995)", "favorite", 881250949),
        ("ml-1", "GoldenEye (1995)", "like", 881250950),
        ("ml-2", "Toy Story (1995)", "view", 881250951),
        ("ml-2", "GoldenEye (1995)", "dislike", 881250952),
    }
    assert (summary.n_acts, summary.n_new_acts, summary.n_new_users, summary.n_new_startups) == (4, 4, 2, 3)
    film = Startup.objects.get(name="Toy Story (1995)")
    assert (film.tags, film.created_at) == (["Animation", "Comedy"], datetime(1995, 1, 1, tzinfo=UTC))
    assert Startup.objects.filter(name="Unseen (1990)", interactions=None).exists()


def test_importing_again_adds_nothing(redis: Redis, movielens: Path) -> None:
    load(movielens, "movielens")
    before = acts()

    summary = load(movielens, "movielens", now=NOW + timedelta(days=1))

    assert (summary.n_acts, summary.n_new_acts, summary.n_new_users, summary.n_new_startups) == (4, 0, 0, 0)
    assert acts() == before
    assert Startup.objects.count() == 3


def test_a_longer_file_adds_what_is_new(redis: Redis, write: Callable[[str], Path]) -> None:
    load(write("user,item,type,time\na,x,view,100\n"))
    summary = load(write("user,item,type,time\na,x,view,100\na,x,view,200\nb,y,like,300\n"))
    assert (summary.n_acts, summary.n_new_acts, summary.n_new_users, summary.n_new_startups) == (3, 2, 1, 1)


def test_two_sources_share_no_ids(redis: Redis, movielens: Path) -> None:
    load(movielens, "movielens", source="ml-100k")
    summary = load(movielens, "movielens", source="ml-1m")
    assert (summary.n_new_acts, summary.n_new_users, summary.n_new_startups) == (4, 2, 3)


def test_ids_that_are_uuids_are_those_of_rows_here(
    redis: Redis, make_user: Make, make_startup: Make, write: Callable[[str], Path]
) -> None:
    user, startup = make_user(), make_startup()

    summary = load(write(f"user,item,type\n{user.pk},{startup.pk},apply\n"))

    assert (summary.n_new_users, summary.n_new_startups) == (0, 0)
    assert UserInteraction.objects.get().user == user
    assert UserInteraction.objects.get().startup == startup


def test_an_item_no_catalogue_names_is_called_by_its_id(redis: Redis, write: Callable[[str], Path]) -> None:
    load(write("user,item,type,time\na,x,view,2000\na,x,like,1000\n"))
    startup = Startup.objects.get()
    assert startup.pk == import_id("test", "startup", "x")
    assert (startup.name, startup.created_at.timestamp()) == ("test x", 1000)


def test_without_times_everything_happened_now_and_is_still_recorded_once(
    redis: Redis, write: Callable[[str], Path]
) -> None:
    path = write("user,item,rating\na,x,5\n")
    load(path)
    load(path, now=NOW + timedelta(hours=1))
    assert [act.occurred_at for act in UserInteraction.objects.all()] == [NOW]


def test_an_imported_act_says_where_it_comes_from_and_when_it_came(
    redis: Redis, write: Callable[[str], Path]
) -> None:
    load(write("user,item,type,time\na,x,view,100\n"))
    act = UserInteraction.objects.get()
    assert act.context == {"surface": "import", "source": "test"}
    assert (act.received_at, act.retracted_at) == (NOW, None)


def test_nobody_can_log_in_as_an_imported_user(redis: Redis, write: Callable[[str], Path]) -> None:
    load(write("user,item,type\na,x,view\n"))
    assert not User.objects.get().has_usable_password()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from("wxyz"), st.sampled_from(SIGNALS), st.integers(0, 10**9)
        ),
        min_size=1,
        max_size=30,
    ),
    cut=st.integers(0, 30),
)
def test_any_two_overlapping_files_are_recorded_as_their_union(
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, str, str, int]],
    cut: int,
) -> None:
    User.objects.all().delete()
    Startup.objects.all().delete()
    monkeypatch.setattr("interactions.importing.ROWS_A_STATEMENT", 7)
    folder = tmp_path_factory.mktemp("files")
    columns = ("user", "item", "type", "timestamp")
    for name, part in (("part", rows[:cut]), ("whole", rows)):
        arrays = [
            pa.array([row[i] for row in part], kind)
            for i, kind in enumerate((*[pa.string()] * 3, pa.int64()))
        ]
        pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), folder / name)

    summaries = [load(folder / name, "parquet") for name in ("part", "whole")]

    assert acts() == {(f"test-{user}", f"test {item}", kind, at) for user, item, kind, at in rows}
    assert UserInteraction.objects.count() == len(set(rows)) == sum(s.n_new_acts for s in summaries)
    assert [s.n_acts for s in summaries] == [len(rows[:cut]), len(rows)]


@pytest.mark.parametrize("is_ready", [False, True])
def test_redis_knows_who_was_imported(redis: Redis, movielens: Path, is_ready: bool) -> None:
    store = LiveProfileStore(redis)
    if is_ready:
        store.mark_ready()

    load(movielens, "movielens", source="ml")

    profile = store.fetch(str(import_id("ml", "user", "2")))
    assert store.is_ready()
    assert profile is not None
    assert profile.interaction_count == 2
    assert {cell.startup_id: cell.weight for cell in profile.cells} == {
        str(import_id("ml", "startup", "10")): 0.5,
        str(import_id("ml", "startup", "11")): -1.0,
    }


def test_the_live_catalogue_carries_what_was_imported(redis: Redis, movielens: Path) -> None:
    LiveProfileStore(redis).mark_ready()
    load(movielens, "movielens")
    names = {startup.name for startup in LiveCatalogueStore(redis).fetch().startups.values()}
    assert names == {"Toy Story (1995)", "GoldenEye (1995)", "Unseen (1990)"}


def test_a_redis_that_is_ready_gets_the_users_of_the_file_only(
    redis: Redis, make_user: Make, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    LiveProfileStore(redis).mark_ready()
    make_user()
    stored: list[UUID] = []
    monkeypatch.setattr(bulk, "store_live_profiles", stored.extend)

    load(write("user,item,type\na,x,view\nb,x,view\n"))

    assert Counter(stored) == Counter(import_id("test", "user", name) for name in "ab")


def test_without_redis_the_import_succeeds_and_says_what_to_do(
    redis_away: None, movielens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("import_interactions", str(movielens), "--format", "movielens")

    said = capsys.readouterr()
    assert "Read 4 acts" in said.out
    assert "Redis could not be reached" in said.err
    assert "run manage.py sync_live_profiles" in said.err
    assert UserInteraction.objects.count() == 4


def test_a_bad_row_stops_the_import_and_the_mended_file_completes_it(
    redis: Redis, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK_BYTES", 256)
    lines = [f"user{i},item{i},like" for i in range(100)]
    broken = [*lines]
    broken[90] = "user90,item90,love"

    with pytest.raises(DataError, match="line 92: the type 'love' is unknown"):
        load(write("\n".join(["user,item,type", *broken])))

    n_before = UserInteraction.objects.count()
    assert 0 < n_before <= 90
    store = LiveProfileStore(redis)
    user_ids = UserInteraction.objects.values_list("user_id", flat=True)
    assert all(store.fetch(str(user_id)) is not None for user_id in user_ids)

    summary = load(write("\n".join(["user,item,type", *lines])))

    assert summary.n_new_acts == 100 - n_before
    assert UserInteraction.objects.count() == 100


def test_a_username_taken_by_somebody_else_is_named(
    redis: Redis, make_user: Make, write: Callable[[str], Path]
) -> None:
    make_user(username="test-a")
    with pytest.raises(DataError, match="'test-a' belongs to a user with another id"):
        load(write("user,item,type\na,x,view\n"))
    assert not UserInteraction.objects.exists()


def test_an_act_five_minutes_ahead_is_taken_and_a_later_one_refused(
    redis: Redis, write: Callable[[str], Path]
) -> None:
    ahead = NOW + timedelta(minutes=5)
    load(write(f"user,item,type,time\na,x,view,{ahead.isoformat()}\n"))
    with pytest.raises(DataError, match="line 2: it happened in the future"):
        load(write(f"user,item,type,time\na,y,view,{(ahead + timedelta(seconds=1)).isoformat()}\n"))


def test_a_map_of_ones_own_says_what_ratings_mean(redis: Redis, write: Callable[[str], Path]) -> None:
    path = write("user,item,rating\na,x,10\na,y,6\na,z,0\n")
    load(path, rating_types=RatingTypes.parse("0=skip,6=like,9=favorite"))
    assert {(name, kind) for _, name, kind, _ in acts()} == {("test x", "favorite"), ("test y", "like")}


def test_progress_ends_with_the_live_profiles(redis: Redis, movielens: Path) -> None:
    reports: list[ProgressReport] = []
    load(movielens, "movielens", progress=reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert [report.stage for report in reports if report.fraction == 1.0] == ["live profiles"]


def test_the_command_reads_every_option(
    redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"who": "a", "what": "x", "stars": 9}) + "\n")

    call_command(
        "import_interactions",
        str(path),
        *("--format", "jsonl", "--source", "shop", "--map", "1=dislike,9=favorite"),
        *("--columns", "user=who,item=what,rating=stars"),
    )

    assert {(user, name, kind) for user, name, kind, _ in acts()} == {("shop-a", "shop x", "favorite")}
    assert "Read 1 acts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "csv"), "does not exist; check the path"),
        (("--format", "movielens"), "does not exist; check the path"),
        (("--format", "csv", "--source", "a b"), "The source 'a b' must be"),
        (("--format", "csv", "--map", "5"), "'5' is not rating=type"),
        (("--format", "csv", "--columns", "user"), "'user' is not NAME=COLUMN"),
    ],
)
def test_the_command_names_the_mend(
    redis: Redis, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("import_interactions", str(tmp_path / "none"), *arguments)
