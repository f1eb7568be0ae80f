"""The runs page: starting a training, watching one, stopping it, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from dashboard.runs_page import LOG_BYTES
from recommendations.models import TrainingRun
from recsys.evaluation.evaluate import TIERS
from testing import Make

Status = TrainingRun.Status

INTERVAL = {"mean": 0.25, "low": 0.2, "high": 0.3}
METRICS = {
    "protocol": "a global time cut",
    "k": 10,
    "n_users": 90,
    "n_answered": 80,
    "coverage": 0.5,
    "metrics": {f"{name}@10": INTERVAL for name in ("ndcg", "precision", "recall", "map", "hit_rate", "mrr")},
    "by_tier": {tier: {"n_users": 30, "n_answered": 30, "metrics": {"ndcg@10": INTERVAL}} for tier in TIERS},
}


def state(client: Client, run: TrainingRun) -> dict[str, Any]:
    response = client.get(reverse("dashboard:run_state", args=[run.pk]))
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def run_page(run: TrainingRun) -> str:
    return reverse("dashboard:run", args=[run.pk])


# --- Starting one ---


@pytest.mark.django_db(transaction=True)
def test_an_operator_starts_a_training_and_is_led_to_it(operator: Client, redis: Redis) -> None:
    form = {"kind": "als", "parameters": '{"als": {"factors": 64}}'}

    response = operator.post(reverse("dashboard:retrain"), form)

    run = TrainingRun.objects.get()
    assert response.url == run_page(run)
    assert (run.kind, run.trigger, run.started_by.username) == ("als", TrainingRun.Trigger.MANUAL, "operator")
    assert (run.status, run.parameters) == (Status.QUEUED, {"als": {"factors": 64}})
    assert redis.llen("train") == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_the_second_is_told_that_it_waits(operator: Client, redis: Redis) -> None:
    running = TrainingRun.objects.create(status=Status.RUNNING, kind="als")

    html = operator.post(reverse("dashboard:retrain"), {"kind": "all"}, follow=True).content.decode()

    assert f"Run {running.pk} is running; one training runs at a time, so this one waits." in html
    assert TrainingRun.objects.filter(status=Status.QUEUED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_pressed_twice_it_is_one_training_and_the_form_says_which(operator: Client, redis: Redis) -> None:
    operator.post(reverse("dashboard:retrain"), {"kind": "als"})

    html = operator.post(reverse("dashboard:retrain"), {"kind": "als"}).content.decode()

    run = TrainingRun.objects.get()
    assert f"Run {run.pk} does the same and is queued" in html
    # The page of a refused form has the form's address, which nobody may GET: the list leads elsewhere.
    listed = html.partition('id="runs"')[2].partition("</section>")[0]
    assert f'hx-get="{reverse("dashboard:runs")}?' in listed
    assert 'href="?' not in listed


@pytest.mark.parametrize(
    "form",
    [
        {"parameters": "{"},
        {"parameters": "[" * 100_000},
        {"parameters": "9" * 5_000},
        {"parameters": '{"als": {"\\ud800": 1}}'},
        {"parameters": "[1]"},
        {"parameters": '{"als": 3}'},
        {"parameters": '{"svd3": {}}'},
        {"parameters": '{"als": {"factor": 3}}'},
        {"kind": "nothing"},
    ],
)
def test_what_cannot_work_is_told_at_its_field(operator: Client, form: dict[str, str]) -> None:
    response = operator.post(reverse("dashboard:retrain"), {"kind": "all", **form})

    assert response.status_code == 200
    assert list(response.context["form"].errors) == list(form)
    assert 'role="alert"' in response.content.decode()
    assert not TrainingRun.objects.exists()


def test_parameters_of_what_the_run_does_not_train_are_refused(operator: Client) -> None:
    form = {"kind": "als", "parameters": '{"two_tower": {"epochs": 1}}'}

    html = operator.post(reverse("dashboard:retrain"), form).content.decode()

    assert "two_tower has parameters but is not trained by this run" in html
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("name", ["retrain", "run_cancel"])
def test_viewers_see_no_button_and_are_refused(viewer: Client, name: str) -> None:
    run = TrainingRun.objects.create(status=Status.RUNNING)
    address = reverse(f"dashboard:{name}", args=[run.pk] if name == "run_cancel" else [])

    assert viewer.post(address, {"kind": "all"}).status_code == 403

    run.refresh_from_db()
    assert run.status == Status.RUNNING
    assert TrainingRun.objects.count() == 1
    for page in (reverse("dashboard:runs"), run_page(run)):
        assert address not in viewer.get(page).content.decode()


def test_buttons_want_a_post_and_the_csrf_token(operator: Client) -> None:
    run = TrainingRun.objects.create(status=Status.RUNNING)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    for address in (reverse("dashboard:retrain"), reverse("dashboard:run_cancel", args=[run.pk])):
        assert operator.get(address).status_code == 405
        assert strict.post(address, {"kind": "all"}).status_code == 403
    assert TrainingRun.objects.count() == 1


# --- Stopping one ---


def test_a_queued_run_is_cancelled_at_once(operator: Client) -> None:
    run = TrainingRun.objects.create()
    address = reverse("dashboard:run_cancel", args=[run.pk])
    assert address in operator.get(run_page(run)).content.decode()

    html = operator.post(address, follow=True).content.decode()

    run.refresh_from_db()
    assert (run.status, run.cancelled_by.username) == (Status.CANCELLED, "operator")
    assert run.reason in html
    assert address not in html


def test_a_running_one_is_asked_to_end_and_says_so_until_it_has(operator: Client) -> None:
    run = TrainingRun.objects.create(status=Status.RUNNING, stage="fitting als")
    assert state(operator, run)["may_be_cancelled"]

    html = operator.post(reverse("dashboard:run_cancel", args=[run.pk]), follow=True).content.decode()

    run.refresh_from_db()
    assert run.cancel_requested_at is not None
    told = state(operator, run)
    assert (told["status"], told["may_be_cancelled"]) == ("running", False)
    assert told["stage"] == "being cancelled at: fitting als"
    assert reverse("dashboard:run_cancel", args=[run.pk]) not in html


def test_what_has_ended_stays_as_it_ended(operator: Client) -> None:
    run = TrainingRun.objects.create(status=Status.SUCCEEDED, release="20261122T030000Z-3f9a")

    html = operator.post(reverse("dashboard:run_cancel", args=[run.pk]), follow=True).content.decode()

    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED
    assert f"Run {run.pk} had ended already: succeeded." in html


# --- The list ---


def test_the_list_tells_who_started_what_and_how_it_ended(viewer: Client, make_user: Make) -> None:
    now = timezone.now()
    TrainingRun.objects.create(
        kind="als",
        status=Status.FAILED,
        started_by=make_user(username="anna"),
        reason="No interactions found",
        started_at=now - timedelta(seconds=95),
        finished_at=now,
    )
    TrainingRun.objects.create(trigger="scheduled", status=Status.SUCCEEDED, release="20261122T030000Z-3f9a")
    for trigger in TrainingRun.Trigger:
        TrainingRun.objects.create(trigger=trigger, status=Status.FAILED)

    html = viewer.get(reverse("dashboard:runs")).content.decode()

    for text in (
        "Failed",
        "anna",
        "No interactions found",
        "1 min 35 s",
        "the schedule",
        "20261122T030000Z-3f9a",
    ):
        assert text in html
    assert "every 3s" not in html


def test_the_list_is_filtered_paged_and_costs_no_query_a_run(
    viewer: Client, make_user: Make, django_assert_max_num_queries: Make
) -> None:
    for _ in range(30):
        TrainingRun.objects.create(status=Status.FAILED, started_by=make_user())
    TrainingRun.objects.create(status=Status.RUNNING)
    address = reverse("dashboard:runs")

    with django_assert_max_num_queries(10):
        response = viewer.get(address)
    assert len(response.context["rows"]) == 25
    assert "every 3s" in response.content.decode()
    assert len(viewer.get(address, {"page": 2}).context["rows"]) == 6
    assert len(viewer.get(address, {"status": "running"}).context["rows"]) == 1
    assert "No run has this status." in viewer.get(address, {"status": "refused"}).content.decode()
    assert len(viewer.get(address, {"status": "x", "page": "y"}).context["rows"]) == 25


# --- One run ---


def test_a_running_one_tells_how_far_it_is(viewer: Client, settings: Settings, tmp_path: Path) -> None:
    settings.LOGS_DIR = tmp_path
    now = timezone.now()
    run = TrainingRun.objects.create(
        status=Status.RUNNING,
        stage="fitting als",
        percent=42.0,
        seconds_left=90.0,
        started_at=now - timedelta(seconds=65),
        heartbeat_at=now,
        log_file="all-1.log",
        worker_host="trainer",
        worker_pid=42,
        fencing_token=7,
    )
    (tmp_path / "all-1.log").write_text("one\n")

    told = state(viewer, run)

    assert (told["status"], told["percent"], told["stage"]) == ("running", 42.0, "fitting als")
    assert (told["is_finished"], told["left"], told["silent"]) == (False, "1 min 30 s", "")
    assert told["took"].startswith("1 min ")
    assert (told["process"], told["log_file"]) == ("42 on trainer, token 7", "all-1.log")
    assert told["log"] == "one\n"
    (tmp_path / "all-1.log").write_text("one\ntwo\n")
    assert state(viewer, run)["log"] == "one\ntwo\n"
    html = viewer.get(run_page(run)).content.decode()
    assert 'aria-valuenow="42.0"' in html
    assert reverse("dashboard:run_state", args=[run.pk]) in html


def test_what_the_page_must_fetch_anew_is_told_by_the_outcome(viewer: Client) -> None:
    run = TrainingRun.objects.create(status=Status.RUNNING)
    seen = [state(viewer, run)["outcome"]]

    for fields in ({"percent": 50.0}, {"dataset": {"density": 0.1}}, {"status": Status.SUCCEEDED}):
        TrainingRun.objects.filter(pk=run.pk).update(**fields)
        seen.append(state(viewer, run)["outcome"])

    assert seen[0] == seen[1]
    assert len(set(seen)) == 3
    assert f'data-outcome="{seen[-1]}"' in viewer.get(run_page(run)).content.decode()


def test_a_process_that_is_silent_for_long_is_told(viewer: Client) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    run = TrainingRun.objects.create(status=Status.RUNNING, started_at=long_ago, heartbeat_at=long_ago)

    assert state(viewer, run)["silent"].startswith("5 min")


def test_only_the_end_of_a_long_log_is_sent_and_from_the_start_of_a_line(
    viewer: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.LOGS_DIR = tmp_path
    lines = [f"line {n} of the log" for n in range(5_000)]
    (tmp_path / "all-1.log").write_text("\n".join(lines))
    run = TrainingRun.objects.create(status=Status.RUNNING, log_file="all-1.log")

    log = state(viewer, run)["log"]

    assert LOG_BYTES - 100 < len(log) <= LOG_BYTES
    assert log.splitlines() == lines[-len(log.splitlines()) :]


def test_without_its_file_the_log_is_what_the_row_kept_and_no_other_file_is_read(
    viewer: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.LOGS_DIR = tmp_path / "logs"
    settings.LOGS_DIR.mkdir()
    (tmp_path / "secret").write_text("secret")

    for name in ("", "gone.log", "../secret", str(tmp_path / "secret")):
        run = TrainingRun.objects.create(status=Status.FAILED, log_file=name, log_tail="kept")
        assert state(viewer, run)["log"] == "kept"


def test_a_finished_one_shows_what_it_measured_learned_and_was_judged(viewer: Client) -> None:
    run = TrainingRun.objects.create(
        status=Status.REFUSED,
        reason="als is worse than the served recipe",
        metrics={"als": METRICS, "popularity": METRICS},
        dataset={"counts": {"users": 1234}},
        parameters={"als": {"factors": 16}},
        gate={
            "accepted": False,
            "checks": [{"name": "als", "passed": False, "says": "als is worse", "facts": {}}],
            "notes": ["two_tower is not served yet"],
        },
        learning_curves={
            "two_tower": [
                {"epoch": 1, "loss": 2.5, "seconds": 1.0, "ndcg": 0.1},
                {"epoch": 2, "loss": 2.0, "seconds": 2.0, "ndcg": 0.2},
            ],
            "als": [],
        },
    )

    response = viewer.get(run_page(run))

    assert [name for name, _, _ in response.context["figures"]] == ["popularity", "als"]
    loss, ndcg = response.context["curves"]
    assert (loss.title, list(loss.labels), list(loss.series[0].values)) == (
        "two_tower: loss by epoch",
        ["1", "2"],
        [2.5, 2.0],
    )
    assert list(ndcg.series[0].values) == [0.1, 0.2]
    html = response.content.decode()
    for text in ("als is worse than the served recipe", "not to be served", "two_tower is not served yet"):
        assert text in html
    for text in ("0.2000 to&nbsp;0.3000", "80 of 90", "1,234", "als factors"):
        assert text in html


def test_what_a_run_holds_is_text(viewer: Client) -> None:
    run = TrainingRun.objects.create(
        status=Status.FAILED,
        reason="<script>alert(1)</script>",
        log_tail="<script>alert(1)</script>",
        metrics={"als": {"ndcg": "<script>alert(1)"}},
    )

    for address in (run_page(run), reverse("dashboard:runs")):
        assert "<script>alert(1)" not in viewer.get(address).content.decode()


def test_the_admins_addresses_of_runs_lead_here_and_change_nothing(admin_client: Client) -> None:
    run = TrainingRun.objects.create(status=Status.RUNNING)
    change = reverse("admin:recommendations_trainingrun_change", args=[run.pk])

    assert admin_client.get(reverse("admin:recommendations_trainingrun_changelist")).url == reverse(
        "dashboard:runs"
    )
    assert admin_client.get(change).url == run_page(run)
    admin_client.post(change, {"status": "succeeded", "release": "forged"})
    admin_client.post(reverse("admin:recommendations_trainingrun_add"), {"kind": "all"})
    delete = reverse("admin:recommendations_trainingrun_delete", args=[run.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    run.refresh_from_db()
    assert (run.status, run.release, TrainingRun.objects.count()) == (Status.RUNNING, "", 1)


def test_a_run_that_is_not_there_is_not_found(viewer: Client) -> None:
    for name in ("run", "run_state"):
        assert viewer.get(reverse(f"dashboard:{name}", args=[987])).status_code == 404
