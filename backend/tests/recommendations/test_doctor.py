"""`manage.py recsys_doctor`: each fault is made for real, and its check names it with the mend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings
from redis import Redis
from running_site import ROOT, serve, start, wait_until_up
from scipy.sparse import load_npz, save_npz

from accounts.models import User
from config.celery import app
from config.redis_client import redis_client
from dashboard.models import Heartbeat
from embedded_services.launcher import throw_away_services
from interactions.export import export_als_dataset
from interactions.live_state import sync_live_state
from interactions.models import LostLiveWrite, SignalWeights, UserInteraction
from recommendations.beats import beats_at_once, note_beat
from recommendations.doctor.report import Check, Level, ok, run_checks
from recommendations.doctor.table import all_checks
from recommendations.inference import inference_client
from recommendations.models import TrainingRun
from recommendations.schedule import HEALING_NAME, NAME
from recsys.datasets.user_items import (
    ITEM_MAPPING_FILE,
    MATRIX_FILE,
    USER_MAPPING_FILE,
    describe_files,
    load_dataset,
)
from recsys.training.pipeline import TrainingPlan, train_and_publish
from startups.models import Startup
from testing import Make

SMALL = {"als": {"factors": 4, "iterations": 2}, "content": {"dimensions": 8}}
KEY = "the-key-of-these-tests-0123456789"


@pytest.fixture
def place(
    transactional_db: None, training_place: Path, event_log: int, redis: Redis, settings: Settings
) -> Path:
    """A small system, exported (over a connection of its own), trained and synced; nothing runs."""
    sync_live_state()
    export_als_dataset(output_dir=settings.DATASET_DIR)
    publish(settings)
    return training_place


def publish(settings: Settings) -> str:
    """Train what is exported; the release's version."""
    plan = TrainingPlan.default(recommenders=("popularity", "content", "als"), overrides=SMALL)
    result = train_and_publish(
        load_dataset(settings.DATASET_DIR), settings.MODELS_DIR, plan, logs_dir=settings.LOGS_DIR
    )
    return result.version


