"""The export follows the rules of the signals, whatever was done and in whatever order."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from accounts.models import User
from interactions import export
from interactions.export import export_als_dataset
from interactions.models import SignalWeights, UserInteraction
from recsys.datasets.user_items import Dataset, load_dataset
from recsys.datasets.weights import DEFAULT_WEIGHTS, SIGNALS
from recsys.errors import ConfigError, DataError
from recsys.serving.live_profile import LiveProfileStore
from recsys.types import ProgressReport
from startups.models import Startup
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
EXPLICIT_POSITIVE = ("like", "favorite", "apply", "interest")
MATRIX_AND_MAPPINGS = ("als_interactions.npz", "als_user_mapping.json", "als_item_mapping.json")


@dataclass(frozen=True)
class Act:
    """An act of the random logs; hours count from noon."""

    user: int
    startup: int
    type: str
    occurred_h: int
    received_h: int
    retracted_h: int | None


@dataclass(frozen=True)
class Options:
    """What an export is asked for."""

    min_interactions: int = 1
    as_of_h: int | None = None
    half_life_days: float | None = None
    dislike_ttl_days: float | None = None


acts = st.builds(
    Act,
    user=st.integers(0, 3),
    startup=st.integers(0, 3),
    type=st.sampled_from(SIGNALS),
    occurred_h=st.integers(0, 40),
    received_h=st.integers(0, 40),
    retracted_h=st.sampled_from([None] * 8 + [10, 20, 30]),
)
options = st.builds(
    Options,
    min_interactions=st.sampled_from([1, 1, 2, 3]),
    as_of_h=st.sampled_from([None, 10, 20, 30, 45]),
    half_life_days=st.sampled_from([None, 0.25, 1.0]),
    dislike_ttl_days=st.sampled_from([None, 0.3, 1.0]),
)


def at(hours: int) -> datetime:
    return NOON + timedelta(hours=hours)


@pytest.fixture
def record(redis: Redis, make_user: Make, make_startup: Make) -> Callable[..., UserInteraction]:
    """Record an act; any column can be given."""

    def make(user: User | None = None, startup: Startup | None = None, **columns: Any) -> UserInteraction:
        return UserInteraction.objects.create(
            user=user or make_user(),
            startup=startup or make_startup(),
            **{"type": "view", "occurred_at": NOON, "received_at": NOON, **columns},
        )

    return make


def cells_of(dataset: Dataset) -> dict[tuple[str, str], tuple[float, float, int]]:
    """(user id, startup id) -> weight, last time, type mask."""
    matrix, last, types = dataset.user_items.tocoo(), dataset.last_event_at, dataset.event_types
    assert last is not None
    assert types is not None
    return {
        (dataset.user_mapping.ids[row], dataset.item_mapping.ids[column]): (weight, at_s, int(mask))
        for row, column, weight, at_s, mask in zip(
            matrix.row, matrix.col, matrix.data.tolist(), last.data.tolist(), types.data, strict=True
        )
    }


def cells_by_hand(
    log: Sequence[tuple[int, Act]], weights: Mapping[str, float], options: Options
) -> dict[tuple[int, int], tuple[float, float, int]]:
    """The cells by the rules, one act at a time; `log` pairs acts with their row ids."""
    if options.as_of_h is None:
        active = [(row, act) for row, act in log if act.retracted_h is None]
        now_h: float = max((act.occurred_h for _, act in active), default=0)
    else:
        now_h = options.as_of_h
        active = [
            (row, act)
            for row, act in log
            if act.received_h <= now_h and (act.retracted_h is None or act.retracted_h > now_h)
        ]
    pairs = defaultdict(list)
    for row, act in active:
        ttl = options.dislike_ttl_days
        if act.type == "dislike" and ttl is not None and act.occurred_h < now_h - 24 * ttl:
            continue
        pairs[act.user, act.startup].append((act.occurred_h, row, act.type))
    return {pair: cell_by_hand(done, weights, now_h, options) for pair, done in pairs.items()}


def cell_by_hand(
    done: list[tuple[int, int, str]], weights: Mapping[str, float], now_h: float, options: Options
) -> tuple[float, float, int]:
    explicit = sorted(act for act in done if act[2] in (*EXPLICIT_POSITIVE, "dislike"))
    if explicit and explicit[-1][2] == "dislike":
        weight = weights["dislike"]
    else:
        weight = 0.0
        for name, times in Counter(act[2] for act in done).items():
            if name == "dislike":
                continue
            share = weights[name] * (1 + math.log(times))
            if options.half_life_days is not None:
                latest_h = max(act[0] for act in done if act[2] == name)
                share *= 0.5 ** (max(now_h - latest_h, 0) / 24 / options.half_life_days)
            weight += share
    mask = sum(1 << SIGNALS.index(name) for name in {act[2] for act in done})
    return weight, at(max(act[0] for act in done)).timestamp(), mask


def core_by_hand(cells: dict[tuple[int, int], Any], at_least: int) -> dict[tuple[int, int], Any]:
    """Drop users and startups with too few cells until nothing more falls out."""
    while True:
        users, startups = (Counter(pair[side] for pair in cells) for side in (0, 1))
        kept = {p: c for p, c in cells.items() if users[p[0]] >= at_least and startups[p[1]] >= at_least}
        if len(kept) == len(cells):
            return kept
        cells = kept


def fill_database(log: list[Act]) -> tuple[list[UUID], list[UUID], list[int]]:
    """An empty database with these acts; the ids of users, startups and rows."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_user, startups_startup, interactions_userinteraction CASCADE")
    users = User.objects.bulk_create([User(username=f"user {i}") for i in range(4)])
    startups = Startup.objects.bulk_create([Startup(name=f"startup {i}") for i in range(4)])
    rows = UserInteraction.objects.bulk_create(
        [
            UserInteraction(
                user=users[act.user],
                startup=startups[act.startup],
                type=act.type,
                occurred_at=at(act.occurred_h),
                received_at=at(act.received_h),
                retracted_at=None if act.retracted_h is None else at(act.retracted_h),
            )
            for act in log
        ]
    )
    return [user.pk for user in users], [startup.pk for startup in startups], [row.pk for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=st.lists(acts, min_size=15, max_size=60) | st.lists(acts, max_size=3), chosen=options)
