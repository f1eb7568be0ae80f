"""Promote and roll back: the pointer and the row that says who moved it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from recommendations.lease import LeaseLostError, end_lease, take_lease
from recommendations.models import ReleaseChange, TrainingRun
from recommendations.releases import kept_releases, promote, published_by, roll_back
from recommendations.services import start_run
from recsys.artifacts.layout import served_version
from recsys.artifacts.publish import Trained, publish_release
from recsys.datasets.user_items import Dataset, build_user_items
from recsys.datasets.weights import Cells
from recsys.errors import ArtifactError, InvalidRequestError, NotFoundError
from recsys.recommenders.table import make_recommender
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dataset() -> Dataset:
    """Two users, two startups, one act each."""
    cells = Cells(
        user_index=np.array([0, 1]),
        item_index=np.array([0, 1]),
        weight=np.array([2.0, 2.0], np.float32),
        last_event_at=np.array([1.0, 2.0]),
        type_mask=np.array([4, 4], np.uint8),
    )
    return build_user_items(cells, ["a", "b"], ["s", "t"])


@pytest.fixture
def versions(training_place: Path, dataset: Dataset) -> list[str]:
    """Three releases, the oldest first; the last one is served."""
    popularity = make_recommender("popularity").fit(dataset)
    trained = [Trained(popularity, vars(popularity.config), 0.1, 1.0)]
    models = training_place / "models"
    kept = sorted(publish_release(models, dataset, trained).version for _ in range(3))
    (models / "current").unlink()
    (models / "current").symlink_to(f"releases/{kept[-1]}")
    return kept


def rows() -> list[tuple[str, str, str, object]]:
    changes = ReleaseChange.objects.order_by("pk")
    return [(change.action, change.version, change.previous_version, change.by_id) for change in changes]


def test_each_move_is_a_row_with_who_moved_it(
    training_place: Path, versions: list[str], make_user: Make
) -> None:
    oldest, middle, newest = versions
    anna, ben = make_user(), make_user()

    promote(oldest, by=anna)
    promote(newest, by=None)
    change = roll_back(by=ben)

    assert rows() == [
        ("promoted", oldest, newest, anna.pk),
        ("promoted", newest, oldest, None),
        ("rolled_back", middle, newest, ben.pk),
    ]
    assert change.pk == ReleaseChange.objects.first().pk
    assert served_version(training_place / "models") == middle
    assert [(one.version, one.is_served) for one in kept_releases()] == [
        (newest, False),
        (middle, True),
        (oldest, False),
    ]


def test_what_fails_leaves_neither_a_row_nor_a_move(training_place: Path, versions: list[str]) -> None:
    oldest, middle, newest = versions
    shutil.rmtree(training_place / "models" / "releases" / oldest)
    damaged = training_place / "models" / "releases" / middle / "popularity_scores.npy"
    damaged.chmod(0o644)
    damaged.write_bytes(b"")

    with pytest.raises(NotFoundError, match=oldest):
        promote(oldest, by=None)
    with pytest.raises(ArtifactError, match=f"Release {middle} is damaged"):
        roll_back(by=None)
    with pytest.raises(InvalidRequestError, match="is served by now"):
        roll_back(by=None, served=oldest)
    (training_place / "models" / ".current.new").mkdir()  # in the way of the new link
    with pytest.raises(ArtifactError):
        promote(middle, by=None)

    assert rows() == []
    assert served_version(training_place / "models") == newest


def test_a_pointer_that_cannot_be_moved_takes_its_row_back(training_place: Path, versions: list[str]) -> None:
    (training_place / "models" / ".current.new").mkdir()

    with pytest.raises(ArtifactError, match="could not be moved"):
        promote(versions[0], by=None)

    assert rows() == []
    assert served_version(training_place / "models") == versions[-1]


def test_a_run_that_lost_its_lease_moves_nothing(
    training_place: Path, versions: list[str], dataset: Dataset
) -> None:
    run = TrainingRun.objects.create()
    late = take_lease(run.pk)
    start_run(run.pk, late)
    end_lease(late)
    take_lease(run.pk)
    popularity = make_recommender("popularity").fit(dataset)
    trained = [Trained(popularity, vars(popularity.config), 0.1, 1.0)]

    with pytest.raises(LeaseLostError):
        publish_release(training_place / "models", dataset, trained, on_switch=published_by(run, late))

    assert rows() == []
    assert served_version(training_place / "models") == versions[-1]
    assert [one.version for one in kept_releases()] == versions[::-1]


def test_two_who_roll_back_at_once_leave_one_row(training_place: Path, versions: list[str]) -> None:
    start, refused = threading.Barrier(2), []

    def ask() -> None:
        try:
            start.wait(timeout=30)
            roll_back(by=None, served=versions[-1])
        except InvalidRequestError as error:
            refused.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(refused) == 1
    assert rows() == [("rolled_back", versions[1], versions[2], None)]


def test_the_log_can_be_read_in_the_admin_and_not_changed(versions: list[str], admin_client: Client) -> None:
    change = promote(versions[0], by=None)

    page = admin_client.get(reverse("admin:recommendations_releasechange_changelist"))
    assert versions[0] in page.content.decode()
    address = reverse("admin:recommendations_releasechange_delete", args=[change.pk])
    assert admin_client.post(address).status_code == 403
    assert admin_client.get(reverse("admin:recommendations_releasechange_add")).status_code == 403