@pytest.fixture
def flask(place: Path, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The inference service over this release, which asks for a key; its address."""
    settings.INFERENCE_API_KEY = KEY
    environment = {**os.environ, "INFERENCE_API_KEY": KEY}
    with ExitStack() as stack:
        log = tmp_path / "flask.log"
        url = serve(stack, environment, ROOT / "recommendation_service", "inference_api.wsgi:app", log)
        wait_until_up(f"{url}/health/ready", log)
        settings.INFERENCE_URL = url
        inference_client.cache_clear()
        yield url
        inference_client().close()
    inference_client.cache_clear()


def found(name: str) -> tuple[Level, str, str]:
    """What one check says, with all it needs."""
    table = {check.name: check for check in all_checks()}
    wanted = [check for check in table.values() if check.name in (name, *table[name].needs)]
    (*_, result) = run_checks(wanted)
    assert result.name == name
    return result.level, result.found, result.mend


def assert_found(name: str, level: Level, words: str, mend: str = "") -> None:
    is_level, said, to_do = found(name)
    assert (is_level, words in said) == (level, True), (is_level, said)
    assert mend in to_do, to_do
    assert bool(to_do) == (level is not Level.OK)


# --- The report ---


def test_of_a_sound_system_only_the_programs_that_do_not_run_are_named(place: Path) -> None:
    results = {result.name: result for result in run_checks(all_checks())}

    not_ok = {name: result.found for name, result in results.items() if result.level is not Level.OK}
    assert set(not_ok) == {"inference", "inference key", "routing", "workers", "beat"}, not_ok


def test_a_check_that_breaks_is_that_checks_failure_and_stops_no_other() -> None:
    def breaks() -> None:
        raise ZeroDivisionError("by nothing\nand more")

    one, two, three = run_checks(
        [Check("one", breaks), Check("two", lambda: ok("fine")), Check("three", breaks, ("one",))]
    )

    assert (one.level, one.found) == (Level.FAIL, "ZeroDivisionError: by nothing")
    assert two.level is Level.OK
    assert (three.level, three.found) == (Level.WARN, "not checked: it needs one")


def test_with_every_service_down_there_is_a_report_and_exit_code_1(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "INFERENCE_URL": "http://127.0.0.1:1",
        **{f"RECSYS_{name}_DIR": str(tmp_path / name) for name in ("DATA", "MODELS", "LOGS")},
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "recsys_doctor", "--json"],
        cwd=ROOT / "backend", env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    failed = {check["name"] for check in report["checks"] if check["level"] == "FAIL"}
    assert report["level"] == "FAIL"
    assert failed == {"postgresql", "redis", "dataset", "release", "als_v1 files", "inference"}
    assert len(report["checks"]) == len(all_checks())
    assert "Traceback" not in done.stderr


def test_the_text_names_each_check_with_what_to_do_and_counts_them(place: Path) -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("recsys_doctor", stdout=out, no_color=True)
    assert ended.value.code == 1
    lines = out.getvalue().splitlines()
    assert [line[6:].split("  ")[0].strip() for line in lines if line[:4].strip() in list(Level)] == [
        check.name for check in all_checks()
    ]
    assert "do: celery -A config beat in backend/, exactly one" in out.getvalue()
    assert lines[-1].endswith("FAIL")


# --- Live state ---


def test_a_profile_that_differs_from_the_database_is_named(place: Path, redis: Redis) -> None:
    assert_found("live profiles", Level.OK, "60 of 60")
    user = User.objects.exclude(interactions=None).first()
    redis.delete(f"recs:profile:{user.pk}")

    assert_found(
        "live profiles", Level.FAIL, f"1 of 60 profiles differ from the database: {user.pk}", "sync_live"
    )


def test_rows_written_past_redis_are_drift(place: Path) -> None:
    user = User.objects.first()
    # A statement of somebody else's: no signal, no commit of ours.
    UserInteraction.objects.filter(user=user).update(retracted_at=timezone.now())

    assert_found("live profiles", Level.FAIL, str(user.pk))


def test_a_wiped_redis_and_lost_writes_are_told(place: Path, redis: Redis) -> None:
    LostLiveWrite.objects.create(kind="profile", row_id=User.objects.first().pk)
    assert_found("live mark", Level.WARN, "1 writes lost", "within a minute")
    redis.flushdb()
    assert_found("live mark", Level.FAIL, "the ready mark is missing", "manage.py sync_live_profiles")
    assert_found("live catalogue", Level.FAIL, "never told whole")


def test_a_startup_that_redis_holds_for_active_is_told(place: Path) -> None:
    assert_found("live catalogue", Level.OK, "40 startups told right")
    startup = Startup.objects.first()
    Startup.objects.filter(pk=startup.pk).update(is_active=False)  # no signal

    assert_found("live catalogue", Level.FAIL, f"1 startups are told wrong (active or owner): {startup.pk}")


# --- The dataset ---


def test_an_altered_or_missing_dataset_is_told(place: Path, settings: Settings) -> None:
    mapping = settings.DATASET_DIR / USER_MAPPING_FILE
    text = mapping.read_text()
    mapping.write_text(text.replace("0", "1", 1))
    assert_found(
        "dataset", Level.FAIL, "is not the file its manifest was written for", "generate_als_dataset"
    )
    shutil.rmtree(settings.DATASET_DIR)
    assert_found("dataset", Level.FAIL, "nothing is exported", "generate_als_dataset")


def test_a_transposed_dataset_is_seen_by_its_ids_even_where_shape_and_hashes_fit(
    place: Path, settings: Settings
) -> None:
    assert_found("orientation", Level.OK, "60 of 60 rows are users, 40 of 40 columns startups")
    folder = settings.DATASET_DIR
    matrix = load_npz(folder / MATRIX_FILE).T.tocsr()
    matrix.sort_indices()
    users, items = ((folder / name).read_text() for name in (USER_MAPPING_FILE, ITEM_MAPPING_FILE))
    shutil.rmtree(folder)
    folder.mkdir()
    save_npz(folder / MATRIX_FILE, matrix, compressed=False)
    (folder / USER_MAPPING_FILE).write_text(items)
    (folder / ITEM_MAPPING_FILE).write_text(users)
    describe_again(folder)

    assert_found("orientation", Level.FAIL, "rows and columns are swapped", "generate_als_dataset")


def test_cells_that_are_no_acts_are_seen(place: Path, settings: Settings) -> None:
    """The right ids in another order: everything else about the files fits."""
    mapping = settings.DATASET_DIR / ITEM_MAPPING_FILE
    ids = list(json.loads(mapping.read_text()))
    mapping.write_text(json.dumps({name: index for index, name in enumerate(ids[1:] + ids[:1])}))
    describe_again(settings.DATASET_DIR)

    assert_found("orientation", Level.FAIL, "cells acts in the log")


def test_a_dislike_too_weak_and_one_that_was_altered_are_told(place: Path, settings: Settings) -> None:
    assert_found("dislikes", Level.OK, "alpha 40 x 1 = 40")
    SignalWeights(dislike=-0.1).save()
    assert_found("dislikes", Level.WARN, "alpha 40 x 0.1 = 4, below 5")
    matrix = load_npz(settings.DATASET_DIR / MATRIX_FILE)
    matrix.data[np.flatnonzero(matrix.data < 0)[0]] = -0.5
    save_npz(settings.DATASET_DIR / MATRIX_FILE, matrix, compressed=False)
    describe_again(settings.DATASET_DIR)
    assert_found("dislikes", Level.FAIL, "some dislikes are not -1.0")


def describe_again(folder: Path) -> None:
    """As if what lies there now had been exported."""
    manifest_file = folder / "als_manifest.json"
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {"schema_version": 1}
    manifest_file.unlink(missing_ok=True)
    manifest_file.write_text(json.dumps({**manifest, "files": describe_files(folder)}))


# --- The release ---


def test_a_flipped_byte_in_the_served_release_is_named(place: Path, settings: Settings) -> None:
    path = (settings.MODELS_DIR / "current" / "als_v1_item_factors.npy").resolve()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)

    assert_found("release", Level.FAIL, "als_v1_item_factors.npy is not the file", "train_all_models.sh")
    assert found("quality")[1] == "not checked: it needs release"


def test_the_five_documented_files_and_nothing_else(place: Path, settings: Settings) -> None:
    stray = settings.MODELS_DIR / "als_v1_old.pkl"
    stray.write_bytes(b"")
    assert_found("als_v1 files", Level.WARN, "als_v1_old.pkl beside them")
    stray.unlink()
    (settings.MODELS_DIR / "als_v1.pkl").unlink()
    assert_found("als_v1 files", Level.FAIL, "missing: als_v1.pkl")


def test_what_happened_since_the_training_is_told(place: Path, make_user: Make, make_startup: Make) -> None:
    assert_found("release age", Level.OK, "0 days old, 0 acts since")
    assert_found("mapping drift", Level.OK, "0 of 40 startups unknown")
    assert_found("opted out", Level.OK, "nobody")
    newcomer, known = make_user(), User.objects.exclude(interactions=None).first()
    for n in range(100):
        startup = make_startup(name=f"New {n}") if n < 10 else Startup.objects.first()
        UserInteraction.objects.create(user=newcomer if n < 50 else known, startup=startup, type="view")
    User.objects.filter(pk=known.pk).update(opted_out=True)

    assert_found("release age", Level.WARN, "100 acts since")
    assert_found("mapping drift", Level.WARN, "10 of 50 startups unknown to the release; 1 of 1 users")
    assert_found("opted out", Level.WARN, "1 users opted out since")


def test_an_old_release_is_told(place: Path, settings: Settings) -> None:
    manifest_file = (settings.MODELS_DIR / "current" / "manifest.json").resolve()
    manifest = json.loads(manifest_file.read_text())
    manifest["created_at"] = (timezone.now() - timedelta(days=20)).isoformat()
    manifest_file.chmod(0o644)
    manifest_file.write_text(json.dumps(manifest))

    assert_found("release age", Level.WARN, "20 days old")


# --- The programs ---


def test_a_service_that_answers_is_ok_and_another_key_is_refused(flask: str, settings: Settings) -> None:
    assert_found("inference", Level.OK, "live profiles synced")
    assert_found("inference key", Level.OK, "ours is accepted, another is refused")
    assert_found("routing", Level.OK, "got als")

    settings.INFERENCE_API_KEY = "not-the-key-of-these-tests-012345"
    inference_client().close()
    inference_client.cache_clear()
    assert_found("inference key", Level.FAIL, "refused this backend's key", "")


def test_a_service_that_serves_another_release_than_the_pointer_names(
    flask: str, settings: Settings, tmp_path: Path
) -> None:
    settings.MODELS_DIR = tmp_path / "elsewhere"
    publish(settings)

    assert_found("inference", Level.FAIL, "the pointer names", "RECSYS_MODELS_DIR")


def test_a_redis_that_evicts_and_one_that_keeps_nothing_are_told(redis: Redis) -> None:
    assert_found("redis persistence", Level.OK, "append-only file")
    assert_found("redis memory", Level.OK, "no limit; noeviction")
    try:
        redis.config_set("maxmemory", 100 * 2**20)
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendonly", "no")
        redis.config_set("save", "")
        assert_found("redis memory", Level.FAIL, "maxmemory-policy is allkeys-lru", "noeviction")
        assert_found("redis persistence", Level.WARN, "nothing is kept on disk", "appendonly yes")
    finally:
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("appendonly", "yes")


def test_a_stopped_redis_fails_its_check_and_those_that_need_it_are_not_asked(
    settings: Settings, db: None
) -> None:
    with ExitStack() as running:
        settings.REDIS_URL = running.enter_context(throw_away_services(["valkey"])).redis_url
        redis_client.cache_clear()
        try:
            assert_found("redis", Level.OK, "answers in")
            running.close()
            assert_found("redis", Level.FAIL, "ConnectionError", "start the server of REDIS_URL")
            assert_found("beat", Level.WARN, "not checked: it needs redis")
        finally:
            redis_client.cache_clear()


def test_a_worker_that_runs_is_found_by_its_queue(redis: Redis, tmp_path: Path, db: None) -> None:
    assert_found(
        "workers", Level.FAIL, "no worker answers for the queue default and train", "--queues default"
    )
    options = ("--queues", "default", "--concurrency", "1", "--hostname", "only@%h", "--pool", "solo")
    with ExitStack() as stack:
        log = tmp_path / "worker.log"
        start(stack, os.environ, ROOT / "backend", log, "celery", "-A", "config", "worker", *options)
        for _ in range(40):  # each asks for at most a second
            if app.control.inspect(timeout=1.0).ping():
                break
        assert_found("workers", Level.FAIL, "no worker answers for the queue train", "--queues train")


def test_tasks_that_nobody_takes_are_told(redis: Redis) -> None:
    redis.rpush("train", *range(101))
    assert_found("queues", Level.WARN, "train 101")


def test_beat_is_known_by_its_silence_and_two_by_their_names(redis: Redis, db: None) -> None:
    PeriodicTask.objects.update(last_run_at=None)
    assert_found("beat", Level.FAIL, "never heard", "exactly one")
    Heartbeat.objects.create(name="default", beat_at=timezone.now() - timedelta(minutes=9), host="here")
    assert_found("beat", Level.FAIL, "last heard 9 minutes ago")
    Heartbeat.objects.update(beat_at=timezone.now())
    assert_found("beat", Level.OK, "one sends")
    for _ in range(2):
        note_beat("gen1@here")
        note_beat("gen2@there")
    assert_found("beat", Level.FAIL, "2 beats send at once: gen1@here, gen2@there", "stop all but one")


def test_a_beat_that_was_restarted_is_not_two(redis: Redis) -> None:
    for sender, now_s in (("gen1@here", 0), ("gen1@here", 60), ("gen2@here", 70), ("gen2@here", 130)):
        note_beat(sender, now_s=now_s)
    assert beats_at_once(now_s=130) == []
    note_beat("gen1@here", now_s=131)
    assert beats_at_once(now_s=131) == ["gen1@here", "gen2@here"]
    assert beats_at_once(now_s=900) == []


def test_a_schedule_without_its_tasks_is_told(db: None) -> None:
    assert_found("schedule", Level.OK, "is due")
    PeriodicTask.objects.filter(name=HEALING_NAME).delete()
    assert_found("schedule", Level.WARN, f"missing or disabled: {HEALING_NAME}", "manage.py migrate")
    PeriodicTask.objects.filter(name=NAME).update(enabled=False)
    assert_found("schedule", Level.FAIL, "nothing trains", "Weekly training")


def test_the_last_training_and_one_that_pretends_to_run_are_told(db: None) -> None:
    assert_found("trainings", Level.OK, "none has ended here yet")
    run = TrainingRun.objects.create(status="failed", reason="No room.\nmore", finished_at=timezone.now())
    assert_found("trainings", Level.WARN, f"run {run.pk} failed 0 seconds ago: No room.")
    stale = TrainingRun.objects.create(status="running", heartbeat_at=timezone.now() - timedelta(hours=1))
    assert_found("trainings", Level.WARN, f"run {stale.pk} says it is running but has been silent")


# --- What everything stands on ---


def test_a_folder_that_cannot_be_made_is_told(settings: Settings, tmp_path: Path) -> None:
    assert_found("folders", Level.OK, "can be written")
    settings.LOGS_DIR = Path("/proc/nowhere/logs")
    assert_found("folders", Level.FAIL, "RECSYS_LOGS_DIR: /proc/nowhere/logs cannot be written")


def test_threads_of_blas_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_found("threads", Level.OK, "one thread")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    assert_found("threads", Level.WARN, "OPENBLAS_NUM_THREADS is '8'")


def test_a_disk_without_room_for_the_next_release_is_told(
    place: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("disk")[0] in (Level.OK, Level.WARN)
    big = (settings.MODELS_DIR / "current").resolve() / "big.bin"
    with big.open("wb") as file:
        file.truncate(shutil.disk_usage(big.parent).free)  # a hole: nothing is written

    assert_found("disk", Level.FAIL, "GiB free for releases of", "make room")