def test_an_export_equals_the_rules_applied_by_hand(
    redis: Redis, tmp_path_factory: pytest.TempPathFactory, log: list[Act], chosen: Options
) -> None:
    users, startups, rows = fill_database(log)
    cells = cells_by_hand(list(zip(rows, log, strict=True)), DEFAULT_WEIGHTS, chosen)
    expected = core_by_hand(cells, chosen.min_interactions)
    folder = tmp_path_factory.mktemp("data")
    asked = {
        "min_interactions": chosen.min_interactions,
        "as_of": None if chosen.as_of_h is None else at(chosen.as_of_h),
        "half_life_days": chosen.half_life_days,
        "dislike_ttl_days": chosen.dislike_ttl_days,
    }
    if not expected:
        with pytest.raises(DataError, match="Matrix too sparse" if cells else "No interactions found"):
            export_als_dataset(folder, **asked)
        assert list(folder.iterdir()) == []
        return

    summary = export_als_dataset(folder, **asked)
    exported = cells_of(load_dataset(folder))

    assert set(exported) == {(str(users[user]), str(startups[startup])) for user, startup in expected}
    assert summary.n_interactions == len(expected)
    for (user, startup), (weight, last_s, mask) in expected.items():
        found = exported[str(users[user]), str(startups[startup])]
        assert found[0] == pytest.approx(weight, rel=1e-5)
        assert found[1:] == (last_s, mask)


