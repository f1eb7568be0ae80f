"""What beat has done between trainings."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from redis import Redis

from interactions.services import NewEvent, record_events
from recommendations.lease import take_lease
from recommendations.models import TrainingRun
from recommendations.services import cancel_run, start_run
from recommendations.tasks import clean_up, reconcile_runs, retrain_on_growth, sync_live_state
from recsys.artifacts.layout import publishing
from testing import Make

pytestmark = pytest.mark.django_db(transaction=True)
Status, Trigger = TrainingRun.Status, TrainingRun.Trigger


def a_running_run(**fields: Any) -> TrainingRun:
    run = TrainingRun.objects.create()
    token = take_lease(run.pk)
    assert token is not None
    assert start_run(run.pk, token)
    TrainingRun.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
    return run


def let_the_lease_run_out() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommendations_traininglease SET expires_at = now() - interval '1 second'")


def ended(run: TrainingRun) -> tuple[str, str]:
    run.refresh_from_db()
    return run.status, run.reason.partition(";")[0]


def test_a_run_whose_lease_is_held_is_left_alone() -> None:
    run = a_running_run()

    assert reconcile_runs() == 0
    assert ended(run)[0] == Status.RUNNING


def test_a_run_whose_worker_is_gone_becomes_a_red_row() -> None:
    run = a_running_run()
    let_the_lease_run_out()

    assert reconcile_runs() == 1
    assert ended(run) == (
        Status.FAILED,
        "Its worker ended without saying how (a restart, or the machine went down)",
    )
    assert reconcile_runs() == 0


def test_one_that_lost_its_lease_to_another_too() -> None:
    run = a_running_run()
    let_the_lease_run_out()
    other = TrainingRun.objects.create()
    take_lease(other.pk)

    assert reconcile_runs() == 1
    assert ended(run)[0] == Status.FAILED


def test_one_that_somebody_wanted_to_end_is_cancelled(make_user: Make) -> None:
    run = a_running_run()
    assert cancel_run(run.pk, by=make_user(username="anna")) is True
    let_the_lease_run_out()

    reconcile_runs()

    assert ended(run)[0] == Status.CANCELLED
    assert "Cancelled by anna" in run.reason


def test_one_that_had_published_has_succeeded_and_says_what_happened_after() -> None:
    run = a_running_run(release="20261122T030000Z-3f9a")
    let_the_lease_run_out()

    reconcile_runs()

    assert ended(run)[0] == Status.SUCCEEDED
    assert run.reason.startswith("It published its release, then: Its worker ended")


def test_a_run_whose_message_was_lost_is_sent_again_once_an_hour(redis: Redis) -> None:
    run = TrainingRun.objects.create(created_at=timezone.now() - timedelta(minutes=61))
    TrainingRun.objects.create()  # queued just now

    assert reconcile_runs() == 1
    assert reconcile_runs() == 0
    assert redis.llen("train") == 1
    assert ended(run)[0] == Status.QUEUED


def test_while_a_training_runs_what_waits_for_it_is_not_sent_again(redis: Redis) -> None:
    a_running_run()
    TrainingRun.objects.create(created_at=timezone.now() - timedelta(minutes=61))

    assert reconcile_runs() == 0
    assert redis.llen("train") == 0


def exported_run(rows: int, **fields: Any) -> TrainingRun:
    facts = {"acts": {"rows": rows}, "watermark": timezone.now().isoformat()}
    long_ago = timezone.now() - timedelta(days=1)
    return TrainingRun.objects.create(
        **{"status": Status.REFUSED, "dataset": facts, "finished_at": long_ago, **fields}
    )


def act(make_user: Make, make_startup: Make, times: int) -> None:
    user, startup = make_user(), make_startup()
    record_events([NewEvent(user.pk, startup.pk, "view") for _ in range(times)])


def test_acts_that_have_grown_enough_start_a_gated_training(
    make_user: Make, make_startup: Make, redis: Redis
) -> None:
    act(make_user, make_startup, 50)
    exported_run(50)
    act(make_user, make_startup, 9)
    assert retrain_on_growth(percent=20) is False

    act(make_user, make_startup, 1)
    assert retrain_on_growth(percent=20) is True

    run = TrainingRun.objects.get(status=Status.QUEUED)
    assert (run.trigger, run.is_unattended) == (Trigger.GROWTH, True)
    assert redis.llen("train") == 1
    assert retrain_on_growth(percent=20) is False  # it waits already


def test_a_growth_that_fails_every_time_rests_and_what_came_to_nothing_is_no_beginning(
    make_user: Make, make_startup: Make, redis: Redis
) -> None:
    act(make_user, make_startup, 50)
    exported_run(50)
    act(make_user, make_startup, 20)
    failed = exported_run(70, status=Status.FAILED, trigger=Trigger.GROWTH, finished_at=timezone.now())
    failed.finished_at -= timedelta(hours=5)
    failed.save()
    assert retrain_on_growth(percent=20) is False

    failed.finished_at -= timedelta(hours=2)
    failed.save()
    assert retrain_on_growth(percent=20) is True


@pytest.mark.parametrize("percent", [0, -1])
def test_growth_is_off_at_zero(make_user: Make, make_startup: Make, percent: float) -> None:
    exported_run(1)
    act(make_user, make_startup, 50)

    assert retrain_on_growth(percent=percent) is False


def test_before_the_first_export_growth_is_of_nothing(make_user: Make, make_startup: Make) -> None:
    act(make_user, make_startup, 5)

    assert retrain_on_growth(percent=1) is False


def test_the_live_state_is_written_again_whole(make_user: Make, make_startup: Make, redis: Redis) -> None:
    make_user()
    act(make_user, make_startup, 1)
    redis.flushdb()

    assert sync_live_state() == 2
    assert redis.dbsize() > 0


def test_what_killed_trainings_left_is_removed_and_the_last_ten_logs_stay(training_place: Path) -> None:
    abandoned = training_place / "models" / "releases" / ".writing-a"
    old_export, new_export = (training_place / "data" / f".writing-{name}" for name in ("old", "new"))
    for folder in (abandoned, old_export, new_export):
        folder.mkdir(parents=True)
        (folder / "half.npy").write_bytes(b"x")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old_export, (two_days_ago, two_days_ago))
    logs = [training_place / "logs" / f"als-20261101T{n:02}0000_000000Z.log" for n in range(12)]
    for log in (*logs, training_place / "logs" / "experiments.jsonl"):
        log.touch()

    with publishing(training_place / "models"):  # somebody writes there right now
        assert clean_up() == 1
    assert clean_up() == 1

    assert not abandoned.exists()
    assert not old_export.exists()
    assert new_export.exists()
    kept = sorted(path.name for path in (training_place / "logs").iterdir())
    assert kept == [*(log.name for log in logs[2:]), "experiments.jsonl"]


def test_one_that_had_published_does_not_train_again_when_it_is_delivered_once_more() -> None:
    run = a_running_run(release="20261122T030000Z-3f9a")

    assert start_run(run.pk, run.fencing_token + 1) is False
    assert ended(run)[0] == Status.SUCCEEDED
