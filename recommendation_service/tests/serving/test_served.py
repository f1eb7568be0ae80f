"""What can be offered now: a release and the changes since, as columns over one index space."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.artifacts.release import Release, open_current
from recsys.datasets.catalogue import CatalogueItem
from recsys.serving.live_catalogue import LiveCatalogue
from recsys.serving.served import CODED_FIELDS, combine


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


def test_a_release_without_a_catalogue_knows_no_code_and_no_startup(release: Release) -> None:
    items = release.item_mapping
    bare = Release("files", release.user_mapping, items, items, (None,) * len(items), {})
    served = combine(bare, LiveCatalogue())

    codes, code_of = served.codes("industry")
    assert (codes == -1).all()
    assert code_of == {}
    assert served.startup(3) is None
    assert served.name_of(3) == "s03"