def test_rows_are_users_and_columns_are_startups_in_the_order_of_their_ids(
    record: Callable[..., UserInteraction], make_user: Make, make_startup: Make, tmp_path: Path
) -> None:
    user, startups = make_user(), [make_startup() for _ in range(3)]
    for startup in startups:
        record(user, startup)
    record(make_user(), startups[1], type="dislike")

    export_als_dataset(tmp_path)

    dataset = load_dataset(tmp_path)
    assert dataset.user_items.shape == (2, 3)
    assert list(dataset.item_mapping.ids) == sorted(str(startup.pk) for startup in startups)
    dense = dataset.user_items.toarray()
    place = dataset.item_mapping.get(str(startups[1].pk))
    assert dense[dataset.user_mapping.get(str(user.pk))].tolist() == [0.5, 0.5, 0.5]
    assert dense[1 - dataset.user_mapping.get(str(user.pk))].tolist() == [
        -1.0 if column == place else 0.0 for column in range(3)
    ]


def test_two_exports_of_the_same_log_are_the_same_bytes(
    record: Callable[..., UserInteraction], make_user: Make, make_startup: Make, tmp_path: Path
) -> None:
    users, startups = [make_user() for _ in range(5)], [make_startup() for _ in range(7)]
    rng = np.random.default_rng(0)
    for _ in range(60):
        record(users[rng.integers(5)], startups[rng.integers(7)], type=SIGNALS[rng.integers(7)])

    export_als_dataset(tmp_path / "first", half_life_days=10)
    export_als_dataset(tmp_path / "second", half_life_days=10)

    for name in (*MATRIX_AND_MAPPINGS, "als_last_event.npz", "als_event_types.npz"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_an_export_as_of_then_is_not_changed_by_what_came_later(
    record: Callable[..., UserInteraction], tmp_path: Path
) -> None:
    first = record(type="like")
    then = NOON + timedelta(hours=1)
    export_als_dataset(tmp_path / "before", as_of=then)

    record(first.user, first.startup, type="dislike", occurred_at=NOON, received_at=then + timedelta(hours=1))
    record(received_at=then + timedelta(hours=2))
    UserInteraction.objects.filter(pk=first.pk).update(retracted_at=then + timedelta(hours=3))
    export_als_dataset(tmp_path / "after", as_of=then)

    for name in MATRIX_AND_MAPPINGS:
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()


def test_ids_far_apart_are_all_read(
    record: Callable[..., UserInteraction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "IDS_A_VALUE", 3)
    user = record().user
    for _ in range(7):
        record(user)
    with connection.cursor() as cursor:  # a gap such as an aborted import leaves
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('interactions_userinteraction', 'id'), 500, true)"
        )
    record(user)
    reports: list[ProgressReport] = []

    summary = export_als_dataset(tmp_path, progress=reports.append)

    assert (summary.n_acts, summary.n_interactions, summary.n_users) == (9, 9, 1)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert {report.stage for report in reports} == set(export.STAGES)


def test_acts_of_somebody_who_opted_out_are_not_learned_from(
    record: Callable[..., UserInteraction], make_user: Make, tmp_path: Path
) -> None:
    out, stays = make_user(opted_out=True), make_user(interests=["robots"])
    record(out)
    record(stays)

    export_als_dataset(tmp_path)

    dataset = load_dataset(tmp_path)
    assert dataset.user_mapping.ids == (str(stays.pk),)
    assert dataset.users is not None
    assert dict(zip(dataset.users.ids, dataset.users.opted_out, strict=True)) == {
        str(out.pk): True,
        str(stays.pk): False,
    }
    assert dataset.users.interests_by_id()[str(stays.pk)] == ("robots",)


