"""What can be offered now: a release and the changes since, as columns over one index space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from recsys.artifacts.release import Release, open_current
from recsys.artifacts.stored_catalogue import CODED_FIELDS, StoredCatalogue
from recsys.datasets.catalogue import CatalogueItem
from recsys.serving.live_catalogue import LiveCatalogue, LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.served import RECENT_ACTS_S, combine


@pytest.fixture(scope="module")
def release(published_models: Path) -> Release:
    return open_current(published_models)


def with_startups(*startups: CatalogueItem) -> LiveCatalogue:
    return LiveCatalogue(version=1, startups={startup.id: startup for startup in startups})


def test_codes_number_the_lower_cased_values_of_every_startup(release: Release) -> None:
    changed = CatalogueItem("s00", "Firm 0", industry="ROBOTICS", country="France")
    new = CatalogueItem("new", "New", industry="Space", stage="Seed")
    unnamed = CatalogueItem("unnamed", "")
    served = combine(release, with_startups(changed, new, unnamed))

    for field in CODED_FIELDS:
        codes, code_of = served.codes(field)
        value_of = {code: value for value, code in code_of.items()}
        startups = [served.startup(index) for index in range(len(served.items))]
        assert [value_of.get(code, "") for code in codes] == [getattr(s, field).lower() for s in startups]
    assert set(served.codes("industry")[1]) == {"fintech", "robotics", "space"}
    assert served.codes("industry")[0][served.items.indices(["unnamed"])] == [-1]


def reference(release: Release, live: LiveCatalogue) -> dict[str, tuple[bool, float, str, str | None]]:
    """Startup id -> active, created_at, name, owner: said startup by startup."""
    stored = {item_id: release.catalogue.item(n) for n, item_id in enumerate(release.items.ids)}
    told = {}
    for startup_id, startup in {**stored, **live.startups}.items():
        owner = live.owners.get(startup_id)
        if owner is None and startup is not None and not live.is_complete:
            owner = startup.owner_id
        may_be_offered = live.is_complete or startup_id in live.startups or not startup or startup.is_active
        told[startup_id] = (
            not live.is_gone(startup_id) and may_be_offered,
            startup.created_at if startup else 0.0,
            (startup.name if startup else "") or startup_id,
            owner,
        )
    return told


ids = st.sampled_from(["s00", "s02", "s05", "s36", "s41", "new1", "new2"])
users = st.sampled_from(["u00", "u01", "zoe"])
startups = st.builds(
    CatalogueItem,
    ids,
    st.sampled_from(["", "Renamed"]),
    owner_id=st.none() | users,
    created_at=st.sampled_from([1.0, 2.0]),
    is_active=st.booleans(),
)
lives = st.builds(
    LiveCatalogue,
    is_complete=st.booleans(),
    inactive=st.frozensets(ids),
    owners=st.dictionaries(ids, users),
    startups=st.lists(startups).map(lambda several: {startup.id: startup for startup in several}),
    existing=st.none() | st.frozensets(ids),
)


@given(live=lives)
def test_the_columns_say_what_is_said_startup_by_startup(release: Release, live: LiveCatalogue) -> None:
    served, told = combine(release, live), reference(release, live)
    assert list(served.items.ids)[: len(release.items)] == list(release.items.ids)
    owner_of = {int(index): user for user in ("u00", "u01", "zoe") for index in served.owned.get(user)}
    assert {
        startup_id: (
            bool(served.active[index]),
            float(served.created_at[index]),
            served.name_of(index),
            owner_of.get(index),
        )
        for index, startup_id in enumerate(served.items.ids)
    } == told


@given(live=lives, later=lives)
def test_who_is_gone_is_remembered_for_the_same_release(
    release: Release, live: LiveCatalogue, later: LiveCatalogue
) -> None:
    before = combine(release, live)
    assert before.live.existing is None
    again = combine(release, replace(later, existing=None), before.gone)
    whole = combine(release, replace(later, existing=live.existing))
    assert again.active.tolist() == whole.active.tolist()


def test_the_time_of_the_last_act_is_looked_for_once(release: Release) -> None:
    assert release.last_event_at is not None
    latest = float(release.last_event_at.max())
    served = combine(replace(release, last_event_at=release.last_event_at.copy()), LiveCatalogue())
    assert served.has_recent_acts(latest + RECENT_ACTS_S - 1)
    assert not served.has_recent_acts(latest + RECENT_ACTS_S + 1)
    served.release.last_event_at[:] = 0.0  # a second look would find nothing recent
    assert served.has_recent_acts(latest)
    assert not combine(replace(release, last_event_at=None), LiveCatalogue()).has_recent_acts(latest)


def test_a_release_is_warmed_with_what_the_first_filter_and_the_first_reasons_need(
    release: Release, redis_client: redis.Redis
) -> None:
    live = LiveState(LiveProfileStore(redis_client), LiveCatalogueStore(redis_client))
    release = replace(release)  # nothing looked up yet
    live.warm(release)
    served, _ = live.of_catalogue(release)
    assert served._codes.keys() == set(CODED_FIELDS)
    assert "n_users_of_item" in vars(served)
    assert "latest_event_at" in vars(release)


def test_a_release_without_a_catalogue_knows_no_code_and_no_startup(release: Release) -> None:
    nothing = StoredCatalogue.from_items([None] * len(release.items))
    bare = Release("files", release.user_mapping, release.items, release.n_acted_on, nothing, {})
    served = combine(bare, LiveCatalogue())

    codes, code_of = served.codes("industry")
    assert (codes == -1).all()
    assert code_of == {}
    assert served.startup(3) is None
    assert served.name_of(3) == "s03"