def test_the_catalogue_holds_every_startup_and_all_that_is_known_of_it(
    record: Callable[..., UserInteraction], make_user: Make, make_startup: Make, tmp_path: Path
) -> None:
    owner = make_user()
    described = make_startup(
        name="Café Zürich",
        short_description="Short",
        long_description="Long\nlonger",
        tags=["ai", "b2b"],
        industry="Food",
        country="CH",
        city="Zürich",
        stage="seed",
        team_size=12,
        owner=owner,
        is_active=False,
        created_at=datetime(1987, 6, 5, 4, 3, 2, 123456, tzinfo=UTC),
    )
    record()

    export_als_dataset(tmp_path)

    catalogue = load_dataset(tmp_path).catalogue
    assert catalogue is not None
    assert len(catalogue.items) == 2
    (item,) = (item for item in catalogue.items if item.id == str(described.pk))
    assert item.created_at == pytest.approx(described.created_at.timestamp(), abs=1e-5)
    facts = item.to_json()
    del facts["created_at"]
    assert facts == {
        **{name: getattr(described, name) for name in facts if name not in ("id", "owner_id")},
        "id": str(described.pk),
        "owner_id": str(owner.pk),
    }


def test_the_weights_of_the_admin_are_used_and_written_down(
    record: Callable[..., UserInteraction], tmp_path: Path
) -> None:
    record(type="like")
    export_als_dataset(tmp_path / "default")
    SignalWeights.objects.create(like=7.0)

    export_als_dataset(tmp_path / "edited")
    export_als_dataset(tmp_path / "again", weights_from=tmp_path / "default" / "als_manifest.json")

    assert load_dataset(tmp_path / "edited").user_items.data.tolist() == [7.0]
    assert load_dataset(tmp_path / "edited").manifest["weights"] == {**DEFAULT_WEIGHTS, "like": 7.0}
    assert load_dataset(tmp_path / "again").user_items.data.tolist() == [2.0]
    assert load_dataset(tmp_path / "again").manifest["weights"] == DEFAULT_WEIGHTS


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, DataError, "cannot be read"),
        ("not json", DataError, "holds no weights"),
        ("{}", DataError, "holds no weights"),
        ('{"weights": {"like": "much"}}', DataError, "holds no weights"),
        ('{"weights": {"like": 2.0}}', ConfigError, "Weights must name exactly"),
        (
            json.dumps({"weights": {**DEFAULT_WEIGHTS, "like": -2.0}}),
            ConfigError,
            "The weight of like is -2.0",
        ),
        (
            json.dumps({"weights": {**DEFAULT_WEIGHTS, "like": 1e39}}),
            ConfigError,
            "The weight of like is 1e.39; it must be a number from 0.000001 to 1,000,000",
        ),
        ('{"weights": {"like": 1' + "0" * 400 + "}}", DataError, "holds no weights"),
        ("[" * 100_000, DataError, "holds no weights"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(
    record: Callable[..., UserInteraction],
    tmp_path: Path,
    text: str | None,
    error: type[Exception],
    message: str,
) -> None:
    record()
    if text is not None:
        (tmp_path / "weights.json").write_text(text)
    with pytest.raises(error, match=message):
        export_als_dataset(tmp_path / "data", weights_from=tmp_path / "weights.json")


def test_the_manifest_says_what_was_read(record: Callable[..., UserInteraction], tmp_path: Path) -> None:
    record(received_at=NOON)
    newest = record(received_at=NOON + timedelta(hours=1), occurred_at=NOON - timedelta(hours=1))
    before = datetime.now(UTC)

    export_als_dataset(tmp_path, dislike_ttl_days=30)

    manifest = load_dataset(tmp_path).manifest
    assert manifest["acts"] == {
        "rows": 2,
        "last_received_at": newest.received_at.isoformat(),
        "last_event_id": newest.pk,
    }
    assert manifest["options"] == {"min_interactions": 1, "half_life_days": None, "dislike_ttl_days": 30}
    assert before <= datetime.fromisoformat(manifest["watermark"]) <= datetime.now(UTC)
    assert manifest["as_of"] is None
    assert manifest["counts"]["interactions"] == 2


def test_acts_committed_during_the_export_are_in_none_of_its_files(
    record: Callable[..., UserInteraction], make_user: Make, tmp_path: Path
) -> None:
    record()
    late: list[UUID] = []

    def act_meanwhile(report: ProgressReport) -> None:
        if report.stage == "catalogue" and not late:
            late.append(make_user().pk)
            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            writer.join(30)

    def write() -> None:
        try:
            with transaction.atomic():
                startup = Startup.objects.create(name="Late")
                UserInteraction.objects.create(user_id=late[0], startup=startup, type="apply")
        finally:
            connection.close()

    summary = export_als_dataset(tmp_path, progress=act_meanwhile)

    dataset = load_dataset(tmp_path)
    assert UserInteraction.objects.count() == 2
    assert summary.n_acts == 1
    assert dataset.catalogue is not None
    assert [item.name for item in dataset.catalogue.items] == ["Acme"]


def test_the_live_profiles_are_brought_up_to_date(
    record: Callable[..., UserInteraction], redis: Redis, tmp_path: Path
) -> None:
    act = record(type="like")
    redis.flushdb()  # as if Redis had been wiped
    store = LiveProfileStore(redis)

    summary = export_als_dataset(tmp_path)

    profile = store.fetch(str(act.user_id))
    assert summary.n_live_profiles == 1
    assert store.is_ready()
    assert profile is not None
    assert [(cell.startup_id, cell.weight) for cell in profile.cells] == [(str(act.startup_id), 2.0)]


def test_the_command_writes_the_folder_and_says_what(
    record: Callable[..., UserInteraction], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record()
    call_command("generate_als_dataset", "--output-dir", str(tmp_path), "--as-of", "2026-11-02T00:00:00Z")

    said = capsys.readouterr().out
    assert "Wrote 1 interactions of 1 users with 1 startups (density 100.00%), made of 1 acts" in said
    assert str(tmp_path) in said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [
            *MATRIX_AND_MAPPINGS,
            *("als_last_event.npz", "als_event_types.npz", "als_manifest.json"),
            *("catalogue.parquet", "users.parquet"),
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No interactions found"),
        (("--as-of", "tomorrow"), "'tomorrow' is not a time; write it like 2026-11-22T03:00:00Z"),
        (("--as-of", "2126-01-01"), "lies in the future"),
    ],
)
def test_the_command_names_the_mend(
    redis: Redis, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("generate_als_dataset", "--output-dir", str(tmp_path), *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--min-interactions", "2"), "Matrix too sparse.*Lower --min-interactions"),
        (("--min-interactions", "0"), "--min-interactions is 0"),
        (("--half-life-days", "0"), "half_life_days is 0.0"),
        (("--dislike-ttl-days", "nan"), "dislike_ttl_days is nan"),
    ],
)
def test_options_that_leave_nothing_or_cannot_be_are_refused(
    record: Callable[..., UserInteraction], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    record()
    with pytest.raises(CommandError, match=message):
        call_command("generate_als_dataset", "--output-dir", str(tmp_path), *arguments)


def test_only_dislikes_can_be_exported(record: Callable[..., UserInteraction], tmp_path: Path) -> None:
    record(type="dislike")
    export_als_dataset(tmp_path)
    assert load_dataset(tmp_path).user_items.data.tolist() == [-1.0]


def test_a_failed_export_leaves_the_last_one_as_it_was(
    record: Callable[..., UserInteraction], tmp_path: Path
) -> None:
    record()
    export_als_dataset(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(DataError, match="Matrix too sparse"):
        export_als_dataset(tmp_path, min_interactions=5)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_export_inside_a_transaction_sees_what_is_committed(
    record: Callable[..., UserInteraction], tmp_path: Path
) -> None:
    record()
    with transaction.atomic():
        UserInteraction.objects.create(
            user=User.objects.get(), startup=Startup.objects.create(name="B"), type="view"
        )
        summary = export_als_dataset(tmp_path, progress=lambda _: None)
    assert summary.n_acts == 1
    assert UserInteraction.objects.count() == 2
